import path from "node:path";
import type { Progress } from "../../agent/events.ts";
import { OdooPgError } from "../../errors.ts";
import { storeFnames } from "../../odoo/filestore.ts";
import { monotonic } from "../../system/clock.ts";
import { diskSpace, fileBytes } from "../../system/files.ts";
import { firstBytes } from "../../system/pipeline.ts";
import { explainSql, quoteSqlIdentifier as id, SqlError, withSession } from "../../system/sql.ts";
import { zipEntries } from "../../system/zip.ts";
import { readContents, type CataloguedBackup } from "../catalogue.ts";
import { compareContents } from "../compare.ts";
import type { Contents } from "../contents.ts";
import { readFilestoreList } from "../filestore-list.ts";
import { isOdooDatabase, readDatabaseContents } from "../read-contents.ts";
import type { BackupSource } from "../source.ts";
import { verifyFolder } from "../verify.ts";
import {
  checkArchiveHeader,
  checkArchiveVersion,
  missingOfArchive,
  readArchiveList,
} from "./archive-list.ts";
import { filestoreFor, freeFilestoreFor, neededFilestore, NewFilestore } from "./attachments.ts";
import { sqlOf, type RestoreInput } from "./input.ts";
import { listArchive, loadArchive, loadSql, type Loading } from "./load.ts";
import { NewDatabase, ODOO_FORM, PREPARED_EXTENSIONS } from "./new-database.ts";
import { publish, tidyUp } from "./publish.ts";
import { splitName, type SqlContents } from "./sql-filter.ts";

export interface RestoreOrder {
  readonly input: RestoreInput;
  readonly database: string;
  readonly replace: boolean;
  readonly keepOld: boolean;
}

export interface RestoreReport {
  readonly database: string;
  readonly owner: string;
  readonly tables: number;
  readonly rows: number;
  /** Files of attachments that were restored; null where the input holds none. */
  readonly files: number | null;
  readonly seconds: number;
  /** Where the replaced database is kept. */
  readonly kept: string | null;
  /** What is not as it was, and what to know. */
  readonly notes: readonly string[];
}

/** What was loaded, and what it has to be held against. */
interface Loaded {
  readonly differences: (found: Contents) => string[];
  readonly notes: string[];
  /** Owners of single things that are not the database's, where they are to stay. */
  readonly owners: Contents | undefined;
  readonly settings: readonly string[];
  /** Attachments that the database names and the input is known to lack. */
  readonly knownMissing: number | undefined;
}

interface Work {
  readonly source: BackupSource;
  readonly order: RestoreOrder;
  readonly target: NewDatabase;
  readonly progress: Progress;
  readonly loading: Loading;
  /** Set once there are files to put there. */
  files: NewFilestore | undefined;
}

/** Bytes of a dump that are looked at for the extensions that it needs: they stand at its beginning. */
const HEAD = 1024 * 1024;

/**
 * Restores into a database in the making, compares, and gives it its name. Whatever fails before, nothing that existed
 * is touched and nothing of the new one is left.
 * @throws OdooPgError database_exists, database_unknown, dump_unusable, backup_damaged, restore_failed, disk_full …
 */
export async function restoreDatabase(
  source: BackupSource,
  order: RestoreOrder,
  progress: Progress,
): Promise<RestoreReport> {
  const begun = monotonic();
  await tidyUp(source);
  const present = await ownerOf(source, order.database);
  await assertName(source, order, present);
  const target = await NewDatabase.begin(source);
  const loading: Loading = { source, target, signal: source.signal };
  const work: Work = { source, order, target, progress, loading, files: undefined };
  try {
    const owner = present ?? (await ownerWanted(work));
    const loaded = await load(work);
    progress.step(order.database, "compare");
    const found = await withSession(target.credentials, async (session) => {
      await session.query("ANALYZE");
      return await readDatabaseContents(session);
    });
    const differences = loaded.differences(found);
    if (differences.length) throw restoreFailed(differences);
    const notes = [...loaded.notes, ...(await attachmentNotes(work, loaded))];
    await target.dismissLoader(owner);
    if (loaded.owners) notes.push(...(await giveBack(target, loaded.owners, owner)));
    await target.setDatabaseSettings(loaded.settings);
    const like = order.replace ? order.database : undefined;
    const { kept } = await publish(
      source,
      target,
      {
        database: order.database,
        owner,
        replace: order.replace,
        keepOld: order.keepOld,
        files: work.files,
        like,
      },
      progress,
    );
    await target.close();
    return {
      database: order.database,
      owner,
      tables: found.tables.length,
      rows: found.tables.reduce((sum, { rows }) => sum + (rows ?? 0), 0),
      files: work.files?.files ?? null,
      seconds: Math.round((monotonic() - begun) / 100) / 10,
      kept: kept ?? null,
      notes,
    };
  } catch (error) {
    await work.files?.discard();
    await target.discard();
    throw withSafe(
      error instanceof SqlError ? explainSql(error, `The restore of "${order.database}" failed`) : error,
      order,
    );
  }
}

