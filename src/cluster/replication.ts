import { sayOf } from "../model/silence.ts";
import { formatLsn, type Lsn } from "../model/lsn.ts";
import { factsOf, fullFactsOf, identityOf, lagOf, type NodeObservation } from "../model/observation.ts";
import { slotName } from "../config/layout.ts";

/** What `replication status` reports about one replica: its own view, and the primary's view of it. */
export interface ReplicaReport {
  readonly name: string;
  readonly answers: boolean;
  readonly reason: string | null;
  /** The replica's own: null where it does not answer. */
  readonly last_replayed_at: string | null;
  readonly delay_seconds: number | null;
  readonly received_lsn: string | null;
  readonly replayed_lsn: string | null;
  readonly lag_bytes: number | null;
  readonly lag_seconds: number | null;
  readonly receiver: string | null;
  readonly replay_paused: boolean;
  /** The primary's view: null where it has no such replica now. */
  readonly backend_start: string | null;
  readonly state: string | null;
  readonly sync_state: string | null;
  readonly sent_lag_bytes: number | null;
  /** How many WAL segments the byte lag is, rounded up. */
  readonly lag_segments: number | null;
  readonly slot: {
    readonly name: string;
    readonly wal_status: string | null;
    readonly kept_bytes: number | null;
  } | null;
}

export interface ReplicationReport {
  readonly version: 1;
  readonly cluster: string;
  readonly primary: {
    readonly name: string;
    readonly answers: boolean;
    readonly lsn: string | null;
    readonly timeline: number | null;
  };
  readonly replicas: readonly ReplicaReport[];
}

const instant = (milliseconds: number | null | undefined): string | null =>
  milliseconds === null || milliseconds === undefined ? null : new Date(milliseconds).toISOString();
const place = (lsn: Lsn | null | undefined): string | null =>
  lsn === null || lsn === undefined ? null : formatLsn(lsn);

/** Brings together what the primary and each replica say. Lag is 0 where everything received is replayed and nothing is missing. */
export function replicationReport(
  cluster: string,
  primary: NodeObservation,
  replicas: readonly NodeObservation[],
): ReplicationReport {
  const end = identityOf(primary);
  const above = fullFactsOf(primary);
  return {
    version: 1,
    cluster,
    primary: {
      name: primary.name,
      answers: end !== undefined,
      lsn: place(end?.current_lsn),
      timeline: end?.timeline ?? null,
    },
    replicas: replicas.map((replica): ReplicaReport => {
      const facts = factsOf(replica);
      const lag = facts ? lagOf(facts, end) : { bytes: undefined, seconds: undefined };
      const sender = above?.standbys.find(({ application_name }) => application_name === replica.name);
      const slot = above?.slots.find(({ slot_name }) => slot_name === slotName(replica.name));
      const behind = (lsn: Lsn | null | undefined): number | null =>
        end?.current_lsn && lsn ? Math.max(0, Number(end.current_lsn - lsn)) : null;
      return {
        name: replica.name,
        answers: facts !== undefined,
        reason: replica.answer.kind === "none" ? sayOf(replica.answer.silence) : null,
        last_replayed_at: instant(facts?.last_replay_at),
        delay_seconds: lag.seconds ?? null,
        received_lsn: place(facts?.receive_lsn),
        replayed_lsn: place(facts?.replay_lsn),
        lag_bytes: lag.bytes ?? null,
        lag_seconds: lag.seconds ?? null,
        receiver: facts?.receiver_status ?? null,
        replay_paused: facts?.replay_paused ?? false,
        backend_start: instant(sender?.backend_start),
        state: sender?.state ?? null,
        sync_state: sender?.sync_state ?? null,
        sent_lag_bytes: behind(sender?.sent_lsn),
        lag_segments:
          lag.bytes === undefined || !facts ? null : Math.ceil(lag.bytes / facts.wal_segment_bytes),
        slot: slot
          ? { name: slot.slot_name, wal_status: slot.wal_status, kept_bytes: behind(slot.restart_lsn) }
          : null,
      };
    }),
  };
}

/**
 * A line of the replication log.
 * `origin` is the form of the image odoo/pgsql, for shippers that parse it already:
 * TIMESTAMP 'lag' 'last replay' 'received' 'replayed'.
 */
export function replicationLogLine(
  format: "json" | "origin",
  at: string,
  cluster: string,
  replica: ReplicaReport,
): string {
  if (format === "json") {
    const { name, lag_bytes, lag_seconds, last_replayed_at, received_lsn, replayed_lsn, state, reason } =
      replica;
    return JSON.stringify({
      timestamp: at,
      cluster,
      node: name,
      lag_bytes,
      lag_seconds,
      last_replayed_at,
      received_lsn,
      replayed_lsn,
      state,
      reason,
    });
  }
  const quoted = [
    replica.lag_seconds,
    replica.last_replayed_at,
    replica.received_lsn,
    replica.replayed_lsn,
  ].map((value) => `'${value ?? ""}'`);
  return [at, ...quoted].join(" ");
}
