import * as z from "zod";
import { sentence } from "./sentence.ts";

const moment = z.iso.datetime();

const baseBackup = z.object({
  label: z.string(),
  type: z.enum(["full", "diff", "incr"]),
  started_at: moment,
  /** From here on, with the WAL since, every second can be made. */
  stopped_at: moment,
  stop_lsn: z.string(),
  /** On which it was made; null in records that do not say. */
  timeline: z.number().int().nullable().default(null),
  /** The first segment that it needs; missing in records that do not say. */
  archive_start: z
    .string()
    .regex(/^[0-9A-F]{24}$/)
    .optional()
    .catch(undefined),
  /** Of the cluster, and of what the repository got for it. */
  database_bytes: z.number(),
  repository_bytes: z.number(),
});
export type BaseBackup = z.output<typeof baseBackup>;

/** The file that the last base backup left: `archive-status.json` in the state directory. */
export const archiveStatusSchema = z.object({
  version: z.literal(1),
  written_at: moment,
  /** When a run of each kind was last begun. */
  begun: z.object({ full: moment.nullable(), diff: moment.nullable() }),
  /** The oldest first. */
  bases: baseBackup.array(),
  /** Tablespaces that the last base backup has, by their object id: what makes another one, no recovery follows. */
  tablespaces: z.string().array().default([]),
  /** Since when base backups that have expired are left, as copies elsewhere are being made of them; null where none is. */
  expiry_skipped_since: moment.nullable().default(null),
  /** Of the last run; one line. Null where it went well. */
  error: sentence.nullable(),
});
export type ArchiveStatus = z.output<typeof archiveStatusSchema>;

/** The timeline on which a cluster went on from a moment on. */
const change = z.object({ at: moment, timeline: z.int().positive() });
export type TimelineChange = z.output<typeof change>;

const gap = z.object({ from: moment, to: moment });
export type Gap = z.output<typeof gap>;

/** Whether WAL is taken into the repository, and what it lacks: `archive/archiving.json` in the state directory. */
export const archivingSchema = z.object({
  format: z.literal(1),
  /** The pgBackRest that does it. */
  program: z.string(),
  /** Whose WAL. */
  system_identifier: z.string(),
  archiving: z.boolean(),
  /** Since when it is so. Where nothing is archived: all that is younger may be missing. */
  since: moment,
  /** Times whose WAL is missing, the oldest first. */
  gaps: gap.array(),
  /**
   * The primary at the last change of this, whether WAL waited there, and up to when it was archived. What one that is gone
   * had not archived yet nobody archives: its replicas take for archived whatever they have received (xlogarchive.c,
   * XLogArchiveForceDone).
   */
  primary: z
    .object({
      node: z.string(),
      waits: z.boolean(),
      archived_at: moment,
      /** On which it was seen. */
      timeline: z.int().positive().optional(),
    })
    .optional(),
  /** Changes of the primary, as far as several hosts have made them: the cluster's own record knows those of one host. */
  timelines: change.array().optional(),
  /** On several hosts, since the primary of this record took over: what others may have of it. */
  unfetched: z
    .object({
      /** Other hosts whose repositories were not seen whole yet. */
      hosts: z.string().array(),
      /** The gap of the time before that primary, which they may fill, and since when WAL was archived without it. */
      open: z.object({ gap, since: moment }).optional(),
    })
    .optional(),
});
export type Archiving = z.output<typeof archivingSchema>;