function withSafe(error: unknown, { replace, database }: RestoreOrder): unknown {
  if (!(error instanceof OdooPgError) || error.safe !== undefined) return error;
  return new OdooPgError(error.code, {
    message: error.message,
    safe: replace
      ? `Database "${database}" and its filestore are as they were; what was restored is removed.`
      : "What was restored until then is removed; nothing that existed was changed.",
    ...(error.next === undefined ? {} : { next: error.next }),
    cause: error,
  });
}

function restoreFailed(differences: readonly string[]): OdooPgError {
  const more = differences.length > 10 ? `\n  … and ${differences.length - 10} more` : "";
  return new OdooPgError("restore_failed", {
    message: `What was restored is not what the backup holds:\n  ${differences.slice(0, 10).join("\n  ")}${more}`,
  });
}

/** Role that owns a database; undefined when there is none of that name. */
async function ownerOf(source: BackupSource, database: string): Promise<string | undefined> {
  return await withSession({ ...source.superuser, connectLimit: 10_000 }, async (session) => {
    const [row] = await session.query(
      "SELECT pg_get_userbyid(datdba) AS owner, datistemplate AS template FROM pg_database WHERE datname = $1",
      [database],
    );
    if (row?.["template"] === true) throw reserved(database);
    return row === undefined ? undefined : String(row["owner"]);
  });
}

function reserved(database: string): OdooPgError {
  return new OdooPgError("refused", {
    message: `"${database}" cannot be the name of a database of Odoo: it has another purpose.`,
    safe: "Nothing was changed.",
    next: "Choose another name.",
  });
}

/** @throws OdooPgError for a name that cannot be, that is taken, or that is not there to be replaced. */
async function assertName(
  { config }: BackupSource,
  { database, replace }: RestoreOrder,
  present: string | undefined,
): Promise<void> {
  assertDatabaseName(config, database);
  if (replace && present === undefined) {
    throw new OdooPgError("database_unknown", {
      message: `There is no database "${database}" to replace.`,
      safe: "Nothing was changed.",
      next: "Restore it with --as.",
    });
  }
  if (!replace && present !== undefined) {
    throw new OdooPgError("database_exists", {
      message: `Database "${database}" is there already.`,
      safe: "Nothing was changed.",
      next: `Choose another name, or replace it: --replace ${JSON.stringify(database)} --confirm ${JSON.stringify(database)}`,
    });
  }
  if (!replace) await freeFilestoreFor(config, database);
}

/** @throws OdooPgError refused, usage. */
export function assertDatabaseName(config: BackupSource["config"], database: string): void {
  const own = ["postgres", "template0", "template1", config.odoo.template];
  if (own.includes(database) || database.startsWith("odoo_pg_")) throw reserved(database);
  const bytes = Buffer.byteLength(database);
  if (bytes === 0 || bytes > 63 || database.includes("\0")) {
    throw new OdooPgError("usage", {
      message: `The name of a database has 1 to 63 bytes; ${JSON.stringify(database)} has ${bytes}.`,
      safe: "Nothing was changed.",
    });
  }
  filestoreFor(config, database);
}

/** Who shall own the database: for a backup of this cluster who owned it, else Odoo's role. */
async function ownerWanted({ source, order }: Work): Promise<string> {
  const role = source.config.odoo.role;
  if (order.input.kind !== "backup") return role;
  const { backup } = order.input;
  const { database } = await readContents(backup.folder);
  return await withSession(source.superuser, async (session) => {
    const rows = await session.query(
      `SELECT FROM pg_roles, pg_control_system() c WHERE rolname = $1 AND NOT rolsuper AND c.system_identifier::text = $2`,
      [database.owner, backup.manifest.system_identifier],
    );
    return rows.length ? database.owner : role;
  });
}

