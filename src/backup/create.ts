import { odooPg } from "../next-step.ts";
import path from "node:path";
import type { Progress } from "../progress.ts";
import { OdooPgError } from "../errors.ts";
import {
  attachmentBytes,
  filestoreOf,
  hasFilestore,
  readingFilestore,
  storeFnames,
} from "../odoo/filestore.ts";
import { monotonic, now } from "../system/clock.ts";
import {
  ensureDirectory,
  kindOf,
  move,
  namesIn,
  removeFile,
  removeTree,
  treeBytes,
  writeFileAtomic,
} from "../system/files/files.ts";
import { closeToOthers, filesBelow, syncPath } from "../system/files/pool-files.ts";
import type { SuperuserSession } from "../system/sql/sql.ts";
import { hashFile, openLineWriter } from "../system/process/streams.ts";
import { contentsBeside } from "./contents/contents-beside.ts";
import type { Contents } from "./contents/contents.ts";
import { dump, gaveWay } from "./dump.ts";
import { renderGlobals } from "./globals.ts";
import {
  CONTENTS_FILE,
  FILESTORE_LIST_FILE,
  GLOBALS_FILE,
  MANIFEST_FILE,
  SEAL_FILE,
  SUMS_FILE,
  type BackupKind,
  type FilestorePart,
  type Manifest,
} from "./manifest.ts";
import { backupId, folderName, inProgressName } from "./naming.ts";
import { PoolWriter } from "./attachments/pool.ts";
import { readLacks } from "./restorable.ts";
import { beginSnapshot, endSnapshot, roleVerifiers, tableBytes, type Snapshot } from "./snapshot.ts";
import { sealOf } from "./seal.ts";
import type { BackupSource } from "./source.ts";

/** Smaller databases are dumped by one process: starting more would take longer than they save. */
export const PARALLEL_FROM = 64 * 1024 * 1024;

/** Timeout for a table that another session has locked, in milliseconds. */
const LOCK_TIMEOUT = 120_000;

/** Attempts at a backup where another session's exclusive lock interferes. */
const ATTEMPTS = 3;

/** Milliseconds between two lines of progress. */
const TOLD_EVERY = 200;

export interface MadeBackup {
  readonly manifest: Manifest;
  readonly folder: string;
  /** Attachments that were not in the pool yet, and their bytes. */
  readonly copied: number;
  readonly copiedBytes: number;
  /** Whether the database names attachments, and has no folder in the filestore. */
  readonly folderMissing: boolean;
}

/**
 * Backs up one database: one consistent moment of it and of its attachments. What is under way lies under a temporary
 * name; only a whole and durable backup gets its own. The caller holds the lock of the place.
 * @param kinds from the time of its finish, what the backup is besides hourly
 * @throws OdooPgError; then nothing is left but files of the pool that no backup names yet. SqlError 3D000 when the
 * database is not there.
 */
export async function createBackup(
  source: BackupSource,
  database: string,
  kinds: (finishedAt: number) => BackupKind[],
  progress: Progress,
): Promise<MadeBackup> {
  await ensureDirectoryOnce(source.place.dir, source);
  for (let attempt = 1; ; attempt++) {
    try {
      return await attemptBackup(source, database, kinds, progress, attempt === 1);
    } catch (error) {
      if (attempt >= ATTEMPTS || !gaveWay(error)) throw error;
      progress.note(
        `${database}: the dump lost to another session's exclusive lock: trying again with one process`,
      );
    }
  }
}

