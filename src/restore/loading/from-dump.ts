import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { fileBytes } from "../../system/files/files.ts";
import { bytesOf, firstBytes } from "../../system/process/pipeline.ts";
import { tarFiles } from "../../system/files/tar.ts";
import type { Contents } from "../../backup/contents/contents.ts";
import { isOdooDatabase } from "../../backup/contents/read-contents.ts";
import type { BackupSource } from "../../backup/source.ts";
import { withDumpedFolder } from "./backup-folder.ts";
import {
  checkArchiveHeader,
  checkArchiveVersion,
  missingOfArchive,
  readArchiveList,
} from "./archive-list.ts";
import { assertRoom, jobsOf, tableProgress, type Filling, type Loaded } from "./filling.ts";
import type { Place, RestoreInput } from "../reading/input.ts";
import { listArchive, loadArchive } from "./load.ts";
import { ODOO_FORM, type NewDatabase } from "../target/new-database.ts";
import { choosePart } from "../reading/parts.ts";
import { asideNotes } from "../target/set-aside.ts";
import { SqlLoader } from "./sql-loader.ts";
import { unpacked } from "./unpacked.ts";
import { splitName } from "../reading/statement.ts";
import type { SqlText } from "../reading/text.ts";

/** Loads a foreign archive of pg_dump. @throws OdooPgError dump_unusable, disk_full … */
export async function loadForeignArchive(
  filling: Filling,
  input: RestoreInput & { kind: "archive" },
): Promise<Loaded> {
  const { file, format } = input;
  if (format !== "directory") return await loadArchiveAt(filling, input);
  return await withDumpedFolder(
    async (use) => await unpacked(filling, use),
    file,
    async (at) => await loadArchiveAt(filling, { ...input, at }),
  );
}

async function loadArchiveAt(filling: Filling, input: RestoreInput & { kind: "archive" }): Promise<Loaded> {
  const { source, database, target, progress } = filling;
  const { file, at, format } = input;
  const { major } = source.installation;
  if (format === "tar") {
    // pg_restore hangs on a truncated one.
    for await (const _ of tarFiles(file, bytesOf(at)));
  } else {
    const toc = format === "directory" ? path.join(at, "toc.dat") : at;
    checkArchiveHeader(file, await firstBytes(toc, 16), major);
  }
  const list = await readList(source, input);
  checkArchiveVersion(file, list, major);
  await assertRoom(source, format === "directory" ? 0 : await fileBytes(at), 0);
  progress.step(database, "create the database");
  await target.createEmpty(ODOO_FORM);
  progress.step(database, "load");
  const beforeRetry = async (): Promise<void> => await completeForOdoo(target);
  const tar = format === "tar";
  const archive = {
    name: file,
    file: at,
    list,
    tar,
    jobs: jobsOf(filling),
    trusted: false,
    immutableUnaccent: true,
    beforeRetry,
  };
  const { setAside, notes } = await loadArchive(filling, archive, tableProgress(filling)).catch(
    (error: unknown) => {
      throw unreadableArchive(file, error);
    },
  );
  if (list.odoo) await completeForOdoo(target);
  return {
    objects: undefined,
    differences: (found) => missingOfArchive(list, setAside, found).map((line) => ({ line })),
    notes: [...notes, ...asideNotes(setAside)],
    setAside,
    owners: undefined,
    settings: [],
    knownMissing: undefined,
  };
}

async function readList(source: BackupSource, { file, at }: Place) {
  try {
    return readArchiveList(await listArchive(source, at));
  } catch (error) {
    throw unreadableArchive(file, error);
  }
}

/** pg_restore's message about a truncated or damaged archive, as an error about the file. */
function unreadableArchive(file: string, error: unknown): unknown {
  const words = error instanceof OdooPgError && error.code === "command_failed" ? error.message : "";
  const cut =
    /could not (?:read from input file|find block ID|read from|open input file|uncompress|close compress|open file)|unexpected end of file|corrupt|did not find magic string|input file (?:is too short|appears|does not appear)|unexpected block ID|error during file seek|invalid|out of memory/i;
  if (!cut.test(words)) return error;
  return new OdooPgError("dump_unusable", {
    message: `${file} is truncated or damaged. ${words}`,
    next: "Copy the file again.",
    cause: error,
  });
}

/**
 * Extensions that Odoo creates in each new database before it restores one (odoo/service/db.py), and that a dump of one
 * schema takes for granted. The dump's own extensions, and functions of those names, take precedence.
 */
async function completeForOdoo(target: NewDatabase): Promise<void> {
  const taken = await target.superuser.use((session) =>
    session.query(
      `SELECT pg_catalog.to_regprocedure('public.unaccent(text)') IS NOT NULL AS unaccent,
         pg_catalog.to_regprocedure('public.similarity(text, text)') IS NOT NULL AS pg_trgm`,
    ),
  );
  for (const name of ["pg_trgm", "unaccent"]) {
    if (taken[0]?.[name] === true) continue;
    const problem = await target.createExtension({ name, schema: "public" }, false, true);
    if (problem && problem.code !== "0A000") throw problem;
  }
}

/** Loads foreign SQL. @param part the database to load, where it holds several */
export async function loadForeignSql(
  filling: Filling,
  text: SqlText,
  part: string | undefined,
): Promise<Loaded> {
  const { database, target, progress } = filling;
  const { name, open, converted } = text;
  const chosen = await choosePart(text, part);
  progress.step(database, "create the database");
  await target.createEmpty(ODOO_FORM);
  progress.step(database, "load");
  const beforeRetry = async (): Promise<void> => await completeForOdoo(target);
  const order = {
    name,
    part: chosen.database,
    converted,
    trusted: false,
    immutableUnaccent: true,
    beforeRetry,
  };
  const { rows, setAside, notes } = await SqlLoader.load(filling, order, open());
  if (await target.loading.use(isOdooDatabase)) await completeForOdoo(target);
  return {
    objects: undefined,
    differences: (found) => missingRows(rows, found).map((line) => ({ line })),
    notes: [...chosen.notes, ...(converted() ? [CONVERTED] : []), ...notes, ...asideNotes(setAside)],
    setAside,
    owners: undefined,
    settings: [],
    knownMissing: undefined,
  };
}

const CONVERTED =
  "the dump was UTF-16, as PowerShell writes it, which may have changed letters with accents before: look at some";

/** Tables whose number of rows differs from the dump, one line each. */
function missingRows(given: ReadonlyMap<string, number>, found: Contents): string[] {
  const rows = new Map(found.tables.map(({ schema, name, rows }) => [`${schema}.${name}`, rows]));
  return [...given].flatMap(([written, wanted]) => {
    const table = splitName(written);
    const there = table && rows.get(`${table.schema}.${table.name}`);
    // Partitioned tables have no rows of their own.
    if (there === wanted || there === null) return [];
    return [`table ${written} has ${there ?? "no"} rows, not ${wanted}`];
  });
}
