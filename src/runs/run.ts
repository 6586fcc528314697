import { windowMilliseconds } from "../config/sections/backup.ts";
import type { Progress } from "../progress.ts";
import { unlessCopying } from "../store/copying.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { wordsOfLack } from "../model/backups/lack.ts";
import { nextInDocument, odooPg } from "../next-step.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { oneLine } from "../printable.ts";
import { monotonic, now, pause } from "../system/clock.ts";
import { ensureDirectory, kindOf } from "../system/files/files.ts";
import { ownPid } from "../system/process/process.ts";
import { explainSql, SqlError } from "../system/sql/sql.ts";
import { readCatalogue, type CataloguedBackup } from "../backup/catalogue.ts";
import { createBackup, PARALLEL_FROM, type MadeBackup } from "../backup/create.ts";
import { databaseNumber, databaseState, type DatabaseSize } from "../backup/databases.ts";
import { drillBackup } from "./drill.ts";
import type { BackupPlace } from "../backup/place.ts";
import { prune, removeLeftOvers } from "../backup/prune.ts";
import type { DatabaseResult, RunReport } from "../model/backups/backup-report.ts";
import { settleInterrupted, tidyUp } from "../restore/target/publish.ts";
import { kindsAt } from "../backup/retention.ts";
import type { BackupSource } from "../backup/source.ts";
import { PROBLEMS_NOTED, SoundFiles, type Verified } from "../backup/verify.ts";

/** Called with a database or a backup and the full reason why it failed: a report holds one line of it. */
type TellFailure = (subject: string, failure: OdooPgError) => void;

/**
 * Holds the lock of a place: only one run at a time makes or removes backups there.
 * @throws OdooPgError locked when another process holds it.
 */
export async function withBackupLock<T>(
  { place, owner }: Pick<BackupSource, "place" | "owner">,
  act: () => Promise<T>,
): Promise<T> {
  return await withLock(place, place.lockFile, owner, act);
}

export async function withLock<T>(
  place: BackupPlace,
  lockFile: string,
  owner: BackupSource["owner"],
  act: () => Promise<T>,
): Promise<T> {
  // A folder that the user made keeps its owner and mode.
  if ((await kindOf(place.dir)) === undefined) await ensureDirectory(place.dir, { mode: 0o700, owner });
  await takeLock(lockFile, ownPid);
  try {
    return await act();
  } finally {
    await releaseLock(lockFile, ownPid);
  }
}

/**
 * Backs up databases, then removes what has expired. A failure of one database does not stop the others. Small
 * databases are dumped in parallel, as many at a time as there are processors; large ones one after the other, each by
 * several processes. The caller holds the lock of the place.
 */
export async function backUpDatabases(
  source: BackupSource,
  databases: readonly DatabaseSize[],
  progress: Progress,
  tell: TellFailure = () => {},
): Promise<RunReport> {
  const startedAt = now();
  await removeLeftOvers(source.place);
  const warnings: string[] = [];
  // Until then a database whose restore was killed has another one's attachments.
  await settleInterrupted(source, progress.note).catch((error: unknown) => {
    warnings.push(`a restore or a rename that was interrupted: ${oneLine(toOdooPgError(error).message)}`);
  });
  const { backups } = await readCatalogue(source.place);
  const results: DatabaseResult[] = [];
  const backUp = async ({ name }: DatabaseSize): Promise<void> => {
    results.push(
      await backUpOne(
        source,
        name,
        backups.filter(({ manifest }) => manifest.database === name),
        progress,
        tell,
      ),
    );
  };
  const small = databases.filter(({ bytes }) => bytes < PARALLEL_FROM);
  const waiting = small.values();
  const worker = async (): Promise<void> => {
    for (const database of waiting) await backUp(database);
  };
  // An interruption ends all of them: none may still be running when the lock is released.
  const workers = await Promise.allSettled(
    Array.from({ length: Math.min(source.processors, small.length) }, worker),
  );
  for (const ended of workers) if (ended.status === "rejected") throw ended.reason;
  for (const database of databases) if (database.bytes >= PARALLEL_FROM) await backUp(database);

  // Nothing is removed unless something was gained.
  const gained = results.some(({ outcome }) => outcome === "ok");
  const rotated = gained ? await rotate(source, results, warnings) : {};
  const { config, requestedBy } = source;
  return {
    version: 1,
    kind: "backup",
    cluster: config.cluster,
    host: requestedBy.host,
    started_at: new Date(startedAt).toISOString(),
    finished_at: new Date(now()).toISOString(),
    ok: results.every(({ outcome }) => outcome !== "failed"),
    databases: results.sort((a, b) => (a.database < b.database ? -1 : 1)),
    removed: [],
    ...rotated,
    warnings,
  };
}

