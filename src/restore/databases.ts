import { nextStep, odooPg, sameCommand } from "../next-step.ts";
import * as z from "zod";
import { filestoreFor, freeFilestoreFor } from "./target/attachments.ts";
import { changeName, tidyUp } from "./target/publish.ts";
import { assertNoSlots } from "./target/slots.ts";
import { assertDatabaseName } from "./target/database-name.ts";
import type { BackupSource } from "../backup/source.ts";
import { namesThatAre } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import { kindOf } from "../system/files/files.ts";
import { removeIn } from "../system/files/held/by-path.ts";
import { explainSql, quoteSqlIdentifier as id } from "../system/sql/sql.ts";
import { assertFilestores, filestoreOf } from "../odoo/filestore.ts";

const listedSchema = z.object({
  database: z.string(),
  owner: z.string(),
  size_bytes: z.coerce.number(),
  /** False for one that was replaced and kept. */
  connectable: z.boolean(),
  sessions: z.number(),
});
/**
 * The folder of its attachments; null where there is none, where this user may not look, or where no filestore is
 * configured.
 */
export type DatabaseListed = z.output<typeof listedSchema> & { readonly filestore: string | null };

/** The databases of the server, without templates, postgres and unfinished ones. */
export async function listDatabases(source: BackupSource): Promise<DatabaseListed[]> {
  const rows = await source.superuser.use(async (session) =>
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
    const folder = root === undefined ? undefined : filestoreOf(root, row.database);
    listed.push({
      ...row,
      filestore: folder !== undefined && (await isDirectory(folder)) ? folder : null,
    });
  }
  return listed;
}

/** A filestore that this user may not read is no reason to fail. */
async function isDirectory(folder: string): Promise<boolean> {
  try {
    return (await kindOf(folder)) === "directory";
  } catch (error) {
    if (error instanceof OdooPgError) return false;
    throw error;
  }
}

/** @throws OdooPgError database_unknown. */
export async function needDatabase(source: BackupSource, name: string): Promise<DatabaseListed> {
  const all = await listDatabases(source);
  const found = all.find(({ database }) => database === name);
  if (found) return found;
  throw new OdooPgError("database_unknown", {
    message: `There is no database "${name}". ${namesThatAre(
      name,
      all.map(({ database }) => database),
    )}`,
    safe: "Nothing was changed.",
    next: nextStep`List them: ${odooPg("db", "list")}`,
  });
}

/** @throws OdooPgError database_exists; usage or refused for an invalid name. */
export async function assertFree(source: BackupSource, name: string): Promise<void> {
  assertDatabaseName(source.config, name);
  if ((await listDatabases(source)).some(({ database }) => database === name)) {
    throw new OdooPgError("database_exists", {
      message: `Database "${name}" already exists.`,
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
  await source.superuser.use((session) => assertNoSlots(session, name));
  try {
    await source.superuser.use((session) => session.query(`DROP DATABASE ${id(name)} WITH (FORCE)`));
  } catch (error) {
    throw explainSql(error, `Database "${name}" cannot be dropped`);
  }
  const folder = filestoreFor(source.config, name);
  if (folder !== undefined) await removeIn(folder);
}

/**
 * Renames a database with its filestore. One that was kept after it was replaced accepts connections again.
 * @param endSessions whether to end its sessions; otherwise they are a reason to refuse
 * @param note receives what a person has to check
 */
export async function renameDatabase(
  source: BackupSource,
  from: string,
  to: string,
  endSessions: boolean,
  note: (text: string) => void,
): Promise<void> {
  await tidyUp(source, note);
  const { sessions } = await needDatabase(source, from);
  assertDatabaseName(source.config, from);
  await assertFree(source, to);
  const { filestore } = source.config.odoo;
  if (filestore !== undefined) await assertFilestores(filestore);
  if (sessions > 0 && !endSessions) {
    throw new OdooPgError("refused", {
      message: `${sessions} sessions are in database "${from}".`,
      safe: "Nothing was changed.",
      next: nextStep`Stop what uses it, or end them: ${sameCommand(["--yes"])}`,
    });
  }
  await changeName(source, from, to);
}
