import * as z from "zod";
import { lackSchema } from "../model/backups/lack.ts";
import { sentence } from "../model/backups/sentence.ts";

/**
 * A backup is one folder, `NAME_YYYYMMDD_HHMM[SS][-weekly|-monthly].dump`, which pg_restore reads as it is:
 *
 * | file | what it holds |
 * |---|---|
 * | `toc.dat` and what it names | the dump in pg_dump's directory format |
 * | `database.sql.gz` (or `.zst`) | the same as SQL, where plain dumps are asked for |
 * | `globals.sql` | the roles that the dump names, without passwords unless asked for |
 * | `contents.json` | tables with their rows, indexes, constraints …: what a restore must bring back |
 * | `filestore.tsv` | one line for each attachment: SHA-1, bytes, store_fname; the files lie in the pool |
 * | `manifest.json` | this document: small, because a catalogue reads all of them |
 * | `SHA256SUMS` | checksums of all of the above, as `sha256sum --check` reads them |
 * | `SHA256SUMS.seal` | proves by a secret of the cluster that the checksums are its own |
 * | `checks.json` | what was found when the backup was looked at later |
 * | `differences.txt` | where the last restore came out otherwise: what differs, one line each |
 *
 * Only the last two change.
 *
 * The pool `filestore/<2 hex>/<sha1>` lies beside the backups and is shared by all of them.
 */
export const MANIFEST_FILE = "manifest.json";
export const CONTENTS_FILE = "contents.json";
export const FILESTORE_LIST_FILE = "filestore.tsv";
export const GLOBALS_FILE = "globals.sql";
export const SUMS_FILE = "SHA256SUMS";
export const SEAL_FILE = "SHA256SUMS.seal";
export const CHECKS_FILE = "checks.json";
export const DIFFERENCES_FILE = "differences.txt";
/** pg_dump's table of contents in a directory dump. */
export const TOC_FILE = "toc.dat";

/** A moment in UTC, ISO 8601. */
const moment = z.iso.datetime();

const dumpSchema = z.object({
  format: z.enum(["directory", "plain"]),
  /** The name of a file in the folder of the backup; `.` for the directory format. Never one that leads out of it. */
  path: z.string().regex(/^(?!\.\.$)[^/\0]+$/),
  /** As pg_dump --compress takes it, such as `gzip:1`. */
  compression: z.string(),
});

/** Attachments that are not as their name in the database says. */
const oddFilesSchema = z.object({
  count: z.number().int(),
  /** The first 100 store_fname. */
  first: z.string().array(),
});

const filestoreSchema = z.discriminatedUnion("included", [
  z.object({
    included: z.literal(true),
    files: z.number().int(),
    bytes: z.number().int(),
    /** Named by the database, but already absent from the live filestore when the backup was made. */
    missing: oddFilesSchema,
    /** Whose content did not fit the SHA-1 in their name already then; kept as they were. */
    altered: oddFilesSchema,
    /** Lost or damaged in the live filestore by then, and taken from the pool: the backup has them whole. */
    pool_only: oddFilesSchema.default({ count: 0, first: [] }),
  }),
  z.object({
    included: z.literal(false),
    reason: z.enum(["not_odoo", "not_configured", "folder_missing"]),
  }),
]);
export type FilestorePart = z.output<typeof filestoreSchema>;

/** Whether it is a backup of Odoo's without the attachments. */
export function lacksAttachments(filestore: FilestorePart): boolean {
  return !filestore.included && filestore.reason !== "not_odoo";
}

const kind = z.enum(["hourly", "daily", "weekly", "monthly"]);
/** Each backup is hourly; the first of a day, of a week, of a month is that too. */
export type BackupKind = z.output<typeof kind>;

export const manifestSchema = z.object({
  version: z.literal(1),
  /** Name of the folder without `.dump`. */
  id: z.string(),
  /** As current_database() said it inside the snapshot. */
  database: z.string(),
  /** 64-bit number as text. */
  system_identifier: z.string(),
  /** As the server says it, such as `15.18 (Debian …)`. */
  server_version: z.string(),
  /** Major version of the server and of its pg_dump. */
  server_major: z.number().int(),
  odoo_pg_version: z.string(),
  /** Version of module base, such as `19.0.1.3`; null when the database is not Odoo's. */
  odoo_version: z.string().nullable(),
  dumps: dumpSchema.array().min(1),
  /** Bytes of the files in the folder of the backup, without the pool. */
  size_bytes: z.number().int(),
  /** pg_database_size() of the source. */
  database_bytes: z.number().int(),
  tables: z.number().int(),
  rows: z.number().int(),
  filestore: filestoreSchema,
  /** Objects that a restore cannot recreate, or only differently. */
  lacks: lackSchema.array().default([]),
  started_at: moment,
  /** When the snapshot was taken: the moment that the backup shows. */
  snapshot_at: moment,
  finished_at: moment,
  requested_by: z.object({ kind: z.enum(["schedule", "command"]), user: z.string(), host: z.string() }),
  kinds: kind.array().min(1),
});
export type Manifest = z.output<typeof manifestSchema>;

/** The result of later checks of a backup. `null` means that it was never checked. */
export const checksSchema = z.object({
  version: z.literal(1),
  /** When every checksum was last found right; null after a check that found damage. */
  verified_at: moment.nullable(),
  /** When it was last restored into a scratch database and compared without a difference. */
  drilled_at: moment.nullable(),
  /** The damage that the last check found; empty when all is well. */
  problems: sentence.array(),
});
export type Checks = z.output<typeof checksSchema>;

export const NO_CHECKS: Checks = { version: 1, verified_at: null, drilled_at: null, problems: [] };