async function attemptBackup(
  source: BackupSource,
  database: string,
  kinds: (finishedAt: number) => BackupKind[],
  progress: Progress,
  parallel: boolean,
): Promise<MadeBackup> {
  const startedAt = now();
  const { place } = source;
  const session = await source.superuser.in(database).session({
    applicationName: "odoo-pg backup",
    settings: { lock_timeout: String(LOCK_TIMEOUT), jit: "off" },
  });
  let work: string | undefined;
  try {
    const snapshot = await beginSnapshot(session);
    assertRight(snapshot, database);
    // Read before the dump, which takes long.
    await filestoreToRead(source, snapshot);
    const taken = new Set(await namesIn(place.dir));
    // Its own name is only known at the end: the first backup of a week is the first to finish in it.
    const temporary = backupId(database, startedAt, [], (id) => taken.has(inProgressName(id)));
    work = path.join(place.dir, inProgressName(temporary));
    await ensureDirectory(work, { mode: 0o700 });
    return await fill(source, session, snapshot, { startedAt, work, kinds, parallel }, progress);
  } finally {
    await session.close();
    if (work !== undefined) await removeTree(work);
  }
}

async function ensureDirectoryOnce(directory: string, { owner }: BackupSource): Promise<void> {
  // A folder that the user made keeps its owner and mode.
  if ((await kindOf(directory)) === undefined) await ensureDirectory(directory, { mode: 0o700, owner });
}

/** A dump of the wrong database, or of a standby that could cancel it, would be worthless. */
function assertRight(snapshot: Snapshot, database: string): void {
  if (snapshot.in_recovery) {
    throw new OdooPgError("primary_unreachable", {
      message: "The server that answers is a replica; backups are made from the primary.",
      safe: "Nothing was changed; earlier backups are untouched.",
      next: odooPg("status"),
    });
  }
  if (snapshot.database !== database)
    throw new Error(`connected to ${snapshot.database} instead of ${database}`);
}

interface Work {
  readonly startedAt: number;
  /** Folder under a temporary name. The backup is made in `backup` below it. */
  readonly work: string;
  readonly kinds: (finishedAt: number) => BackupKind[];
  /** Whether the dump may use several processes. */
  readonly parallel: boolean;
}

async function fill(
  source: BackupSource,
  session: SuperuserSession,
  snapshot: Snapshot,
  work: Work,
  progress: Progress,
): Promise<MadeBackup> {
  const folder = path.join(work.work, "backup");
  progress.step(snapshot.database, "dump");
  const taken = await takeFrom(source, session, snapshot, { ...work, folder }, progress);
  // From here on the collector may continue: everything that the snapshot names is in the pool, durable.
  await endSnapshot(session);
  progress.step(snapshot.database, "checksums");
  return await complete(source, snapshot, taken, { ...work, folder });
}

/** What was taken from the snapshot, and does not lie in the folder yet. */
interface Taken {
  readonly dumps: Manifest["dumps"];
  readonly contents: Contents;
  readonly files: CopiedAttachments;
  readonly lacks: Manifest["lacks"];
  /** The roles' passwords, as the server keeps them. */
  readonly verifiers: ReadonlyMap<string, string>;
}

/** The work, and the folder that becomes the backup. */
type Filling = Work & { readonly folder: string };

/** Dumps into the folder, copies attachments into the pool, counts rows. */
async function takeFrom(
  source: BackupSource,
  session: SuperuserSession,
  snapshot: Snapshot,
  { folder, work, parallel }: Filling,
  progress: Progress,
): Promise<Taken> {
  const { config } = source;
  const jobs = parallel && snapshot.bytes >= PARALLEL_FROM ? Math.max(1, Math.min(source.processors, 8)) : 1;
  const onTable = tableProgress(snapshot.database, await tableBytes(session), progress);
  const request = { source, session, snapshot, onTable };
  const dumps: Manifest["dumps"] = [];
  let dumped = false;
  const dumping = async (): Promise<void> => {
    await dumpAll();
    dumped = true;
  };
  const dumpAll = async (): Promise<void> => {
    if (config.backup.custom) {
      const compression = await dump({ ...request, target: folder, format: "directory", jobs });
      dumps.push({ format: "directory", path: ".", compression });
    }
    await ensureDirectory(folder, { mode: 0o700 });
    if (!config.backup.plain) return;
    const target = path.join(folder, "database.sql");
    const compression = await dump({ ...request, target, format: "plain", jobs: 1 });
    const file = compression.startsWith("zstd") ? "database.sql.zst" : "database.sql.gz";
    await move(target, path.join(folder, file));
    dumps.push({ format: "plain", path: file, compression });
  };
  // Rows are counted and attachments taken while pg_dump reads: all see the same snapshot.
  const list = path.join(work, FILESTORE_LIST_FILE);
  const { contents, besides: files } = await contentsBeside(
    session,
    dumping,
    async (inVain) => await copyAttachments({ ...request, list, inVain, mayTell: () => dumped, progress }),
  );
  if (files.part.included) await move(list, path.join(folder, FILESTORE_LIST_FILE));
  const lacks = await readLacks(session, snapshot.major);
  const roles = contents.roles.map(({ name }) => name);
  const verifiers = config.backup.role_passwords
    ? await roleVerifiers(session, roles)
    : new Map<string, string>();
  return { dumps, contents, files, lacks, verifiers };
}

