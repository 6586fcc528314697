import * as z from "zod";
import { explainSql, type Session } from "../system/sql/sql.ts";
import { holdOffCollector } from "../odoo/filestore.ts";
import { OdooPgError } from "../errors.ts";
import { isOdooDatabase } from "./contents/read-contents.ts";

const momentSchema = z.object({
  snapshot: z.string(),
  database: z.string(),
  at: z.date(),
  system_identifier: z.string(),
  version: z.string(),
  major: z.number(),
  bytes: z.coerce.number(),
  /** Of the database, as pg_dump takes it. */
  encoding: z.string(),
  in_recovery: z.boolean(),
});

/** One moment of a database, for as long as the session's transaction is open. */
export interface Snapshot extends z.output<typeof momentSchema> {
  /** Whether the database is Odoo's; then the collector of attachments is held off. */
  readonly odoo: boolean;
}

/**
 * Begins the transaction that a backup is made from. All tables are locked against being changed, emptied or dropped
 * (reading and writing go on), and for a database of Odoo the collector of attachments is blocked, before the snapshot
 * is taken: what the snapshot shows, tables and files, stays until `endSnapshot`.
 * @throws OdooPgError timed_out when another session holds a table, such as an update of modules.
 */
export async function beginSnapshot(session: Session): Promise<Snapshot> {
  const odoo = await isOdooDatabase(session);
  const tables = await tableNames(session);
  await session.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE");
  try {
    if (odoo) await holdOffCollector(session);
    if (tables.length) await session.query(`LOCK TABLE ONLY ${tables.join(", ONLY ")} IN ACCESS SHARE MODE`);
  } catch (error) {
    // 55P03 lock_not_available: lock_timeout.
    if (!(error instanceof Error && "code" in error && error.code === "55P03")) throw error;
    throw new OdooPgError("timed_out", {
      message: "A table stays locked, for example by a module update or by Odoo's clean-up of attachments.",
      safe: "Nothing was changed; earlier backups are untouched.",
      next: "Back up again when it is done.",
      cause: error,
    });
  }
  const [row] = await session.query(
    `SELECT pg_export_snapshot() AS snapshot, current_database() AS database, clock_timestamp() AS at,
       (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       current_setting('server_version') AS version, current_setting('server_version_num')::int / 10000 AS major,
       pg_database_size(current_database())::text AS bytes, current_setting('server_encoding') AS encoding,
       pg_is_in_recovery() AS in_recovery`,
  );
  return { ...momentSchema.parse(row), odoo };
}

/** Tables and partitioned tables, quoted. */
async function tableNames(session: Session): Promise<string[]> {
  const rows = await session.query(
    `SELECT format('%I.%I', n.nspname, c.relname) AS name
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
     ORDER BY c.oid`,
  );
  return rows.map((row) => String(row["name"]));
}

/** Ends it. @throws OdooPgError backup_failed when the transaction was lost: then files may have gone meanwhile. */
export async function endSnapshot(session: Session): Promise<void> {
  try {
    await session.query("COMMIT");
  } catch (error) {
    throw explainSql(error, "The session that held the snapshot was lost");
  }
}

/**
 * Bytes of each table with its rows as of the last VACUUM or ANALYZE, by `schema.table`: the measure of a dump's
 * progress. Asking for its present size would wait for a table that another session has locked.
 */
export async function tableBytes(session: Session): Promise<Map<string, number>> {
  const rows = await session.query(
    `SELECT n.nspname || '.' || c.relname AS name,
       ((greatest(c.relpages, 0) + coalesce(greatest(t.relpages, 0), 0))::bigint * 8192)::text AS bytes
     FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_class t ON t.oid = c.reltoastrelid
     WHERE c.relkind = 'r' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`,
  );
  return new Map(rows.map((row) => [String(row["name"]), Number(row["bytes"])]));
}

/** Password verifiers of roles, for those who ask for them. */
export async function roleVerifiers(
  session: Session,
  names: readonly string[],
): Promise<Map<string, string>> {
  const rows = await session.query(
    "SELECT rolname, rolpassword FROM pg_authid WHERE rolname = ANY($1::text[]) AND rolpassword IS NOT NULL",
    [names],
  );
  return new Map(rows.map((row) => [String(row["rolname"]), String(row["rolpassword"])]));
}
