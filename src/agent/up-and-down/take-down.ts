import { stopServer } from "../../postgres/server.ts";
import type { Progress } from "../../progress.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import { ownPrimary, replicasOf, type Runtime } from "../../members/runtime.ts";

/** Milliseconds for one server's shutdown checkpoint. */
const STOP_TIMEOUT = 300_000;

/**
 * Stops the servers so that nothing is lost: the primary first and by fast shutdown, while the replicas are still
 * attached (it sends them everything, its last checkpoint too, before it ends); then the replicas.
 */
export async function takeDownServers(runtime: Runtime, progress: Progress): Promise<void> {
  const stop = async (handle: NodeHandle): Promise<void> => {
    const { name } = handle.node;
    await handle.hold.take("stop");
    progress.step(name, "stop");
    await handle.disconnect();
    try {
      await stopServer(handle.files.dataDir, name, "fast", STOP_TIMEOUT);
    } finally {
      // Nothing restarts it meanwhile: the agent no longer keeps the cluster running.
      handle.hold.release();
    }
  };
  const primary = ownPrimary(runtime);
  if (primary) await stop(primary);
  await Promise.all(replicasOf(runtime).map(stop));
}
