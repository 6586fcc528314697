import { odooPg } from "../../next-step.ts";
import { newHandle } from "../../members/runtime.ts";
import { readApplied, readState } from "../../store/state.ts";
import { factsOf, type NodeObservation } from "../../model/observation.ts";
import { replicationReport, type ReplicaReport } from "../../cluster/replication.ts";
import { showBytes } from "../../model/quantities.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { now } from "../../system/clock.ts";
import type { Context } from "../context.ts";

/** Prints each replica's view of itself, and the primary's of each replica. Works while any of the nodes is down. */
export async function replicationStatus(context: Context, options: { json: boolean }): Promise<ExitStatus> {
  const { layout, output } = context;
  const [applied, state] = await Promise.all([readApplied(layout), readState(layout)]);
  if (!applied || !state) {
    throw new OdooPgError("not_running", {
      message: `Cluster ${context.config.cluster} has not been started yet.`,
      next: odooPg("up"),
    });
  }
  const observed = await Promise.all(
    applied.config.nodes.map(async (node) => {
      const handle = newHandle(layout, node);
      const observation = await handle.observe();
      await handle.disconnect();
      return observation;
    }),
  );
  const nobody: NodeObservation = {
    name: state.primary,
    at: now(),
    answer: { kind: "none", silence: { kind: "not_run_here" } },
    lastSeen: undefined,
  };
  const primary = observed.find(({ name }) => name === state.primary) ?? nobody;
  const report = replicationReport(
    applied.config.cluster,
    primary,
    observed.filter((observation) => observation !== primary),
  );
  if (options.json) {
    output.out(JSON.stringify(report, undefined, 2));
  } else {
    const { name, lsn, timeline } = report.primary;
    output.out(`primary ${name}: ${lsn === null ? "?" : `at ${lsn}, timeline ${timeline ?? "?"}`}`);
    for (const replica of report.replicas) output.out(lines(replica).join("\n"));
    if (!report.replicas.length) output.out("no replicas");
  }
  return observed.some((observation) => factsOf(observation)) ? 0 : 69;
}

function lines(replica: ReplicaReport): string[] {
  const text = (value: string | number | null): string => (value === null ? "?" : String(value));
  const bytes = (value: number | null): string => (value === null ? "?" : showBytes(value));
  if (!replica.answers)
    return [`replica ${replica.name}: ${replica.reason ?? "does not answer"}`, ...senderLines()];
  return [
    `replica ${replica.name}: ${bytes(replica.lag_bytes)} behind (${text(replica.lag_segments)} WAL segments), delay ${text(replica.delay_seconds)} s${replica.replay_paused ? ", replay paused" : ""}`,
    `  received ${text(replica.received_lsn)}  replayed ${text(replica.replayed_lsn)}  last transaction ${text(replica.last_replayed_at)}  receiver ${text(replica.receiver)}`,
    ...senderLines(),
  ];

  function senderLines(): string[] {
    const { slot } = replica;
    return [
      `  on the primary: ${replica.state ?? "not connected"}, ${replica.sync_state ?? "?"}, since ${text(replica.backend_start)}`,
      `  slot ${slot === null ? "?" : `${slot.name}: ${slot.wal_status ?? "?"}, keeps ${bytes(slot.kept_bytes)}`}`,
    ];
  }
}
