import { factsOf } from "../../model/observation.ts";
import { now } from "../../system/clock.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { followNewPrimary, makePrimary } from "./change-primary.ts";
import { startingFloor, writeNodeFiles } from "../../services/configure.ts";
import type { Progress } from "../../progress.ts";
import type { PoolKeeper } from "../../services/read-pool.ts";
import { anotherPrimary, primaryOf, recordHistory, replicasOf, type Runtime } from "../../members/runtime.ts";

/**
 * Finishes a change of the primary that failed after the record named the next one: the old one never starts as a
 * primary again, so until then writes lead nowhere. Does nothing while the recorded primary does not answer.
 */
export async function finishChange(runtime: Runtime, pool: PoolKeeper, progress: Progress): Promise<void> {
  const primary = primaryOf(runtime);
  const facts = factsOf(await primary.observe());
  if (!facts || (await anotherPrimary(runtime))) return;
  if (facts.in_recovery) {
    progress.step(primary.node.name, "finish its promotion");
    await makePrimary(runtime, primary);
  }
  runtime.routedPrimary = primary.node.name;
  await pool.step();
  progress.note(`writes lead to ${primary.node.name}`);
  await recordHistory(runtime, {
    at: new Date(now()).toISOString(),
    kind: "promote",
    from: runtime.state.history.at(-1)?.to ?? null,
    to: primary.node.name,
    why: "a change of the primary that had failed was finished",
    timeline: factsOf(primary.observation)?.timeline ?? null,
    writes_paused_ms: null,
  });
  // What is started later starts as its replica.
  for (const replica of replicasOf(runtime)) {
    if (!(await findPostmaster(replica.files.dataDir)))
      await writeNodeFiles(runtime, replica, await startingFloor(runtime, replica));
  }
  await followNewPrimary(runtime, progress);
}
