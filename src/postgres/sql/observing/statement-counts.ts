import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";
import { countsStatements } from "./activity.ts";

/** Only the superuser may use its schema: what statements hold is for operators. */
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

/** In which schema of the session's database the view lies, quoted; undefined where it is not there, or nothing is counted. */
async function placeOf(session: Session): Promise<string | undefined> {
  if (!(await countsStatements(session))) return undefined;
  const [place] = await session.query(
    `SELECT quote_ident(nspname) AS schema FROM pg_catalog.pg_extension
       JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_stat_statements'`,
  );
  return place ? String(place["schema"]) : undefined;
}

/** The short name of a statement: of one role, in one database. The same on each node, as replicas have the same OIDs. */
const ID = "left(encode(sha256(convert_to(concat_ws(' ', dbid, userid, queryid), 'UTF8')), 'hex'), 10)";

const statementSchema = z.object({
  id: z.string(),
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
  const schema = await placeOf(session);
  if (schema === undefined) return undefined;
  const rows = await session.query(
    `SELECT ${ID} AS id, datname::text AS database, coalesce(rolname::text, '') AS role,
       min(regexp_replace(left(query, 2000), '\\s+', ' ', 'g')) AS statement,
       sum(calls)::float8 AS calls, sum(total_exec_time) / greatest(sum(calls), 1)::float8 AS mean_ms,
       sum(total_exec_time) / 1000 AS total_seconds, sum(rows)::float8 AS rows,
       sum(total_exec_time) / greatest(sum(sum(total_exec_time)) OVER (), 0.001) AS share
     FROM ${schema}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = dbid
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = userid
     WHERE query IS NOT NULL GROUP BY dbid, userid, queryid, datname, rolname
     ORDER BY sum(total_exec_time) DESC LIMIT $1`,
    [most],
  );
  return statementSchema.array().parse(rows);
}

const counterSchema = z.object({ id: z.string(), calls: z.number(), milliseconds: z.number() });

/** The counters of every statement, without its text: the history is made of them. Undefined as above. */
export async function statementCounters(
  session: Session,
): Promise<readonly z.output<typeof counterSchema>[] | undefined> {
  const schema = await placeOf(session);
  if (schema === undefined) return undefined;
  const rows = await session.query(
    `SELECT ${ID} AS id, sum(calls)::float8 AS calls, sum(total_exec_time) AS milliseconds
     FROM ${schema}.pg_stat_statements(false) WHERE queryid IS NOT NULL GROUP BY dbid, userid, queryid`,
  );
  return counterSchema.array().parse(rows);
}

const textSchema = z.object({
  id: z.string(),
  database: z.string(),
  role: z.string(),
  /** Of the role's rights. */
  superuser: z.boolean(),
  statement: z.string(),
});
/** The role and database of a statement, and its whole text, as far as `most` characters go. */
export type StatementText = z.output<typeof textSchema>;

/** The texts of some statements, of those that the server still knows. */
export async function statementTexts(
  session: Session,
  ids: readonly string[],
  most: number,
): Promise<readonly StatementText[]> {
  const schema = await placeOf(session);
  if (schema === undefined || ids.length === 0) return [];
  const rows = await session.query(
    `SELECT ${ID} AS id, datname::text AS database, coalesce(rolname::text, '') AS role,
       coalesce(rolsuper, true) AS superuser, min(left(query, $2)) AS statement
     FROM ${schema}.pg_stat_statements s JOIN pg_catalog.pg_database d ON d.oid = dbid
       LEFT JOIN pg_catalog.pg_roles r ON r.oid = userid
     WHERE query IS NOT NULL AND ${ID} = ANY ($1) GROUP BY dbid, userid, queryid, datname, rolname, rolsuper`,
    [ids, most],
  );
  return textSchema.array().parse(rows);
}
