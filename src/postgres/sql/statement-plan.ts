import type { OrdinarySession } from "../../system/sql/sql.ts";

/** Milliseconds that planning may take, and that it waits for a lock. */
const PLANNING = 5000;
const LOCK = 500;

/** What a session for plans begins with: it changes nothing, waits for nobody long, and takes no values into account. */
export const PLAN_SETTINGS = {
  default_transaction_read_only: "on",
  statement_timeout: String(PLANNING),
  lock_timeout: String(LOCK),
  plan_cache_mode: "force_generic_plan",
  // A library that the database names, and that is not there, would keep the session from beginning.
  local_preload_libraries: "",
} as const;

/** Lines of a plan that are shown, and characters of each. */
const LINES = 400;
const CHARACTERS = 400;

/**
 * How the server would do a statement, in lines as EXPLAIN writes them. Nothing is executed.
 *
 * The text comes from whoever may log in. So the session is one of the role that ran it, never a superuser's: planning
 * may call functions. It goes by the extended protocol, which takes one statement alone, and only PREPARE is asked to
 * read it, which takes nothing but SELECT, INSERT, UPDATE, DELETE, MERGE and VALUES. Values are not known: pg_stat_statements
 * keeps `$1` in their place. EXPLAIN (GENERIC_PLAN) needs PostgreSQL 16; a generic plan of a prepared statement is the
 * same one, from 13 on.
 * @throws SqlError what the server says where it cannot plan it
 */
export async function genericPlan(session: OrdinarySession, text: string): Promise<string[]> {
  await session.prepared("odoo_pg_prepare", `PREPARE odoo_pg_plan AS ${text}`, []);
  const [row] = await session.query(
    `SELECT pg_catalog.cardinality(parameter_types) AS parameters FROM pg_catalog.pg_prepared_statements
     WHERE name OPERATOR(pg_catalog.=) 'odoo_pg_plan'`,
  );
  const parameters = Number(row?.["parameters"] ?? 0);
  const values = parameters > 0 ? `(${Array.from({ length: parameters }, () => "NULL").join(", ")})` : "";
  const rows = await session.query(`EXPLAIN EXECUTE odoo_pg_plan${values}`);
  const lines = rows.map((line) => String(line["QUERY PLAN"]).slice(0, CHARACTERS));
  return lines.length > LINES ? [...lines.slice(0, LINES), `… ${lines.length - LINES} lines more`] : lines;
}