/**
 * Removes what has expired.
 * @param warnings receives why something was not removed
 */
async function rotate(
  source: BackupSource,
  results: readonly DatabaseResult[],
  warnings: string[],
): Promise<Pick<RunReport, "rotation"> & Partial<Pick<RunReport, "removed">>> {
  try {
    const firstOfDay = await madeFirstOfDay(source, results);
    const options = {
      now: now(),
      dryRun: false,
      pool: firstOfDay,
      window: windowMilliseconds(source.config.backup.any_second),
      filestores: source.config.odoo.filestore,
    };
    const pruned = await unlessCopying(
      source.layout,
      async () => await prune(source.place, source.config.backup, options),
    );
    if (!pruned) {
      warnings.push("what has expired was not removed: a copy elsewhere is being made of it");
      return { rotation: "skipped" };
    }
    if (typeof pruned.pool_kept === "string") warnings.push(`the pool was left alone: ${pruned.pool_kept}`);
    return { removed: [...pruned.removed], rotation: "done" };
  } catch (error) {
    warnings.push(`rotation: ${oneLine(toOdooPgError(error).message)}`);
    return {};
  }
}

/** The pool is pruned once a day: that reads the lists of all backups. */
async function madeFirstOfDay(source: BackupSource, results: readonly DatabaseResult[]): Promise<boolean> {
  const made = new Set(results.map(({ id }) => id));
  const { backups } = await readCatalogue(source.place);
  return backups.some(({ id, manifest }) => made.has(id) && manifest.kinds.includes("daily"));
}

async function backUpOne(
  source: BackupSource,
  database: string,
  earlier: readonly CataloguedBackup[],
  progress: Progress,
  tell: TellFailure,
  again = false,
): Promise<DatabaseResult> {
  const start = monotonic();
  const seconds = (): number => Math.round((monotonic() - start) / 10) / 100;
  const nothing = { database, id: null, size_bytes: 0, copied_bytes: 0, warnings: [] };
  let oid: string | undefined;
  try {
    source.signal?.throwIfAborted();
    oid = await databaseNumber(source.superuser, database);
    const kinds = (at: number) => kindsAt(at, earlier, source.config.backup);
    const made = await createBackup(source, database, kinds, progress);
    const { id, size_bytes } = made.manifest;
    progress.step(database, `done: ${id}`);
    return {
      database,
      outcome: "ok",
      id,
      seconds: seconds(),
      size_bytes,
      copied_bytes: made.copiedBytes,
      error: null,
      warnings: [...warningsOf(made), ...made.manifest.lacks.map(wordsOfLack)],
      ...(made.manifest.lacks.length ? { lacks: made.manifest.lacks } : {}),
      ...(made.folderMissing ? { filestore_missing: true } : {}),
    };
  } catch (error) {
    const gone = await hasGone(source, database, oid, error);
    if (gone === "replaced" && !again) {
      progress.note(`${database} was replaced meanwhile: the one that has its name now is backed up`);
      return await backUpOne(source, database, earlier, progress, tell, true);
    }
    if (gone) {
      progress.note(`${database} was dropped, renamed or closed meanwhile`);
      return { ...nothing, outcome: "dropped", seconds: seconds(), error: null };
    }
    if (source.signal?.aborted) throw error;
    const told = error instanceof SqlError ? explainSql(error, database) : toOdooPgError(error);
    tell(database, told);
    return {
      ...nothing,
      outcome: "failed",
      seconds: seconds(),
      error: oneLine(told.message),
      ...(told.safe === undefined ? {} : { safe: told.safe }),
      ...(told.next === undefined ? {} : nextInDocument(told.next, undefined)),
    };
  }
}

/** Milliseconds within which a drop or rename must begin after the sessions of its database were ended. */
const BEGIN_TIMEOUT = 5000;

/** Milliseconds that a drop or a rename may take once it has begun. */
const CHANGE_TIMEOUT = 120_000;

/**
 * Whether a backup failed because its database was dropped, renamed or closed meanwhile; `replaced` where another one has
 * its name, as after a restore.
 * @param oid its number when the backup began
 */
async function hasGone(
  { superuser }: BackupSource,
  database: string,
  oid: string | undefined,
  error: unknown,
): Promise<boolean | "replaced"> {
  // Ending sessions causes neither a full disk nor an unusable filestore.
  const elsewhere =
    error instanceof OdooPgError && (error.code === "disk_full" || error.code === "filestore_unusable");
  const timeout = elsewhere ? 0 : BEGIN_TIMEOUT;
  const start = monotonic();
  try {
    for (;;) {
      const state = await databaseState(superuser, database, oid);
      if (state === "replaced") return "replaced";
      if (state === "gone") return true;
      if (monotonic() - start >= (state === "changing" ? CHANGE_TIMEOUT : timeout)) return false;
      await pause(50);
    }
  } catch {
    // The server itself is gone.
    return false;
  }
}

