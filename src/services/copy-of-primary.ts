import { nextStep, odooPg } from "../next-step.ts";
import { OdooPgError } from "../errors.ts";
import { seedDataDirectory } from "../postgres/seed.ts";
import { tablespaceLinks } from "../postgres/tablespaces.ts";
import type { Progress } from "../progress.ts";
import { NodeHandle } from "../members/node-handle.ts";
import { addressOf, primaryOf, type Runtime } from "../members/runtime.ts";

/**
 * Copies the primary into a directory beside the node's data directory, and resolves with its path.
 * @throws OdooPgError what pg_basebackup says; interrupted when the cluster is to go down meanwhile
 */
export async function copyOfPrimary(
  runtime: Runtime,
  handle: NodeHandle,
  slot: string,
  progress: Progress,
): Promise<string> {
  const primary = primaryOf(runtime);
  const isOwn = primary instanceof NodeHandle;
  const tablespaces = await (isOwn ? tablespaceLinks(primary.files.dataDir) : primary.tablespacesThere());
  const copy = seedDataDirectory({
    config: runtime.config,
    layout: runtime.layout,
    node: handle.node,
    files: handle.files,
    installation: runtime.installation,
    owner: runtime.owner,
    // Its port may be about to change; it still runs with the old one.
    upstream: { ...addressOf(primary.node), port: await primary.port() },
    follows: isOwn ? "own" : "foreign",
    slot,
    tablespaces,
    signal: runtime.interruption.signal,
    onProgress: (done, total) => progress.bytes(handle.node.name, done, total),
  });
  return await copy.catch((error: unknown) => {
    if (!runtime.interruption.signal.aborted) throw error;
    throw new OdooPgError("interrupted", {
      message: `The copy of ${primary.node.name} for ${handle.node.name} was abandoned: the cluster is being stopped.`,
      safe: "What existed before is unchanged. A half copy is never started.",
      next: nextStep`When the cluster is to run again: ${odooPg("up")}; if that was asked for, then: ${odooPg("reseed", handle.node.name)}`,
      cause: error,
    });
  });
}
