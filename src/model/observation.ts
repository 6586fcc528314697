import * as z from "zod";
import { parseLsn, type Lsn } from "./lsn.ts";
import type { Silence } from "./silence.ts";

const lsn = z.string().transform((text) => parseLsn(text));
/** Seconds since the epoch, as PostgreSQL's extract(epoch …) gives them; kept as milliseconds. */
const instant = z.number().transform((seconds) => seconds * 1000);

const standbyRow = z.object({
  application_name: z.string(),
  client_addr: z.string().nullable(),
  state: z.string(),
  sync_state: z.string(),
  sent_lsn: lsn.nullable(),
  flush_lsn: lsn.nullable(),
  replay_lsn: lsn.nullable(),
  backend_start: instant,
});

const slotRow = z.object({
  slot_name: z.string(),
  active: z.boolean(),
  restart_lsn: lsn.nullable(),
  /** reserved, extended, unreserved, lost (PostgreSQL 13 and later). */
  wal_status: z.string().nullable(),
});

const archiverRow = z.object({
  last_archived_wal: z.string().nullable(),
  last_archived_at: instant.nullable(),
  last_failed_wal: z.string().nullable(),
  last_failed_at: instant.nullable(),
});

/** The facts of a server, read by one query. Times are milliseconds since the epoch by the server's clock. */
export const serverFactsSchema = z.object({
  now: instant,
  started_at: instant,
  /**
   * When shared memory was last initialised: later than the server's start where a process crashed, as the postmaster then
   * restarts all others. Null before the checkpointer runs.
   */
  processes_since: instant.nullable(),
  /** When it last read its configuration files. */
  configuration_read_at: instant,
  version: z.string(),
  system_identifier: z.string(),
  in_recovery: z.boolean(),
  timeline: z.number().int(),
  wal_segment_bytes: z.number().int(),
  pending_restart: z.array(z.string()),
  synchronous_standby_names: z.string(),
  /** The primary's end of WAL; null on a replica. */
  current_lsn: lsn.nullable(),
  standbys: z.array(standbyRow),
  slots: z.array(slotRow),
  /** A replica's positions; null on the primary or before anything came. */
  receive_lsn: lsn.nullable(),
  replay_lsn: lsn.nullable(),
  last_replay_at: instant.nullable(),
  /** streaming, waiting …; null when no WAL receiver runs. */
  receiver_status: z.string().nullable(),
  /** The primary's end of WAL as last reported to the receiver. */
  latest_end_lsn: lsn.nullable(),
  latest_end_at: instant.nullable(),
  replay_paused: z.boolean(),
  /** How a primary archives its WAL (pg_stat_archiver); null on a replica, and where archive_mode is off. */
  archiver: archiverRow.nullable().optional(),
  /** Connections of clients, and how many there may be without those that are kept for superusers. */
  connections: z
    .object({
      used: z.number(),
      most: z.number(),
      /** Of those in use the ones of users that did not come through an endpoint of this host, where these have an address of their own. */
      others: z.number().optional(),
    })
    .optional(),
});

export type ServerFacts = z.output<typeof serverFactsSchema>;

/**
 * What a primary tells every client that may replicate from it: which system it is, and where its WAL ends. Enough to
 * compute a replica's lag.
 */
export type Identity = Pick<ServerFacts, "system_identifier" | "timeline" | "current_lsn">;

/**
 * How much an observation could see.
 * - `identity`: by the replication protocol, into a primary that odoo-pg does not run.
 * - `monitoring`: as a role of monitoring, into a server whose cluster is not ours: the names there are somebody else's.
 * - `full`: as the superuser of a server of ours.
 */
export type Depth = "identity" | "monitoring" | "full";

/** One observation of one node. Times are milliseconds since the epoch by our own clock. */
export interface NodeObservation {
  readonly name: string;
  readonly at: number;
  readonly answer:
    | { readonly kind: "facts"; readonly depth: Exclude<Depth, "identity">; readonly facts: ServerFacts }
    | { readonly kind: "identity"; readonly identity: Identity }
    | { readonly kind: "none"; readonly silence: Silence };
  /** When an observation last brought facts; undefined where none did. */
  readonly lastSeen: number | undefined;
}

export function factsOf(observation: NodeObservation | undefined): ServerFacts | undefined {
  return observation?.answer.kind === "facts" ? observation.answer.facts : undefined;
}

/** The facts of a server whose slots and standbys have the names that this cluster gives them. */
export function fullFactsOf(observation: NodeObservation | undefined): ServerFacts | undefined {
  const answer = observation?.answer;
  return answer?.kind === "facts" && answer.depth === "full" ? answer.facts : undefined;
}

/** What a node reports about itself at every depth; undefined where it does not answer. */
export function identityOf(observation: NodeObservation | undefined): Identity | undefined {
  const answer = observation?.answer;
  return answer?.kind === "identity" ? answer.identity : factsOf(observation);
}

/**
 * Whether a node answers as a primary. One known by its identity alone counts as one: it is followed, and cannot be
 * asked.
 */
export function isPrimary(observation: NodeObservation | undefined): boolean {
  return observation?.answer.kind === "identity" || factsOf(observation)?.in_recovery === false;
}

/** Why a node does not answer; undefined where it does. */
export function silenceIn(observation: NodeObservation | undefined): Silence | undefined {
  if (!observation) return { kind: "not_looked_at" };
  return observation.answer.kind === "none" ? observation.answer.silence : undefined;
}

/** How far a replica is behind; undefined where a position that it takes is unknown. */
export interface Lag {
  /** To the primary's end of WAL; to the last that the WAL receiver heard of it, where the primary does not answer. */
  readonly bytes: number | undefined;
  readonly seconds: number | undefined;
}

/** Of WAL, as PostgreSQL is built (XLOG_BLCKSZ). */
const PAGE_BYTES = 8192;

/**
 * The lag of a replica: 0 seconds where nothing is missing, else the age of the last transaction that it replayed. That age
 * alone would show lag while the primary is idle.
 */
export function lagOf(replica: ServerFacts, primary: Identity | undefined): Lag {
  const end = primary?.current_lsn ?? replica.latest_end_lsn ?? replica.receive_lsn;
  const replayed = replica.replay_lsn;
  if (end === null || end === undefined || replayed === null) return { bytes: undefined, seconds: undefined };
  const bytes = lsnBehind(end, replayed);
  if (bytes === 0) return { bytes, seconds: 0 };
  // WAL that the primary has not written to its disk yet is not sent: at most the page that it is filling.
  const isTail =
    bytes < PAGE_BYTES && replica.receiver_status === "streaming" && replica.receive_lsn === replayed;
  if (isTail) return { bytes, seconds: 0 };
  const since = replica.last_replay_at;
  return { bytes, seconds: since === null ? undefined : Math.max(0, (replica.now - since) / 1000) };
}

function lsnBehind(ahead: Lsn, behind: Lsn): number {
  return ahead > behind ? Number(ahead - behind) : 0;
}

/**
 * The end of a replica's WAL, received or replayed (from an archive it is replayed without being received); 0 where
 * unknown.
 */
export function position(facts: ServerFacts | undefined): Lsn {
  const received = facts?.receive_lsn ?? 0n;
  const replayed = facts?.replay_lsn ?? 0n;
  return received > replayed ? received : replayed;
}
