import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { fileBytes } from "../../system/files.ts";
import { firstBytes } from "../../system/pipeline.ts";
import { zipEntries } from "../../system/zip.ts";
import type { Contents } from "../contents.ts";
import type { BackupSource } from "../source.ts";
import {
  checkArchiveHeader,
  checkArchiveVersion,
  missingOfArchive,
  readArchiveList,
} from "./archive-list.ts";
import { neededFilestore, NewFilestore } from "./attachments.ts";
import { assertRoom, jobsOf, tableProgress, type Filling, type Loaded } from "./filling.ts";
import type { RestoreInput } from "./input.ts";
import { listArchive, loadArchive, loadSql } from "./load.ts";
import { ODOO_FORM, PREPARED_EXTENSIONS } from "./new-database.ts";
import { splitName, type SqlContents } from "./sql-filter.ts";

/** Bytes of a dump that are looked at for the extensions that it needs: they stand at its beginning. */
const HEAD = 1024 * 1024;

/** Loads an archive of pg_dump that nothing is known of. @throws OdooPgError dump_unusable, disk_full … */
export async function loadForeignArchive(
  filling: Filling,
  input: RestoreInput & { kind: "archive" },
): Promise<Loaded> {
  const { source, database, target, progress } = filling;
  const { file, format } = input;
  const { major } = source.installation;
  if (format !== "tar") {
    const toc = format === "directory" ? path.join(file, "toc.dat") : file;
    checkArchiveHeader(file, await firstBytes(toc, 16), major);
  }
  const list = await readList(source, file);
  checkArchiveVersion(file, list, major);
  await assertRoom(source, format === "directory" ? 0 : await fileBytes(file), 0);
  progress.step(database, "create the database");
  await target.createEmpty(ODOO_FORM);
  await target.createExtensions([...list.extensions, ...(list.odoo ? PREPARED_EXTENSIONS : [])], false, true);
  progress.step(database, "load");
  let refused: string[];
  try {
    refused = await loadArchive(
      filling,
      file,
      list,
      format === "tar" ? 1 : jobsOf(filling),
      tableProgress(filling),
    );
  } catch (error) {
    throw unreadableArchive(file, error);
  }
  return {
    differences: (found) => missingOfArchive(list, found).map((line) => ({ line })),
    notes: refused.map((statement) => `not granted: ${statement}`),
    owners: undefined,
    settings: [],
    knownMissing: undefined,
  };
}

async function readList(source: BackupSource, file: string) {
  try {
    return readArchiveList(await listArchive(source, file));
  } catch (error) {
    throw unreadableArchive(file, error);
  }
}

/** pg_restore's words about an archive that is cut or damaged, as an error about the file. */
function unreadableArchive(file: string, error: unknown): unknown {
  const words = error instanceof OdooPgError && error.code === "command_failed" ? error.message : "";
  const cut =
    /could not (?:read from input file|find block ID|read from|open input file|uncompress|close compress|open file)|unexpected end of file|corrupt|did not find magic string|input file (?:is too short|appears|does not appear)|unexpected block ID|error during file seek|invalid|out of memory/i;
  if (!cut.test(words)) return error;
  return new OdooPgError("dump_unusable", {
    message: `${file} is cut off or damaged. ${words}`,
    next: "Take another copy of the file.",
    cause: error,
  });
}

/** Loads SQL that nothing is known of. @param open begins to read it, and may be called twice */
export async function loadForeignSql(
  filling: Filling,
  name: string,
  open: () => AsyncIterable<Buffer>,
): Promise<Loaded> {
  const { database, target, progress } = filling;
  const needed = await extensionsIn(open());
  progress.step(database, "create the database");
  await target.createEmpty(ODOO_FORM);
  await target.createExtensions([...new Set([...PREPARED_EXTENSIONS, ...needed])], false, true);
  progress.step(database, "load");
  const { contents, refusedGrants } = await loadSql(filling, name, open());
  return {
    differences: (found) => missingRows(contents, found).map((line) => ({ line })),
    notes: refusedGrants.map((statement) => `not granted: ${statement}`),
    owners: undefined,
    settings: [],
    knownMissing: undefined,
  };
}

/** Names of the extensions that a plain dump makes. */
async function extensionsIn(sql: AsyncIterable<Buffer>): Promise<string[]> {
  const pieces: Buffer[] = [];
  let bytes = 0;
  for await (const piece of sql) {
    pieces.push(piece);
    bytes += piece.length;
    if (bytes >= HEAD) break;
  }
  const text = Buffer.concat(pieces).toString("utf8", 0, HEAD);
  const matches = text.matchAll(/^CREATE EXTENSION (?:IF NOT EXISTS )?("(?:[^"]|"")+"|[^\s;"]+)/gm);
  return [...matches].map(([, name = ""]) => splitName(name)?.name ?? name);
}

/** Tables whose rows are not as many as the dump gave, one line each. */
function missingRows(contents: SqlContents, found: Contents): string[] {
  const rows = new Map(found.tables.map(({ schema, name, rows }) => [`${schema}.${name}`, rows]));
  return [...contents.rows].flatMap(([written, wanted]) => {
    const table = splitName(written);
    const there = table && rows.get(`${table.schema}.${table.name}`);
    // Partitioned tables have no rows of their own.
    if (there === wanted || there === null) return [];
    return [`table ${written} has ${there ?? "no"} rows, not ${wanted}`];
  });
}

/** Loads a zip of Odoo's database manager, with its attachments. @throws OdooPgError dump_unusable, disk_full … */
export async function loadZip(filling: Filling, file: string): Promise<Loaded> {
  const { source, database, progress, target } = filling;
  let sqlBytes: number | undefined;
  let filesBytes = 0;
  for await (const { name, bytes } of zipEntries(file)) {
    if (name === "dump.sql") sqlBytes = bytes;
    else if (isAttachment(name)) filesBytes += bytes;
  }
  if (sqlBytes === undefined) {
    throw new OdooPgError("dump_unusable", {
      message: `${file} is not a backup of Odoo's database manager: it holds no dump.sql.`,
      safe: "Nothing was changed.",
    });
  }
  await assertRoom(source, sqlBytes, filesBytes);
  const total = sqlBytes;
  let done = 0;
  const loaded = await loadForeignSql(filling, `dump.sql in ${file}`, async function* () {
    done = 0;
    for await (const entry of zipEntries(file)) {
      if (entry.name !== "dump.sql") continue;
      for await (const chunk of entry.content()) {
        done += chunk.length;
        progress.bytes(database, done, total);
        yield chunk;
      }
      return;
    }
  });
  if (filesBytes > 0) {
    progress.step(database, "restore the attachments");
    const files = new NewFilestore(path.join(await neededFilestore(source.config), target.name));
    filling.files = files;
    for await (const entry of zipEntries(file)) {
      source.signal?.throwIfAborted();
      if (!isAttachment(entry.name)) continue;
      await files.addFromZip(entry.name.slice("filestore/".length), entry.content());
      progress.bytes(database, files.bytes, filesBytes);
    }
    await files.finish();
  }
  return loaded;
}

/** Odoo's list of files to collect comes along in the zip; a new database has nothing to collect. */
function isAttachment(name: string): boolean {
  return name.startsWith("filestore/") && !name.startsWith("filestore/checklist/");
}