/** Describes what the folder holds, seals it, makes it durable, and gives it its name. */
async function complete(
  source: BackupSource,
  snapshot: Snapshot,
  { dumps, contents, files, lacks, verifiers }: Taken,
  { folder, startedAt, kinds }: Filling,
): Promise<MadeBackup> {
  const { place } = source;
  const { database } = snapshot;
  const write = async (name: string, text: string): Promise<void> =>
    await writeFileAtomic(path.join(folder, name), text);
  await write(GLOBALS_FILE, renderGlobals(database, contents.roles, verifiers));
  await write(CONTENTS_FILE, `${JSON.stringify(contents)}\n`);
  const finishedAt = now();
  const own = kinds(finishedAt);
  const taken = new Set(await namesIn(place.dir));
  const id = backupId(database, startedAt, own, (name) => taken.has(folderName(name)));
  const sums = await checksums(folder, source.signal);
  const manifest: Manifest = {
    version: 1,
    id,
    database,
    system_identifier: snapshot.system_identifier,
    server_version: snapshot.version,
    server_major: snapshot.major,
    odoo_pg_version: source.version,
    odoo_version: contents.odoo?.version ?? null,
    dumps,
    size_bytes: await treeBytes(folder),
    database_bytes: snapshot.bytes,
    tables: contents.tables.length,
    rows: rowsOf(contents),
    filestore: files.part,
    lacks,
    started_at: new Date(startedAt).toISOString(),
    snapshot_at: snapshot.at.toISOString(),
    finished_at: new Date(finishedAt).toISOString(),
    requested_by: source.requestedBy,
    kinds: own,
  };
  const text = `${JSON.stringify(manifest, undefined, 2)}\n`;
  await write(MANIFEST_FILE, text);
  const manifestSum = await hashFile(path.join(folder, MANIFEST_FILE), "sha256");
  const allSums = [...sums, `${manifestSum.digest}  ${MANIFEST_FILE}`, ""].join("\n");
  await write(SUMS_FILE, allSums);
  const seal = await sealOf(source.layout, allSums);
  if (seal !== undefined) await write(SEAL_FILE, seal);
  closeToOthers(folder, source.owner);
  syncPath(folder);
  const finished = path.join(place.dir, folderName(id));
  await move(folder, finished);
  const { copied, copiedBytes, folderMissing } = files;
  return { manifest, folder: finished, copied, copiedBytes, folderMissing };
}

/** Lines as sha256sum writes them, for all files that are there by now. */
async function checksums(folder: string, signal: AbortSignal | undefined): Promise<string[]> {
  const lines: string[] = [];
  for (const name of filesBelow(folder)) {
    const { digest } = await hashFile(path.join(folder, name), "sha256", signal);
    lines.push(`${digest}  ${name}`);
  }
  return lines;
}

function rowsOf({ tables }: Contents): number {
  return tables.reduce((sum, { rows }) => sum + (rows ?? 0), 0);
}

