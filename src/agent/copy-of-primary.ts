import { seedDataDirectory } from "../postgres/seed.ts";
import type { Progress } from "./events.ts";
import type { NodeHandle } from "./node-handle.ts";
import { addressOf, primaryOf, type Runtime } from "./runtime.ts";

/**
 * Copies the primary into a directory beside the node's data directory, and resolves with its path.
 * @throws OdooPgError what pg_basebackup says
 */
export async function copyOfPrimary(
  runtime: Runtime,
  handle: NodeHandle,
  slot: string,
  progress: Progress,
): Promise<string> {
  const primary = primaryOf(runtime);
  return await seedDataDirectory({
    config: runtime.config,
    layout: runtime.layout,
    node: handle.node,
    files: handle.files,
    installation: runtime.installation,
    owner: runtime.owner,
    // Its port may be about to change; it runs with the old one still.
    upstream: { ...addressOf(primary.node), port: (await primary.credentials()).port },
    follows: runtime.upstream ? "foreign" : "own",
    slot,
    onProgress: (done, total) => progress.bytes(handle.node.name, done, total),
  });
}