async function load(work: Work): Promise<Loaded> {
  const { input } = work.order;
  if (input.kind === "backup") return await loadBackup(work, input);
  if (input.kind === "archive") return await loadForeignArchive(work, input);
  if (input.kind === "zip") return await loadZip(work, input.file);
  const total = await fileBytes(input.file);
  const onBytes = (bytes: number): void => work.progress.bytes(work.order.database, bytes, total);
  return await loadForeignSql(work, input.file, () => sqlOf(input, onBytes, work.source.signal));
}

async function loadBackup(work: Work, input: RestoreInput & { kind: "backup" }): Promise<Loaded> {
  const { source, order, target, progress, loading } = work;
  const { backup } = input;
  const { manifest, folder } = backup;
  const problems: string[] = [];
  progress.step(order.database, `check ${backup.id}`);
  await verifyFolder(
    folder,
    (problem) => problems.push(problem),
    () => source.signal?.throwIfAborted(),
  );
  if (problems.length) throw damaged(backup, problems);
  if (manifest.server_major > source.installation.major) {
    throw new OdooPgError("dump_unusable", {
      message: `${backup.id} was made from PostgreSQL ${manifest.server_major}, and this server is PostgreSQL ${source.installation.major}.`,
      safe: "Nothing was changed.",
      next: "Restore it into a cluster of that version or later.",
    });
  }
  const expected = await readContents(folder);
  const own = await isOwnCluster(source, backup);
  const { filestore } = manifest;
  await assertRoom(source, manifest.database_bytes, filestore.included ? filestore.bytes : 0);
  progress.step(order.database, "create the database");
  await target.createEmpty(expected.database);
  await target.createExtensions(
    expected.extensions.map(({ name }) => name),
    own,
  );
  progress.step(order.database, "load");
  const filling = filestore.included ? fillFromPool(work, backup) : undefined;
  // Its error is looked at when the load has ended.
  filling?.catch(() => {});
  const archive = manifest.dumps.find(({ format }) => format === "directory");
  let refused: string[];
  if (archive) {
    const file = path.join(folder, archive.path);
    refused = await loadArchive(
      loading,
      file,
      readArchiveList(await listArchive(source, file)),
      jobs(source),
      tables(work),
    );
  } else {
    const [plain] = manifest.dumps;
    const file = path.join(folder, plain?.path ?? "");
    const compression = file.endsWith(".gz") ? "gzip" : file.endsWith(".zst") ? "zstd" : "none";
    refused = (await loadSql(loading, file, sqlOf({ file, compression }, undefined, source.signal)))
      .refusedGrants;
  }
  await filling;
  return {
    differences: (found) =>
      compareContents(ownedBy(expected, target.loader, found), found, {
        owners: true,
        definitions: manifest.server_major === source.installation.major,
      }),
    notes: [
      ...refused.map((statement) => `not granted: ${statement}`),
      ...(filestore.included || filestore.reason === "not_odoo"
        ? []
        : ["the backup holds no attachments: no filestore was configured where it was made"]),
    ],
    owners: own ? expected : undefined,
    settings: expected.database.settings,
    knownMissing: filestore.included ? filestore.missing.count : undefined,
  };
}

function damaged({ id, manifest }: CataloguedBackup, problems: readonly string[]): OdooPgError {
  return new OdooPgError("backup_damaged", {
    message: `Backup ${id} is damaged: ${problems.slice(0, 5).join(", ")}.`,
    safe: "Nothing that existed was changed.",
    next: `Take another one: odoo-pg backup list --database ${manifest.database}`,
  });
}

async function isOwnCluster(source: BackupSource, { manifest }: CataloguedBackup): Promise<boolean> {
  const [row] = await withSession(source.superuser, (session) =>
    session.query("SELECT system_identifier::text AS own FROM pg_control_system()"),
  );
  return row?.["own"] === manifest.system_identifier;
}

function jobs(source: BackupSource): number {
  return Math.max(1, Math.min(source.processors, 8));
}

function tables({ progress, order }: Work): (done: number, total: number) => void {
  return (done, total) => progress.bytes(order.database, done, total);
}

