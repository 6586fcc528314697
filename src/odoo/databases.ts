import path from "node:path";
import * as z from "zod";
import type { Progress } from "../agent/events.ts";
import { compareContents } from "../backup/compare.ts";
import type { Contents } from "../backup/contents.ts";
import { isOdooDatabase, readDatabaseContents } from "../backup/read-contents.ts";
import { filestoreFor, freeFilestoreFor, NewFilestore } from "../backup/restore/attachments.ts";
import { LOAD_OPTIONS, NewDatabase } from "../backup/restore/new-database.ts";
import { changeName, publish, tidyUp } from "../backup/restore/publish.ts";
import { assertDatabaseName } from "../backup/restore/restore.ts";
import { beginSnapshot, endSnapshot } from "../backup/snapshot.ts";
import type { BackupSource } from "../backup/source.ts";
import { OdooPgError } from "../errors.ts";
import { conninfo } from "../postgres/quoting.ts";
import { programOf } from "../postgres/installation.ts";
import { monotonic } from "../system/clock.ts";
import { kindOf, readTextIfAny, removeTree } from "../system/files.ts";
import { feed, produce } from "../system/pipeline.ts";
import {
  connect,
  explainSql,
  quoteSqlIdentifier as id,
  SqlError,
  withSession,
  type Session,
} from "../system/sql.ts";
import { storeFnames } from "./filestore.ts";
import { COLUMNS, neutralizeStatements } from "./neutralize.ts";

const listedSchema = z.object({
  database: z.string(),
  owner: z.string(),
  size_bytes: z.coerce.number(),
  /** False for one that was replaced and kept. */
  connectable: z.boolean(),
  sessions: z.number(),
});
/** Whether there is a folder of its attachments; null where no filestore is configured. */
export type DatabaseListed = z.output<typeof listedSchema> & { readonly filestore: string | null };

/** The databases of the server, without templates, postgres and those in the making. */
export async function listDatabases(source: BackupSource): Promise<DatabaseListed[]> {
  const rows = await withSession(source.superuser, async (session) =>
    session.query(
      `SELECT d.datname AS database, pg_get_userbyid(d.datdba) AS owner, pg_database_size(d.oid)::text AS size_bytes,
         d.datallowconn AS connectable,
         (SELECT count(*)::int FROM pg_stat_activity a WHERE a.datid = d.oid AND a.backend_type = 'client backend') AS sessions
       FROM pg_database d WHERE NOT d.datistemplate AND d.datname <> 'postgres' AND d.datname !~ '^odoo_pg_'
       ORDER BY d.datname COLLATE "C"`,
    ),
  );
  const listed: DatabaseListed[] = [];
  for (const row of listedSchema.array().parse(rows)) {
    const root = source.config.odoo.filestore;
    const folder =
      root === undefined || row.database.includes("/") ? undefined : path.join(root, row.database);
    const there = folder !== undefined && (await kindOf(folder)) === "directory";
    listed.push({ ...row, filestore: there ? folder : null });
  }
  return listed;
}

async function needDatabase(source: BackupSource, name: string): Promise<DatabaseListed> {
  const all = await listDatabases(source);
  const found = all.find(({ database }) => database === name);
  if (found) return found;
  throw new OdooPgError("database_unknown", {
    message: `There is no database "${name}". There are: ${all.map(({ database }) => database).join(", ") || "none"}.`,
    safe: "Nothing was changed.",
  });
}

async function assertFree(source: BackupSource, name: string): Promise<void> {
  assertDatabaseName(source.config, name);
  if ((await listDatabases(source)).some(({ database }) => database === name)) {
    throw new OdooPgError("database_exists", {
      message: `Database "${name}" is there already.`,
      safe: "Nothing was changed.",
      next: "Choose another name.",
    });
  }
  await freeFilestoreFor(source.config, name);
}

/** Drops a database with its filestore; its sessions are ended. */
export async function dropDatabase(source: BackupSource, name: string): Promise<void> {
  assertDatabaseName(source.config, name);
  await needDatabase(source, name);
  try {
    await withSession(source.superuser, (session) => session.query(`DROP DATABASE ${id(name)} WITH (FORCE)`));
  } catch (error) {
    throw explainSql(error, `Database "${name}" cannot be dropped`);
  }
  const folder = filestoreFor(source.config, name);
  if (folder !== undefined) await removeTree(folder);
}

