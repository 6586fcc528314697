import { Holds } from "../../../members/holds.ts";
import { newHandle, type Runtime } from "../../../members/runtime.ts";
import type { Installation } from "../../../postgres/installation.ts";
import { ensurePasswords } from "../../../store/secrets.ts";
import { readState } from "../../../store/state.ts";
import type { Log } from "../../../system/log.ts";
import { ownConfig, type OwnFilesInput } from "../../render/own-files.ts";

/**
 * This host's server as the parts of an agent of one host know it: a cluster of one node. What they do on a primary they
 * do where the server is one, so on one host at a time.
 */
export async function ownRuntime(
  input: OwnFilesInput & { readonly installation: Installation },
  log: Log,
  wake: () => void,
): Promise<Runtime> {
  const { layout, owner, machine, document, installation } = input;
  const { config, node } = ownConfig(input);
  const state = await readState(layout);
  if (!state) throw new Error("this host has no record of its cluster");
  const handle = newHandle(layout, node);
  handle.onLost = wake;
  return {
    layout,
    owner,
    machine,
    log,
    config,
    configFile: undefined,
    installation,
    passwords: await ensurePasswords(layout, {}, owner),
    state: { ...state, primary: node.name },
    kept: document.settings,
    nodes: new Map([[node.name, handle]]),
    upstream: undefined,
    marks: [],
    held: new Holds(),
    startable: undefined,
    wake,
    interruption: new AbortController(),
  };
}
