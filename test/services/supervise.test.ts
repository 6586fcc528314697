import { expect, test } from "vitest";
import { Holds } from "../../src/members/holds.ts";
import { newHandle, type Runtime } from "../../src/members/runtime.ts";
import { keepRunning, retryDelay } from "../../src/services/supervise.ts";
import { findPostmaster } from "../../src/postgres/server.ts";
import { readMachine } from "../../src/system/machine.ts";
import { waitFor } from "../support/wait.ts";
import { throwawayNodes } from "../postgres/throwaway-node.ts";

test("a server that fails to start is tried again at once, then ever more slowly, and never given up", () => {
  expect([0, 1, 2, 3, 4, 5, 6, 7, 1000, 1e6].map(retryDelay)).toEqual([
    0, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000,
  ]);
});

test("an operation that takes a node ends its start by supervision, at whatever point that is", async () => {
  const [node] = await throwawayNodes(1);
  if (!node) throw new Error("no node");
  await node.initialise();
  const { layout, owner, config, installation, passwords, files } = node;
  const handle = newHandle(layout, node.node);
  const runtime: Runtime = {
    layout,
    owner,
    machine: readMachine(),
    log: () => {},
    config,
    configFile: undefined,
    installation,
    passwords,
    state: { format: 1, cluster: "test", system_identifier: null, primary: "pg1", history: [], removed: [] },
    kept: {},
    nodes: new Map([["pg1", handle]]),
    upstream: undefined,
    marks: [],
    held: new Holds(),
    startable: undefined,
    interruption: new AbortController(),
  };
  const points: (() => Promise<boolean> | boolean)[] = [
    () => true,
    () => handle.operation === "start",
    async () => (await findPostmaster(files.dataDir)) !== undefined,
  ];
  for (const reached of points) {
    const start = keepRunning(runtime, handle);
    await waitFor("the start is that far", reached);
    await handle.take("fenced");
    expect(handle.operation).toBe("fenced");
    await start;
    expect(handle.operation).toBe("fenced");
    await node.stop();
    await keepRunning(runtime, handle);
    expect(await findPostmaster(files.dataDir)).toBeUndefined();
    handle.operation = undefined;
  }
  await keepRunning(runtime, handle);
  expect((await findPostmaster(files.dataDir))?.status).toBe("ready");
  expect(handle.operation).toBeUndefined();
});