/** Bytes of tables that pg_dump has begun to read: as near as it tells. */
function tableProgress(
  database: string,
  bytes: ReadonlyMap<string, number>,
  progress: Progress,
): (table: string) => void {
  const total = [...bytes.values()].reduce((sum, size) => sum + size, 0);
  let done = 0;
  let current = 0;
  return (table) => {
    done += current;
    current = bytes.get(table) ?? 0;
    progress.bytes(database, done, total);
  };
}

/** Reports the attachments still to be copied when the dump is done. */
function attachmentProgress({
  session,
  snapshot,
  mayTell,
  progress,
}: Copying): (bytes: number) => Promise<void> {
  let total: number | undefined;
  let told = monotonic();
  return async (bytes) => {
    if (!mayTell() || monotonic() - told < TOLD_EVERY) return;
    told = monotonic();
    if (total === undefined) progress.step(snapshot.database, "attachments");
    total ??= await attachmentBytes(session);
    progress.bytes(snapshot.database, bytes, total);
  };
}

interface CopiedAttachments {
  readonly part: FilestorePart;
  readonly copied: number;
  readonly copiedBytes: number;
  readonly folderMissing: boolean;
}

/** Where its attachments are to lie, and whether they do. Undefined where it cannot have any. @throws OdooPgError filestore_unusable. */
async function filestoreToRead(
  { config }: BackupSource,
  { database, odoo }: Snapshot,
): Promise<{ filestores: string; folder: string; there: boolean } | undefined> {
  const filestores = config.odoo.filestore;
  if (!odoo || filestores === undefined) return undefined;
  const folder = filestoreOf(filestores, database);
  return folder === undefined
    ? undefined
    : { filestores, folder, there: await hasFilestore(filestores, folder) };
}

interface Copying {
  readonly source: BackupSource;
  readonly session: SuperuserSession;
  readonly snapshot: Snapshot;
  /** File that lists all attachments of the backup. */
  readonly list: string;
  readonly inVain: AbortSignal;
  /** Whether nothing else tells how far it is. */
  readonly mayTell: () => boolean;
  readonly progress: Progress;
}

/** Copies what the snapshot names and the pool lacks; the list of all of it becomes part of the backup. */
async function copyAttachments(copying: Copying): Promise<CopiedAttachments> {
  const { source, session, snapshot, inVain } = copying;
  const { odoo } = snapshot;
  const without = (reason: "not_odoo" | "not_configured" | "folder_missing"): CopiedAttachments => ({
    part: { included: false, reason },
    copied: 0,
    copiedBytes: 0,
    folderMissing: reason === "folder_missing",
  });
  if (!odoo) return without("not_odoo");
  if (source.config.odoo.filestore === undefined) return without("not_configured");
  const filestore = await filestoreToRead(source, snapshot);
  if (filestore === undefined) return without("folder_missing");
  const { filestores, there } = filestore;
  const list = await openLineWriter(copying.list);
  let pool: PoolWriter | undefined;
  try {
    const writer = new PoolWriter(source.place, filestore.folder, source.owner, list);
    pool = writer;
    await writer.open();
    const tell = attachmentProgress(copying);
    await readingFilestore(filestores, async () => {
      for await (const names of storeFnames(session)) {
        for (const name of names) {
          source.signal?.throwIfAborted();
          inVain.throwIfAborted();
          await writer.add(name);
          await tell(writer.added.bytes);
        }
      }
    });
    const added = await writer.finish();
    await list.end();
    const { copied, copiedBytes, ...part } = added;
    if (!there && part.files === 0 && part.missing.count > 0) {
      await removeFile(copying.list);
      return without("folder_missing");
    }
    // Where the folder is missing, what the pool has of earlier backups is in this one too.
    const folderMissing = !there && part.files > 0;
    return { part: { included: true, ...part }, copied, copiedBytes, folderMissing };
  } finally {
    // Whichever of them fails.
    await list.abandon();
    await pool?.close();
  }
}