/** The same contents, all of it owned by one role. Extensions keep the owner that they have. */
function ownedBy(contents: Contents, owner: string, found: Contents): Contents {
  const all = <T extends { owner: string }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, owner }));
  const owners = new Map(found.extensions.map((extension) => [extension.name, extension.owner]));
  return {
    ...contents,
    schemas: all(contents.schemas),
    tables: all(contents.tables),
    views: all(contents.views),
    functions: all(contents.functions),
    sequences: all(contents.sequences),
    extensions: contents.extensions.map((extension) => ({
      ...extension,
      owner: owners.get(extension.name) ?? extension.owner,
    })),
  };
}

async function fillFromPool(work: Work, backup: CataloguedBackup): Promise<void> {
  const { source, order } = work;
  if (order.input.kind !== "backup") return;
  const files = new NewFilestore(path.join(neededFilestore(source.config), work.target.name));
  work.files = files;
  for await (const listed of readFilestoreList(backup.folder)) {
    source.signal?.throwIfAborted();
    await files.addFromPool(order.input.place, listed);
  }
  await files.finish();
}

/** Room for what is restored: the data directory for the database, the filestore for the files. */
async function assertRoom(source: BackupSource, databaseBytes: number, fileBytes: number): Promise<void> {
  const [row] = await withSession(source.superuser, (session) =>
    session.query("SELECT current_setting('data_directory') AS dir"),
  );
  const needs: [string, number][] = [[String(row?.["dir"]), databaseBytes]];
  if (fileBytes > 0) needs.push([neededFilestore(source.config), fileBytes]);
  for (const [place, bytes] of needs) {
    const { freeBytes } = await diskSpace(place);
    if (bytes <= freeBytes) continue;
    throw new OdooPgError("disk_full", {
      message: `The restore needs ${Math.ceil(bytes / 2 ** 20)} MB in ${place}, and ${Math.floor(freeBytes / 2 ** 20)} MB are free.`,
      safe: "Nothing was changed.",
      next: "Make room, then run the same command again.",
    });
  }
}

