import { nextStep, odooPg } from "../next-step.ts";
import { createHash, randomBytes } from "node:crypto";
import path from "node:path";
import type { Progress } from "../progress.ts";
import { OdooPgError } from "../errors.ts";
import { programOf } from "../postgres/installation.ts";
import { fileBytes, kindOf, move, removeFile, writeFileAtomic } from "../system/files/files.ts";
import { Folder } from "../system/files/held/folder.ts";
import { contentWithin } from "../system/files/others-files.ts";
import { temporaryDirectory } from "../system/files/temporary-directory.ts";
import { outputOf } from "../system/process/pipeline.ts";
import { writeZip, type ZipPart } from "../system/files/zip.ts";
import { readContents, type CataloguedBackup } from "../backup/catalogue.ts";
import type { Contents } from "../backup/contents/contents.ts";
import { readFilestoreList, type ListedFile } from "../backup/attachments/filestore-list.ts";
import type { BackupPlace } from "../backup/place.ts";
import { readArchiveList } from "./loading/archive-list.ts";
import { withBackupFolder } from "./loading/backup-folder.ts";
import { unpackedUnder } from "./loading/unpacked.ts";
import { lockMark } from "./target/new-database.ts";
import { piecesOf } from "./reading/input.ts";
import { listArchive } from "./loading/load.ts";
import { SqlReader } from "./reading/sql-reader.ts";
import { handlingOf } from "./reading/statement.ts";
import type { BackupSource } from "../backup/source.ts";

/** Size of a database, in bytes, from which its SQL may exceed the limit of a plain zip entry. */
const LARGE = 1024 ** 3;

export interface ExportReport {
  readonly id: string;
  readonly file: string;
  readonly size_bytes: number;
  readonly files: number;
}

/** The backup to export, and its source. */
interface Exporting {
  readonly source: BackupSource;
  readonly backup: CataloguedBackup;
  readonly place: BackupPlace;
  readonly progress: Progress;
}

/**
 * Writes a backup as a zip that Odoo's own database manager restores: `dump.sql` without owners, `manifest.json`,
 * `filestore/`. The file appears when it is whole.
 * @throws OdooPgError refused for a database that is not Odoo's or an existing file, backup_damaged, disk_full.
 */
export async function exportOdooZip(
  source: BackupSource,
  backup: CataloguedBackup,
  place: BackupPlace,
  file: string,
  progress: Progress,
): Promise<ExportReport> {
  if ((await kindOf(file)) !== undefined) throw refused(`${file} already exists.`);
  if ((await kindOf(path.dirname(file))) === undefined)
    throw refused(`There is no directory ${path.dirname(file)}.`);
  const unfinished = `${file}.in_progress`;
  await removeFile(unfinished);
  await asRegularFiles(source, backup, async (there) => {
    const contents = await odooContents(there);
    try {
      await writeZip(unfinished, parts({ source, backup: there, place, progress }, contents, unfinished));
      await move(unfinished, file);
    } catch (error) {
      await removeFile(unfinished);
      throw error;
    }
  });
  const { filestore } = backup.manifest;
  const files = filestore.included ? filestore.files : 0;
  return { id: backup.id, file, size_bytes: await fileBytes(file), files };
}

/** Streams the same zip to standard output: the reader needs the exit status to know that it is whole. */
export async function streamOdooZip(exporting: Exporting): Promise<void> {
  await asRegularFiles(exporting.source, exporting.backup, async (backup) => {
    const contents = await odooContents(backup);
    await temporaryDirectory(undefined, async (directory) => {
      await writeZip(undefined, parts({ ...exporting, backup }, contents, path.join(directory, "zip")));
    });
  });
}

/** A copy that a killed export leaves goes with the next restore: nobody has the lock on its mark then. */
async function asRegularFiles(
  source: BackupSource,
  backup: CataloguedBackup,
  use: (backup: CataloguedBackup) => Promise<void>,
): Promise<void> {
  await withBackupFolder(
    async (read) =>
      await source.superuser.use(async (session) => {
        let mark: string;
        do mark = randomBytes(4).toString("hex");
        while (!(await lockMark(session, mark)));
        return await unpackedUnder(source, mark, read);
      }),
    backup,
    use,
  );
}

/** @throws OdooPgError refused for a database that is not Odoo's */
async function odooContents(backup: CataloguedBackup): Promise<Contents> {
  const contents = await readContents(backup.folder);
  if (!contents.odoo) throw refused(`${backup.id} is not of a database of Odoo.`);
  return contents;
}

/** @param unfinished path for unfinished files; a suffix is added */
async function* parts(
  { source, backup, place, progress }: Exporting,
  contents: Contents,
  unfinished: string,
): AsyncGenerator<ZipPart> {
  progress.step(backup.manifest.database, `export ${backup.id}`);
  const { filestore } = backup.manifest;
  const all = filestore.included ? filestore.bytes : 0;
  yield { name: "manifest.json", text: odooManifest(backup, contents) };
  yield {
    name: "dump.sql",
    content: dumpSql(source, backup, contents, unfinished),
    large: backup.manifest.database_bytes > LARGE,
  };
  if (!filestore.included) return;
  let done = 0;
  const pool = Folder.openThere(place.pool);
  try {
    for await (const listed of readFilestoreList(backup.folder)) {
      source.signal?.throwIfAborted();
      const { bytes, storeFname } = listed;
      done += bytes;
      progress.bytes(backup.manifest.database, done, all);
      yield { name: `filestore/${storeFname}`, content: checked(pool, listed), large: bytes >= 2 ** 32 - 1 };
    }
  } finally {
    pool?.close();
  }
}