/**
 * Renames a database with its filestore. One that was kept after it was replaced can be connected to again.
 * @param endSessions whether sessions in it are ended; otherwise they are a reason to refuse
 */
export async function renameDatabase(
  source: BackupSource,
  from: string,
  to: string,
  endSessions: boolean,
): Promise<void> {
  await tidyUp(source);
  const { sessions } = await needDatabase(source, from);
  assertDatabaseName(source.config, from);
  await assertFree(source, to);
  if (sessions > 0 && !endSessions) {
    throw new OdooPgError("refused", {
      message: `${sessions} sessions are in database "${from}".`,
      safe: "Nothing was changed.",
      next: "Stop what uses it, or end them: the same command with --yes",
    });
  }
  await changeName(source, from, to);
}

export interface CopyOrder {
  readonly from: string;
  readonly to: string;
  readonly neutralize: boolean;
  readonly replace: boolean;
  readonly keepOld: boolean;
}

export interface CopyReport {
  readonly database: string;
  readonly from: string;
  /** `template`: by the server itself; `dump`: by a dump of one moment, because somebody was connected. */
  readonly how: "template" | "dump";
  readonly neutralized: boolean;
  /** neutralize.sql of Odoo's modules that were run. */
  readonly neutralize_files: readonly string[];
  readonly files: number | null;
  readonly seconds: number;
  readonly kept: string | null;
  readonly notes: readonly string[];
}

/**
 * Copies a database with its filestore. Sessions in the source are not disturbed. The copy gets its name when it is
 * whole, and neutralised if that was asked for; until then nobody can connect to it, and when a step fails it is gone.
 */
export async function copyDatabase(
  source: BackupSource,
  order: CopyOrder,
  progress: Progress,
): Promise<CopyReport> {
  const begun = monotonic();
  await tidyUp(source);
  const { owner } = await needDatabase(source, order.from);
  if (order.replace) {
    assertDatabaseName(source.config, order.to);
    await needDatabase(source, order.to);
  } else await assertFree(source, order.to);
  if (order.from === order.to)
    throw new OdooPgError("usage", { message: "A database cannot be copied onto itself." });
  const root = source.config.odoo.filestore;
  const folder = filestoreFor(source.config, order.from);
  const withFiles = folder !== undefined && (await kindOf(folder)) === "directory";
  const target = await NewDatabase.begin(source);
  let files: NewFilestore | undefined;
  try {
    if (withFiles && root !== undefined) files = new NewFilestore(path.join(root, target.name));
    const copying: Copying = { source, order, target, files, folder, progress };
    const how = (await copyByTemplate(copying)) ? "template" : await copyByDump(copying);
    const notes = await completeFiles(copying);
    if (!withFiles && root === undefined)
      notes.push('attachments were not copied: "odoo.filestore" is not set');
    const scripts = order.neutralize ? await neutralize(copying, owner) : [];
    const { kept } = await publish(
      source,
      target,
      {
        database: order.to,
        owner,
        replace: order.replace,
        keepOld: order.keepOld,
        files,
        like: order.from,
      },
      progress,
    );
    await target.close();
    return {
      database: order.to,
      from: order.from,
      how,
      neutralized: order.neutralize,
      neutralize_files: scripts,
      files: files?.files ?? null,
      seconds: Math.round((monotonic() - begun) / 100) / 10,
      kept: kept ?? null,
      notes,
    };
  } catch (error) {
    await files?.discard();
    await target.discard();
    const explained =
      error instanceof SqlError ? explainSql(error, `The copy of "${order.from}" failed`) : error;
    if (!(explained instanceof OdooPgError) || explained.safe !== undefined) throw explained;
    throw new OdooPgError(explained.code, {
      message: explained.message,
      safe: "The copy is removed; nothing that existed was changed.",
      ...(explained.next === undefined ? {} : { next: explained.next }),
      cause: error,
    });
  }
}