/** What a person should know about a backup that was made. */
function warningsOf({ manifest: { filestore }, folderMissing }: MadeBackup): string[] {
  if (!filestore.included) {
    if (filestore.reason === "not_odoo") return [];
    return [
      filestore.reason === "not_configured"
        ? `its attachments are not in the backup: "odoo.filestore" is not set`
        : "its attachments are not in the backup: it has no folder in the filestore",
    ];
  }
  if (folderMissing) {
    return [
      `it has no folder in the filestore: ${filestore.files} attachments are taken from earlier backups, ${filestore.missing.count} are in none`,
    ];
  }
  const warnings: string[] = [];
  const some = ({ first }: { first: readonly string[] }): string => first.slice(0, 3).join(", ");
  if (filestore.missing.count)
    warnings.push(
      `${filestore.missing.count} attachments are missing in the live filestore too: ${some(filestore.missing)}`,
    );
  if (filestore.altered.count)
    warnings.push(
      `${filestore.altered.count} attachments are damaged in the live filestore: ${some(filestore.altered)}`,
    );
  if (filestore.pool_only.count)
    warnings.push(
      `${filestore.pool_only.count} attachments are missing or damaged in the live filestore; this backup has them whole, from earlier ones: ${some(filestore.pool_only)}`,
    );
  return warnings;
}

/** The damage found by checking all files of a backup, as an error of one sentence. */
function damaged({ problems }: Verified): OdooPgError {
  const [first = "", ...more] = problems;
  return new OdooPgError("backup_damaged", {
    message: more.length
      ? oneLine(
          `${problems.length} ${problems.length < PROBLEMS_NOTED ? "" : "or more "}things are wrong, first: ${first}`,
        )
      : oneLine(first),
    details: more.length ? problems : [],
  });
}

/** Where the rest is. */
function nextOf(
  { id }: CataloguedBackup,
  { code, details }: OdooPgError,
): Pick<DatabaseResult, "next" | "next_step"> {
  if (!details.length) return {};
  const show = odooPg("backup", "show", id, ...(code === "backup_damaged" ? [] : ["--differences"]));
  return nextInDocument([show], undefined);
}

/**
 * Proves backups by restoring them, one after the other; a failure of one does not stop the others. The caller holds
 * the lock of drills.
 * @param tell is given each failure in full
 * @param budget milliseconds after which no drill is begun, except the first
 */
export async function drillBackups(
  source: BackupSource,
  backups: readonly CataloguedBackup[],
  progress: Progress,
  { tell = () => {}, budget = Infinity }: { tell?: TellFailure; budget?: number } = {},
): Promise<RunReport> {
  const startedAt = now();
  const begun = monotonic();
  await tidyUp(source, progress.note);
  const sound = new SoundFiles();
  const results: DatabaseResult[] = [];
  for (const backup of backups) {
    const start = monotonic();
    if (results.length && start - begun >= budget) break;
    const { database, size_bytes } = backup.manifest;
    const outcome = async (): Promise<Pick<DatabaseResult, "outcome" | "error" | "next">> => {
      try {
        source.signal?.throwIfAborted();
        const found = await drillBackup(source, backup, sound, progress);
        if (!found) return { outcome: "dropped", error: null };
        if (found.ok) return { outcome: "ok", error: null };
        const failure = found.failure ?? damaged(found);
        tell(backup.id, failure);
        return { outcome: "failed", error: oneLine(failure.message), ...nextOf(backup, failure) };
      } catch (error) {
        if (source.signal?.aborted) throw error;
        const told = toOdooPgError(error);
        tell(backup.id, told);
        return { outcome: "failed", error: oneLine(told.message) };
      }
    };
    results.push({
      database,
      ...(await outcome()),
      id: backup.id,
      seconds: Math.round((monotonic() - start) / 10) / 100,
      size_bytes,
      copied_bytes: 0,
      warnings: [],
    });
  }
  return {
    version: 1,
    kind: "drill",
    cluster: source.config.cluster,
    host: source.requestedBy.host,
    started_at: new Date(startedAt).toISOString(),
    finished_at: new Date(now()).toISOString(),
    ok: results.every(({ outcome }) => outcome !== "failed"),
    databases: results,
    removed: [],
    warnings: waiting(backups.slice(results.length)),
  };
}

/** Reports that there was not enough time for some. */
function waiting(backups: readonly CataloguedBackup[]): string[] {
  if (!backups.length) return [];
  const names = backups.map(({ manifest }) => manifest.database).join(", ");
  return [
    oneLine(
      `the time for drills was over: the next run begins with ${backups.length === 1 ? "" : `${backups.length} databases that wait: `}${names}`,
    ),
  ];
}