function refused(message: string): OdooPgError {
  return new OdooPgError("refused", { message, safe: "Nothing was changed." });
}

/**
 * A file of the pool; an altered one causes an error at its end. Its bytes are on their way by then, and the backup may be
 * a stranger's: so what a link leads to is not read, nor more than is listed.
 */
async function* checked(pool: Folder | undefined, { sha1, bytes }: ListedFile): AsyncGenerator<Buffer> {
  if (pool === undefined) throw damaged(sha1);
  const hash = createHash("sha1");
  try {
    for await (const chunk of contentWithin(pool, sha1.slice(0, 2), sha1, bytes)) {
      hash.update(chunk);
      yield chunk;
    }
  } catch (error) {
    throw damaged(sha1, error);
  }
  if (hash.digest("hex") !== sha1) throw damaged(sha1);
}

function damaged(sha1: string, cause?: unknown): OdooPgError {
  return new OdooPgError("backup_damaged", {
    message: `The attachment ${sha1} of the backup is missing or altered.`,
    safe: "No zip was written.",
    next: nextStep`Choose another backup: ${odooPg("backup", "list")}`,
    cause,
  });
}

/** The dump as Odoo writes it, `pg_dump --no-owner`; grants name roles of this server and are left out. */
async function* dumpSql(
  source: BackupSource,
  { folder, manifest }: CataloguedBackup,
  { unaccent }: Contents,
  unfinished: string,
): AsyncGenerator<Buffer> {
  const made = Buffer.from("CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;\n");
  // pg_dump does not say that it is IMMUTABLE, and without that an index on it is lost.
  const immutable = Buffer.from("\nALTER FUNCTION public.unaccent(text) IMMUTABLE;\n");
  let held: Buffer | undefined = unaccent?.immutable === true ? Buffer.alloc(0) : undefined;
  for await (const chunk of plainSql(source, folder, manifest, unfinished)) {
    if (held === undefined) {
      yield chunk;
      continue;
    }
    held = Buffer.concat([held, chunk]);
    const at = held.indexOf(made);
    if (at >= 0) {
      yield Buffer.concat([held.subarray(0, at + made.length), immutable, held.subarray(at + made.length)]);
      held = undefined;
    } else if (held.length > LOOKED_AT) {
      yield held;
      held = undefined;
    }
  }
  if (held !== undefined) yield held;
}

/** Extensions come at the beginning of a dump. */
const LOOKED_AT = 4 * 1024 * 1024;

async function* plainSql(
  source: BackupSource,
  folder: string,
  { dumps }: CataloguedBackup["manifest"],
  unfinished: string,
): AsyncGenerator<Buffer> {
  if (dumps.some(({ format }) => format === "directory")) {
    const { first, load, last } = readArchiveList(await listArchive(source, folder));
    const list = `${unfinished}.list`;
    try {
      await writeFileAtomic(list, [...first, ...load, ...last].map(({ line }) => `${line}\n`).join(""));
      yield* pgRestoreToSql(source, folder, list);
    } finally {
      await removeFile(list);
    }
    return;
  }
  const file = path.join(folder, dumps[0]?.path ?? "");
  const compression = file.endsWith(".gz") ? "gzip" : file.endsWith(".zst") ? "zstd" : "none";
  const reader = new SqlReader(file);
  for await (const piece of reader.read(
    piecesOf({ file, at: file, compression }, undefined, source.signal),
  )) {
    if (piece.kind === "rows") yield piece.bytes;
    else if (piece.kind === "rows end") yield Buffer.from("\\.\n");
    else if (piece.kind === "statement") {
      const { text, copies } = piece.statement;
      const { how } = handlingOf(piece.statement);
      // The line ends after the semicolon of a COPY.
      if (how !== "left out" && how !== "privilege")
        yield copies === undefined ? text : Buffer.concat([text, NEWLINE]);
    }
  }
  yield NEWLINE;
}

const NEWLINE = Buffer.from("\n");

function pgRestoreToSql(source: BackupSource, folder: string, list: string): AsyncGenerator<Buffer> {
  return outputOf({
    program: programOf(source.installation, "pg_restore"),
    args: ["--no-owner", "--no-privileges", "--no-tablespaces", `--use-list=${list}`, "--file=-", folder],
    signal: source.signal,
  });
}

/** As `odoo/service/db.py`, dump_db_manifest writes it. */
function odooManifest({ manifest }: CataloguedBackup, { odoo }: Contents): string {
  // `19.0.1.3` and `saas~18.2.1.3`: the version of the module follows that of Odoo.
  const [major = "", minor = "0"] = (odoo?.version ?? "").split(".");
  const version = `${major}.${minor}`;
  const number = /^\d+$/.test(major) ? Number(major) : major;
  return JSON.stringify(
    {
      odoo_dump: "1",
      db_name: manifest.database,
      version,
      version_info: [number, Number(minor), 0, "final", 0, ""],
      major_version: version,
      pg_version: `${manifest.server_major}.0`,
      modules: odoo?.modules ?? {},
    },
    undefined,
    4,
  );
}
