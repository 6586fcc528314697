import * as z from "zod";
import { lackSchema } from "./lack.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import { sentence } from "./sentence.ts";

const moment = z.iso.datetime();

const databaseResult = z.object({
  database: z.string(),
  /** `dropped`: it went away meanwhile, which is no failure. */
  outcome: z.enum(["ok", "failed", "dropped"]),
  /** Of the backup, when there is one. */
  id: z.string().nullable(),
  seconds: z.number(),
  size_bytes: z.number().int(),
  /** Of attachments that were not in the pool yet. */
  copied_bytes: z.number().int(),
  /** One line; the log of the backups has all of it. */
  error: sentence.nullable(),
  /** Only of one that failed: what is still safe, and the next step. */
  safe: z.string().optional(),
  next: z.string().optional(),
  /** The same by its parts. Absent in a record of version 0.1.0. */
  next_step: nextStepSchema.optional(),
  /** True when it names attachments and has no folder in the filestore. */
  filestore_missing: z.boolean().optional(),
  /** What a restore cannot make of it, or not as it was; each has its line in the warnings too. */
  lacks: lackSchema.array().optional(),
  /** Problems that did not keep the backup from being made; each a sentence. */
  warnings: z.string().array(),
});
export type DatabaseResult = z.output<typeof databaseResult>;

/** What happened in a run: printed, given to the hooks, and kept for monitoring. Fields are only ever added. */
export const runReportSchema = z.object({
  version: z.literal(1),
  kind: z.enum(["backup", "drill"]),
  cluster: z.string(),
  host: z.string(),
  started_at: moment,
  finished_at: moment,
  ok: z.boolean(),
  /** Why it could not even begin: none of its databases was looked at. */
  not_begun: sentence.optional(),
  databases: databaseResult.array(),
  /** Ids of the backups that had expired. */
  removed: z.string().array(),
  /** Whether what had expired was removed, or left as a copy elsewhere was being made of it. Absent where nothing was gained. */
  rotation: z.enum(["done", "skipped"]).optional(),
  /** What went wrong besides: rotation, hooks. */
  warnings: z.string().array(),
});
export type RunReport = z.output<typeof runReportSchema>;

const databaseProof = z.object({
  database: z.string(),
  /** From when on there was something to prove: its first backup, or when it was first seen. */
  since: moment,
  /** The last time that one of its backups was restored and compared without a difference. */
  proven: z.object({ at: moment, id: z.string() }).nullable(),
  /** The last drill that failed, until a backup of the same database that is no older is proven. */
  failed: z.object({ at: moment, id: z.string(), error: sentence }).nullable(),
});
/** The evidence that one database can be brought back, and from when. */
export type DatabaseProof = z.output<typeof databaseProof>;

/** The file that monitoring reads: `backup-status.json` in the state directory. */
export const backupStatusSchema = z.object({
  version: z.literal(1),
  written_at: moment,
  /**
   * Up to this moment every database is backed up: the oldest of their newest backups. Null while one has none, or
   * where there is no database.
   */
  last_good_at: moment.nullable(),
  /** Databases that are backed up. */
  databases: z.number().int(),
  /** Those without any backup. */
  without_backup: z.string().array(),
  backups: z.number().int(),
  /** All backups and the pool. */
  size_bytes: z.number().int(),
  last_run: runReportSchema.nullable(),
  last_drill: runReportSchema.nullable(),
  /** When drills were last begun, also where none was due. Absent in a record of version 0.1.0. */
  drills_begun_at: moment.optional(),
  /** Since when runs have left what has expired, as copies elsewhere were being made of it; absent where the last removed it. */
  rotation_skipped_since: moment.optional(),
  /** Databases of whose newest backup a restore could not make all, or not as it was. Absent in a record of version 0.1.0. */
  lacking: z.object({ database: z.string(), id: z.string(), lacks: lackSchema.array() }).array().optional(),
  /** One for each database that is backed up, by name. Absent in a record of version 0.1.0. */
  proofs: databaseProof.array().optional(),
});
export type BackupStatus = z.output<typeof backupStatusSchema>;