interface Copying {
  readonly source: BackupSource;
  readonly order: CopyOrder;
  readonly target: NewDatabase;
  readonly files: NewFilestore | undefined;
  /** Where the attachments of the source lie. */
  readonly folder: string | undefined;
  readonly progress: Progress;
}

/** Shares the files that a session's transaction names; says how many are not there. */
async function shareFiles({ source, files, folder }: Copying, session: Session): Promise<number> {
  if (!files || folder === undefined || !(await isOdooDatabase(session))) return 0;
  let missing = 0;
  for await (const names of storeFnames(session)) {
    source.signal?.throwIfAborted();
    for (const name of names) if (!(await files.share(folder, name))) missing += 1;
  }
  return missing;
}

/** The server copies by itself, as long as nobody is connected. False when somebody is. */
async function copyByTemplate(copying: Copying): Promise<boolean> {
  const { source, order, target, progress } = copying;
  const { sessions, connectable } = await needDatabase(source, order.from);
  if (sessions > 0) return false;
  if (connectable && copying.files) {
    // First the files: one that the collector deletes meanwhile is then there all the same.
    progress.step(order.to, "share the attachments");
    await withSession({ ...source.superuser, database: order.from }, async (session) => {
      await session.query("BEGIN READ ONLY");
      await shareFiles(copying, session);
    });
  }
  progress.step(order.to, `copy ${order.from} inside the server`);
  try {
    await target.createCopy(order.from);
    return true;
  } catch (error) {
    // 55006 object_in_use: somebody came meanwhile.
    if (error instanceof SqlError && error.code === "55006") return false;
    throw error;
  }
}

/** A dump of one moment goes straight into a restore, while others work in the source. */
async function copyByDump(copying: Copying): Promise<"dump"> {
  const { source, order, target, progress } = copying;
  const session = await connect({
    ...source.superuser,
    database: order.from,
    connectLimit: 10_000,
    settings: { lock_timeout: "30s", idle_in_transaction_session_timeout: "0" },
  });
  try {
    const { snapshot } = await beginSnapshot(session);
    const expected = await readDatabaseContents(session);
    progress.step(order.to, `copy ${order.from} by a dump: somebody is connected`);
    await target.createForSuperuser(expected.database);
    await makeExtensions(target, expected);
    await dumpInto(copying, snapshot);
    progress.step(order.to, "compare");
    const found = await withSession({ ...source.superuser, database: target.name }, async (own) => {
      await own.query("ANALYZE");
      return await readDatabaseContents(own);
    });
    const differences = compareContents(expected, found, { owners: true, definitions: true });
    if (differences.length) {
      throw new OdooPgError("restore_failed", {
        message: `The copy is not as its source:\n  ${differences.slice(0, 10).join("\n  ")}`,
      });
    }
    // While the collector is held off.
    if (copying.files) progress.step(order.to, "share the attachments");
    await shareFiles(copying, session);
    await endSnapshot(session);
  } finally {
    await session.close();
  }
  return "dump";
}

async function dumpInto({ source, order, target }: Copying, snapshot: string): Promise<void> {
  const { host, port, user } = source.superuser;
  const environment = { PGPASSFILE: source.passfile, PGOPTIONS: LOAD_OPTIONS };
  const { signal } = source;
  const database = (dbname: string): string =>
    `--dbname=${conninfo({ host, port, user, dbname, application_name: "odoo-pg copy" })}`;
  const dump = produce({
    program: programOf(source.installation, "pg_dump"),
    args: [
      "--format=custom",
      "--compress=0",
      `--snapshot=${snapshot}`,
      "--lock-wait-timeout=120000",
      "--no-password",
      database(order.from),
    ],
    environment: { PGPASSFILE: source.passfile },
    signal,
  });
  try {
    await feed(
      {
        program: programOf(source.installation, "pg_restore"),
        args: ["--exit-on-error", "--no-password", database(target.name)],
        environment,
        signal,
      },
      dump.output,
    );
  } finally {
    dump.kill();
  }
  await dump.ended;
}

