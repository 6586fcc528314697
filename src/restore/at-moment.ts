import type { RecoveredMoment } from "../archive/moment.ts";
import type { ArchivePlace } from "../archive/place.ts";
import { NO_CHECKS } from "../backup/manifest.ts";
import { databasesToBackUp } from "../backup/databases.ts";
import { createBackup, type MadeBackup } from "../backup/create.ts";
import { placeOf, type BackupPlace } from "../backup/place.ts";
import type { BackupSource } from "../backup/source.ts";
import { OdooPgError, toOdooPgError, type ErrorCode } from "../errors.ts";
import { odooPg, nextStep, sameCommand } from "../next-step.ts";
import { checkPages, type PagesChecked } from "../postgres/sql/page-checks.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import { oneLine, printableLine } from "../printable.ts";
import type { Progress } from "../progress.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { monotonic, pause } from "../system/clock.ts";
import { ensureDirectory, kindOf, removeTree } from "../system/files/files.ts";
import { explainSql, SqlError } from "../system/sql/sql.ts";
import { ownPid } from "../system/process/process.ts";
import { restoreDatabase, type RestoreOrder, type RestoreReport } from "./restore.ts";

/** How long to wait for a backup that is being made, in milliseconds. */
const BACKUP_TIMEOUT = 3_600_000;

export interface MomentOrder extends Omit<RestoreOrder, "input" | "part"> {
  /** The name of the database at that moment. */
  readonly from: string;
  /** Whether a missing attachment fails it. */
  readonly requireAttachments: boolean;
}

export interface MomentReport extends RestoreReport {
  /** Attachments of that moment that no longer exist anywhere: how many, and the first names. */
  readonly missing: { readonly count: number; readonly first: readonly string[] };
}

/**
 * Restores a database of another moment beside the live ones: an ordinary backup is made from the recovered cluster,
 * with the attachments that it names from the pool or from the live filestore, and restored like any other backup. It
 * is compared and gets its name as usual; then the backup is removed.
 */
export async function restoreFromMoment(
  source: BackupSource,
  archive: ArchivePlace,
  moment: RecoveredMoment,
  order: MomentOrder,
  progress: Progress,
): Promise<MomentReport> {
  // Otherwise another run could prune the files that are taken from the pool.
  return await withPoolHeld(source, progress, async () => {
    await removeTree(archive.copies);
    await ensureDirectory(archive.copies);
    try {
      const place: BackupPlace = { ...placeOf(archive.copies), pool: source.place.pool };
      const made = await copyOut(source, place, moment, order, progress);
      const missing = missingIn(made);
      if (order.requireAttachments && missing.count > 0) throw attachmentsMissing(order, missing);
      const { manifest, folder } = made;
      const backup = { id: manifest.id, folder, manifest, checks: NO_CHECKS, madeHere: true as const };
      const input = { kind: "backup" as const, backup, place };
      const report = await restoreDatabase(source, { ...order, input }, progress);
      return { ...report, missing };
    } finally {
      await removeTree(archive.copies);
    }
  });
}

/** What was found in a database of another moment. */
export interface ProvenDatabase {
  readonly database: string;
  readonly tables: number;
  readonly rows: number;
  readonly attachments: number;
  readonly missing: MomentReport["missing"];
  /** Damage in its tables and indexes; null where amcheck is not installed, or the check could not run. */
  readonly pages: PagesChecked | null;
  /** Why it could not be read to its end, in one line; null where it could. */
  readonly failure: string | null;
}

/**
 * Reads all databases of a recovered cluster: each is dumped whole, its attachments are looked up as for a restore, and
 * its tables and indexes are checked for consistency. Nothing of it is kept. A database that cannot be read does not
 * stop the others. The pool is locked for one database at a time, so that other backups can run in between.
 * @throws errors that say nothing about what is kept, such as a full disk; errors that keep the recovered cluster from
 *   answering
 */
export async function proveMoment(
  source: BackupSource,
  archive: ArchivePlace,
  moment: RecoveredMoment,
  progress: Progress,
): Promise<ProvenDatabase[]> {
  const { only_filter: part } = source.config.backup;
  const databases = await databasesToBackUp(moment.superuser, part);
  const proven: ProvenDatabase[] = [];
  for (const { name: from } of databases) {
    const read = await orFailure(source, moment, from, progress, async () => {
      return await readWhole(source, archive, moment, from, progress);
    });
    progress.step(from, "check tables and indexes");
    const pages = await orFailure(source, moment, from, progress, async () => {
      return await checkPages(moment.superuser.in(from), source.signal);
    });
    proven.push({
      ...(read.ok ? read.value : { database: from, ...NOTHING_READ }),
      pages: (pages.ok ? pages.value : undefined) ?? null,
      failure: (read.ok ? undefined : read.failure) ?? (pages.ok ? undefined : pages.failure) ?? null,
    });
  }
  return proven;
}