async function loadForeignArchive(work: Work, input: RestoreInput & { kind: "archive" }): Promise<Loaded> {
  const { source, order, target, progress, loading } = work;
  const { file, format } = input;
  const { major } = source.installation;
  if (format !== "tar") {
    const toc = format === "directory" ? path.join(file, "toc.dat") : file;
    checkArchiveHeader(file, await firstBytes(toc, 16), major);
  }
  const list = await readList(source, file);
  checkArchiveVersion(file, list, major);
  await assertRoom(source, format === "directory" ? 0 : await fileBytes(file), 0);
  progress.step(order.database, "create the database");
  await target.createEmpty(ODOO_FORM);
  await target.createExtensions([...list.extensions, ...(list.odoo ? PREPARED_EXTENSIONS : [])], false);
  progress.step(order.database, "load");
  let refused: string[];
  try {
    refused = await loadArchive(loading, file, list, format === "tar" ? 1 : jobs(source), tables(work));
  } catch (error) {
    throw unreadableArchive(file, error);
  }
  return {
    differences: (found) => missingOfArchive(list, found),
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

async function loadForeignSql(work: Work, name: string, open: () => AsyncIterable<Buffer>): Promise<Loaded> {
  const { order, target, progress, loading } = work;
  const needed = await extensionsIn(open());
  progress.step(order.database, "create the database");
  await target.createEmpty(ODOO_FORM);
  await target.createExtensions([...new Set([...PREPARED_EXTENSIONS, ...needed])], false);
  progress.step(order.database, "load");
  const { contents, refusedGrants } = await loadSql(loading, name, open());
  return {
    differences: (found) => missingRows(contents, found),
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

async function loadZip(work: Work, file: string): Promise<Loaded> {
  const { source, order, progress, target } = work;
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
  const loaded = await loadForeignSql(work, `dump.sql in ${file}`, async function* () {
    done = 0;
    for await (const entry of zipEntries(file)) {
      if (entry.name !== "dump.sql") continue;
      for await (const chunk of entry.content()) {
        done += chunk.length;
        progress.bytes(order.database, done, total);
        yield chunk;
      }
      return;
    }
  });
  if (filesBytes > 0) {
    progress.step(order.database, "restore the attachments");
    const files = new NewFilestore(path.join(neededFilestore(source.config), target.name));
    work.files = files;
    for await (const entry of zipEntries(file)) {
      source.signal?.throwIfAborted();
      if (!isAttachment(entry.name)) continue;
      await files.addFromZip(entry.name.slice("filestore/".length), entry.content());
      progress.bytes(order.database, files.bytes, filesBytes);
    }
    await files.finish();
  }
  return loaded;
}

/** Odoo's list of files to collect comes along in the zip; a new database has nothing to collect. */
function isAttachment(name: string): boolean {
  return name.startsWith("filestore/") && !name.startsWith("filestore/checklist/");
}

/**
 * Holds the database's attachments against the files. A dump without files that replaces a database keeps the files of
 * the old one that it names.
 * @throws OdooPgError restore_failed when a backup lacks more than it is known to lack.
 */
async function attachmentNotes(work: Work, { knownMissing }: Loaded): Promise<string[]> {
  const { source, order, target } = work;
  const root = source.config.odoo.filestore;
  const old =
    order.replace && work.files === undefined ? filestoreFor(source.config, order.database) : undefined;
  return await withSession(target.credentials, async (session) => {
    if (!(await isOdooDatabase(session))) return [];
    if (old !== undefined && root !== undefined) work.files = new NewFilestore(path.join(root, target.name));
    let named = 0;
    let missing = 0;
    await session.query("BEGIN READ ONLY");
    for await (const names of storeFnames(session)) {
      named += names.length;
      for (const name of names) {
        const there =
          old === undefined ? work.files?.has(name) === true : (await work.files?.share(old, name)) === true;
        if (!there) missing += 1;
      }
    }
    await session.query("COMMIT");
    if (old !== undefined) await work.files?.finish();
    if (missing === 0) return [];
    if (knownMissing !== undefined) {
      if (missing === knownMissing)
        return [`${missing} attachments were missing already when the backup was made`];
      throw restoreFailed([`${missing} attachments have no file, not ${knownMissing}`]);
    }
    return [
      `${missing} of ${named} attachments have no file: ${work.files ? "the source lacks them" : "a dump alone holds none"}`,
    ];
  });
}

/** Gives single things back to the roles that owned them, as far as these are here and ordinary. */
async function giveBack(target: NewDatabase, contents: Contents, owner: string): Promise<string[]> {
  const wanted = [
    ...contents.schemas.map(({ name, owner }) => ({ kind: "SCHEMA", schema: "", name, owner })),
    ...contents.tables.map(({ schema, name, owner }) => ({ kind: "TABLE", schema, name, owner })),
    ...contents.views.map(({ schema, name, owner, materialized }) => ({
      kind: materialized ? "MATERIALIZED VIEW" : "VIEW",
      schema,
      name,
      owner,
    })),
    ...contents.sequences.map(({ schema, name, owner }) => ({ kind: "SEQUENCE", schema, name, owner })),
  ].filter((thing) => thing.owner !== contents.database.owner && thing.name !== "public");
  const functions = contents.functions.filter((thing) => thing.owner !== contents.database.owner);
  if (!wanted.length && !functions.length) return [];
  return await withSession(target.superuser, async (session) => {
    const rows = await session.query("SELECT rolname FROM pg_roles WHERE NOT rolsuper");
    const roles = new Set(rows.map((row) => String(row["rolname"])));
    const left = new Set<string>();
    const give = async (thing: string, to: string): Promise<void> => {
      if (roles.has(to)) await session.query(`ALTER ${thing} OWNER TO ${id(to)}`);
      else left.add(to);
    };
    for (const { kind, schema, name, owner: to } of wanted) {
      const named = kind === "SCHEMA" ? id(name) : `${id(schema)}.${id(name)}`;
      if (kind === "SEQUENCE" && (await isOfColumn(session, named))) continue;
      await give(`${kind} ${named}`, to);
    }
    for (const { schema, signature, owner: to } of functions) {
      const [row] = await session.query(
        `SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = $1 AND p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = $2`,
        [schema, signature],
      );
      if (row) await give(`ROUTINE ${String(row["name"])}`, to);
    }
    return [...left].map((role) => `what role ${role} owned belongs to ${owner} now`);
  });
}

/** A sequence of a serial column goes with its table. */
async function isOfColumn(
  session: { query: (text: string, values: readonly unknown[]) => Promise<unknown[]> },
  sequence: string,
): Promise<boolean> {
  const rows = await session.query(
    "SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0",
    [sequence],
  );
  return rows.length > 0;
}
