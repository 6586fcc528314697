import path from "node:path";
import { replicationLogLine, replicationReport } from "../cluster/replication.ts";
import { now } from "../system/clock.ts";
import { appendRotating } from "../system/log.ts";
import { primaryOf, replicasOf, type Runtime } from "../members/runtime.ts";

/** One line a minute for each replica. */
const EVERY = 60_000;

/** Writes the replication log from what the agent sees anyway. */
export class ReplicationLog {
  #next = 0;

  /** Writes when a minute has passed since the last time. @throws what the file system answers. */
  tick(runtime: Runtime): void {
    const time = now();
    if (time < this.#next) return;
    this.#next = time + EVERY;
    const { cluster, replication_log: settings } = runtime.config;
    const file = settings.file ?? path.join(runtime.layout.stateDir, "pg_replication.log");
    const report = replicationReport(
      cluster,
      primaryOf(runtime).observation,
      replicasOf(runtime).map((handle) => handle.observation),
    );
    const at = new Date(time).toISOString();
    for (const replica of report.replicas) {
      appendRotating(
        file,
        `${replicationLogLine(settings.format, at, cluster, replica)}\n`,
        runtime.owner,
        time,
      );
    }
  }
}