type ReadDatabase = Omit<ProvenDatabase, "pages" | "failure">;

const NOTHING_READ: Omit<ReadDatabase, "database"> = {
  tables: 0,
  rows: 0,
  attachments: 0,
  missing: { count: 0, first: [] },
};

async function readWhole(
  source: BackupSource,
  archive: ArchivePlace,
  moment: RecoveredMoment,
  from: string,
  progress: Progress,
): Promise<ReadDatabase> {
  return await withPoolHeld(source, progress, async () => {
    await removeTree(archive.copies);
    await ensureDirectory(archive.copies);
    try {
      const place: BackupPlace = { ...placeOf(archive.copies), pool: source.place.pool };
      const made = await copyOut(source, place, moment, { from }, progress);
      const { tables, rows, filestore } = made.manifest;
      const attachments = filestore.included ? filestore.files : 0;
      return { database: from, tables, rows, attachments, missing: missingIn(made) };
    } finally {
      await removeTree(archive.copies);
    }
  });
}

/** Errors that say nothing about a database: another process is at work, or room is missing. */
const NO_FAILURE: readonly ErrorCode[] = ["locked", "interrupted", "disk_full", "filestore_unusable"];

/** Runs an action on a database, and returns why it failed. @throws errors that say nothing about the database */
async function orFailure<T>(
  { signal }: BackupSource,
  { superuser }: RecoveredMoment,
  database: string,
  { note }: Progress,
  act: () => Promise<T>,
): Promise<{ readonly ok: true; readonly value: T } | { readonly ok: false; readonly failure: string }> {
  try {
    return { ok: true, value: await act() };
  } catch (error) {
    if (signal?.aborted === true) throw error;
    const told = error instanceof SqlError ? explainSql(error, database) : toOdooPgError(error);
    if (NO_FAILURE.includes(told.code) || !(await answers(superuser))) throw error;
    const failure = oneLine(told.message);
    note(printableLine(`${database} cannot be read: ${failure}`));
    return { ok: false, failure };
  }
}

async function answers(superuser: Superuser): Promise<boolean> {
  return await superuser
    .use(async (session) => await session.query("SELECT 1"))
    .then(
      () => true,
      () => false,
    );
}

async function copyOut(
  source: BackupSource,
  place: BackupPlace,
  { superuser }: RecoveredMoment,
  { from }: Pick<MomentOrder, "from">,
  progress: Progress,
): Promise<MadeBackup> {
  const { config } = source;
  const then: BackupSource = {
    ...source,
    config: { ...config, backup: { ...config.backup, custom: true, plain: false, role_passwords: false } },
    place,
    superuser,
    replicas: [],
    isPassing: true,
  };
  try {
    return await createBackup(then, from, () => ["hourly"], progress);
  } catch (error) {
    // 3D000 invalid_catalog_name
    if (!(error instanceof SqlError) || error.code !== "3D000") throw error;
    const names = await superuser.use((session) =>
      session.query("SELECT datname FROM pg_database WHERE NOT datistemplate ORDER BY 1"),
    );
    throw new OdooPgError("database_unknown", {
      message: `There was no database "${from}" at that moment. There were: ${names.map((row) => printableLine(String(row["datname"]))).join(", ")}.`,
      safe: "Nothing was changed.",
      next: "Name it as it was called then.",
      cause: error,
    });
  }
}

function missingIn({ manifest: { filestore }, folderMissing }: MadeBackup): MomentReport["missing"] {
  if (filestore.included) return filestore.missing;
  return folderMissing ? { count: 1, first: ["the whole folder of the filestore"] } : { count: 0, first: [] };
}

function attachmentsMissing({ from }: MomentOrder, { count, first }: MomentReport["missing"]): OdooPgError {
  return new OdooPgError("restore_failed", {
    message: `${count} attachments of "${from}" at that moment are neither in the pool nor in a filestore.`,
    details: first,
    safe: "Nothing was changed.",
    next: nextStep`To restore all else: ${sameCommand([], ["--require-attachments"])}`,
  });
}

async function withPoolHeld<T>(
  { place, owner }: BackupSource,
  progress: Progress,
  act: () => Promise<T>,
): Promise<T> {
  await ensurePlace(place, owner);
  const begun = monotonic();
  for (let told = false; ; told = true) {
    try {
      await takeLock(place.lockFile, ownPid);
      break;
    } catch (error) {
      const held = error instanceof OdooPgError && error.code === "locked";
      if (!held || monotonic() - begun > BACKUP_TIMEOUT) throw error;
      if (!told) progress.note("a backup is being made: it is waited for", odooPg("status"));
      await pause(1000);
    }
  }
  try {
    return await act();
  } finally {
    await releaseLock(place.lockFile, ownPid);
  }
}

async function ensurePlace({ dir }: BackupPlace, owner: BackupSource["owner"]): Promise<void> {
  if ((await kindOf(dir)) === undefined) await ensureDirectory(dir, { mode: 0o700, owner });
}
