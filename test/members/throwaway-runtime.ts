import { Holds } from "../../src/members/holds.ts";
import { newHandle, type Runtime } from "../../src/members/runtime.ts";
import { readMachine } from "../../src/system/machine.ts";
import type { ThrowawayNode } from "../postgres/throwaway-node.ts";

/** What an agent knows of throwaway nodes, the first of them the primary by its record. */
export function throwawayRuntime(nodes: readonly ThrowawayNode[]): Runtime {
  const [first] = nodes;
  if (!first) throw new Error("no node");
  const { layout, owner, config, installation, passwords } = first;
  return {
    layout,
    owner,
    machine: readMachine(),
    log: () => {},
    config,
    configFile: undefined,
    installation,
    passwords,
    state: {
      format: 1,
      cluster: "test",
      system_identifier: null,
      primary: first.node.name,
      history: [],
      removed: [],
    },
    kept: {},
    nodes: new Map(nodes.map(({ node }) => [node.name, newHandle(layout, node)])),
    upstream: undefined,
    marks: [],
    held: new Holds(),
    startable: undefined,
    wake: () => {},
    interruption: new AbortController(),
  };
}