/** Those that ordinary roles own: pg_restore would make them as the superuser. unaccent(text) as the source has it. */
async function makeExtensions(target: NewDatabase, { extensions, roles, unaccent }: Contents): Promise<void> {
  const ordinary = new Set(roles.filter(({ superuser }) => !superuser).map(({ name }) => name));
  await withSession(target.superuser, async (session) => {
    await session.query("SET client_min_messages = warning");
    for (const { name, schema, owner } of extensions) {
      if (schema !== "public" || !ordinary.has(owner)) continue;
      await session.query(
        `GRANT CREATE ON DATABASE ${id(target.name)} TO ${id(owner)}; GRANT CREATE ON SCHEMA public TO ${id(owner)};
         SET ROLE ${id(owner)}; CREATE EXTENSION ${id(name)} SCHEMA public; RESET ROLE;
         REVOKE CREATE ON DATABASE ${id(target.name)} FROM ${id(owner)}; REVOKE CREATE ON SCHEMA public FROM ${id(owner)}`,
      );
    }
    if (unaccent?.schema !== "public") return;
    await session.query("CREATE EXTENSION IF NOT EXISTS unaccent SCHEMA public");
    await session.query(
      `ALTER FUNCTION public.unaccent(text) ${unaccent.immutable ? "IMMUTABLE" : "STABLE"};
       ALTER FUNCTION public.unaccent(text) OWNER TO ${id(unaccent.owner)}`,
    );
  });
}

/** Files that came into the source between its files and its copy. */
async function completeFiles(copying: Copying): Promise<string[]> {
  const { files, target } = copying;
  if (!files) return [];
  const missing = await withSession(target.superuser, async (session) => {
    await session.query("BEGIN READ ONLY");
    return await shareFiles(copying, session);
  });
  await files.finish();
  return missing ? [`${missing} attachments have no file: the source lacks them too`] : [];
}

/**
 * Makes the copy harmless, in one transaction, as a role that may do nothing but in this copy: neutralize.sql of the
 * modules that are installed, then what every Odoo has.
 */
async function neutralize(copying: Copying, owner: string): Promise<string[]> {
  const { source, order, target, progress } = copying;
  progress.step(order.to, "neutralise");
  await target.createLoader(owner);
  await target.admitLoader();
  const run: string[] = [];
  await withSession(target.credentials, async (session) => {
    if (!(await isOdooDatabase(session))) {
      throw new OdooPgError("refused", {
        message: `"${order.from}" is not a database of Odoo: there is nothing to neutralise.`,
        next: "Copy it without --neutralize.",
      });
    }
    await session.query("BEGIN");
    // As Odoo itself would run them.
    await session.query(`SET LOCAL ROLE ${id(owner)}`);
    const modules = await session.query(
      "SELECT name FROM public.ir_module_module WHERE state IN ('installed', 'to upgrade', 'to remove') ORDER BY name",
    );
    for (const row of modules) {
      const file = await scriptOf(source.config.odoo.addons_path, String(row["name"]));
      if (!file) continue;
      try {
        await session.query(file.sql);
      } catch (error) {
        throw explainSql(error, `${file.path} fails`);
      }
      run.push(file.path);
    }
    const columns = z
      .object({ table: z.string(), column: z.string(), nullable: z.boolean(), text: z.boolean() })
      .array()
      .parse(await session.query(COLUMNS));
    for (const statement of neutralizeStatements(columns)) {
      try {
        await session.query(statement);
      } catch (error) {
        throw explainSql(error, `Neutralising fails at: ${statement}`);
      }
    }
    await session.query("COMMIT");
  });
  await target.dismissLoader(owner);
  return run;
}

/** neutralize.sql of a module, from the first of the addons paths that has the module. */
async function scriptOf(
  addonsPath: readonly string[],
  module: string,
): Promise<{ path: string; sql: string } | undefined> {
  if (!/^[A-Za-z0-9_]+$/.test(module)) return undefined;
  for (const directory of addonsPath) {
    if ((await kindOf(path.join(directory, module))) !== "directory") continue;
    const file = path.join(directory, module, "data", "neutralize.sql");
    const sql = await readTextIfAny(file);
    return sql === undefined ? undefined : { path: file, sql };
  }
  return undefined;
}
