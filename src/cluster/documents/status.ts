import { nodeStateSchema } from "../../model/node-state.ts";
import * as z from "zod";
import { poolerSchema } from "../../model/pooler.ts";
import { waitingSchema } from "../../model/waiting.ts";
import { backupsSchema } from "../backups/backups.ts";
import { copySchema } from "../backups/copies.ts";
import { provenSecondSchema } from "../backups/second-drill.ts";
import { windowSchema } from "../backups/window.ts";
import { warningSchema } from "../../model/warnings.ts";

const slotStatus = z.strictObject({
  /** ok, inactive (no replica streams from it), unreserved (may be lost at any moment), lost, missing. */
  state: z.enum(["ok", "inactive", "unreserved", "lost", "missing"]),
  /** WAL that the primary keeps for it. */
  kept_bytes: z.number().nullable(),
});
export type SlotStatus = z.output<typeof slotStatus>;

const nodeStatus = z.strictObject({
  name: z.string(),
  /** What the server says; where it does not answer, what is recorded. */
  role: z.enum(["primary", "replica"]),
  state: nodeStateSchema,
  host: z.string(),
  port: z.number(),
  timeline: z.number().nullable(),
  /** Null on a primary, and where it cannot be known. */
  lag_bytes: z.number().nullable(),
  lag_seconds: z.number().nullable(),
  /** A replica's slot on the primary; null where there is nothing to say. */
  slot: slotStatus.nullable(),
  /** From 0 to 1. */
  disk_used_ratio: z.number().nullable(),
  /** Whether the read endpoint uses it as a replica. */
  in_pool: z.boolean(),
  /** Why it is not as it should be, or not in the pool. */
  reason: z.string().nullable(),
  /** When it last answered, ISO 8601. */
  last_seen: z.string().nullable(),
});
export type NodeStatus = z.output<typeof nodeStatus>;

const endpoint = {
  host: z.string(),
  port: z.number(),
  /** Whether it takes connections. */
  answers: z.boolean().nullable(),
  /** Clients that wait for a server that takes them; null where that is not known. */
  waiting: waitingSchema.nullable().default(null),
  /** PgBouncer, where clients share sessions; null where they do not. */
  pooler: poolerSchema.nullable().default(null),
};

/** What `status --json` prints. Fields are only ever added within a version. Bytes and seconds are plain numbers. */
export const statusDocumentSchema = z.strictObject({
  version: z.literal(1),
  cluster: z.string(),
  /** When this was observed, ISO 8601. */
  at: z.string(),
  verdict: z.enum(["ok", "warning", "critical"]),
  postgres_version: z.string().nullable(),
  timeline: z.number().nullable(),
  /** All databases of the primary. */
  database_bytes: z.number().nullable(),
  nodes: nodeStatus.array(),
  endpoints: z.strictObject({
    read: z.strictObject({
      ...endpoint,
      consistency: z.enum(["eventual", "bounded", "read-your-writes"]),
      /** Replicas that it uses; with none, reads go to the primary. */
      pool: z.string().array(),
    }),
    write: z.strictObject({
      ...endpoint,
      /** The node that it leads to; null when no primary answers there. */
      node: z.string().nullable(),
    }),
  }),
  agent: z.strictObject({
    running: z.boolean(),
    pid: z.number().nullable(),
    /** What it works on now, such as `up`. */
    operation: z.string().nullable(),
  }),
  /** The page that shows this, and more; null where the agent serves none. */
  console: z.strictObject({ url: z.string(), answers: z.boolean() }).nullable().default(null),
  /** Null when this host never made one. */
  backups: backupsSchema.nullable(),
  /** Databases that no run of backups has met yet, such as one that was just restored. */
  not_backed_up: z.string().array().default([]),
  /** The seconds that can be brought back. Null where `backup.any_second` is off. */
  window: windowSchema.nullable(),
  /** How far it is proven that a second of it comes back. Null where `backup.any_second` is off. */
  second_proven: provenSecondSchema.nullable().default(null),
  /** All attachments that were written before are kept for these seconds. Null where they are not kept, or unknown. */
  attachments_kept_at: z.string().nullable().default(null),
  /** Copies elsewhere, one for each that is configured. */
  copies: copySchema.array().default([]),
  /** The worst first. */
  warnings: warningSchema.array(),
});
export type StatusDocument = z.output<typeof statusDocumentSchema>;
