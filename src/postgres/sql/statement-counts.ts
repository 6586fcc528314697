import * as z from "zod";
import type { Session } from "../../system/sql/sql.ts";
import { countsStatements } from "./activity.ts";

/** Its schema is nobody's but the superuser's: what statements hold is for operators. */
const SCHEMA = "odoo_pg_statements";

/**
 * Makes the extension that shows what the server counts, in the database of the session, where it is not there yet. It
 * may be made before the server counts. Users of databases reach neither the schema nor what lies in it.
 * @returns whether it was made
 */
export async function ensureStatementCounts(session: Session): Promise<boolean> {
  const [found] = await session.query(
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_stat_statements') AS made",
  );
  if (found?.["made"] === true) return false;
  await session.query(
    [
      "BEGIN",
      `CREATE SCHEMA ${SCHEMA}`,
      `REVOKE ALL ON SCHEMA ${SCHEMA} FROM PUBLIC`,
      `CREATE EXTENSION pg_stat_statements SCHEMA ${SCHEMA}`,
      `REVOKE ALL ON ALL TABLES IN SCHEMA ${SCHEMA} FROM PUBLIC`,
      "COMMIT",
    ].join("; "),
  );
  return true;
}

const statementSchema = z.object({
  database: z.string(),
  role: z.string(),
  statement: z.string(),
  calls: z.number(),
  mean_ms: z.number(),
  total_seconds: z.number(),
  rows: z.number(),
  /** Of the time of all statements, from 0 to 1. */
  share: z.number(),
});
export type CountedStatement = z.output<typeof statementSchema>;

/**
 * The statements that took the most time since counting began, of all databases. Undefined where the database of the
 * session does not show them. Works from PostgreSQL 13 on.
 */
export async function countedStatements(
  session: Session,
  most: number,
): Promise<readonly CountedStatement[] | undefined> {
  if (!(await countsStatements(session))) return undefined;
  const [place] = await session.query(
    `SELECT quote_ident(nspname) AS schema FROM pg_catalog.pg_extension
       JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_stat_statements'`,
  );
  if (!place) return undefined;
  const rows = await session.query(
    `SELECT datname::text AS database, coalesce(rolname::text, '') AS role,
       regexp_replace(left(query, 2000), '\\s+', ' ', 'g') AS statement,
       calls::float8 AS calls, mean_exec_time AS mean_ms, total_exec_time / 1000 AS total_seconds, rows::float8 AS rows,
       total_exec_time / greatest(sum(total_exec_time) OVER (), 0.001) AS share
     FROM ${String(place["schema"])}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = dbid
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = userid
     WHERE query IS NOT NULL ORDER BY total_exec_time DESC LIMIT $1`,
    [most],
  );
  return statementSchema.array().parse(rows);
}
