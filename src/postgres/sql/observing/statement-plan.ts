import type { OrdinarySession } from "../../../system/sql/sql.ts";

/** Milliseconds that planning may take, and that it waits for a lock. */
const PLANNING = 5000;
const LOCK = 500;

/** Settings of a session for plans: it changes nothing, waits for no lock for long, and plans without values. */
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
 * The generic plan of a statement, in lines as EXPLAIN writes them. The statement is not executed.
 *
 * Its text comes from whoever may log in, and planning may call functions: so the session belongs to the role that ran the
 * statement, never to a superuser. The extended protocol takes one statement alone, and PREPARE accepts only SELECT, INSERT,
 * UPDATE, DELETE, MERGE and VALUES. pg_stat_statements has `$1` in the place of values; EXPLAIN (GENERIC_PLAN) would need
 * PostgreSQL 16, while a prepared statement has the same plan from 13 on.
 * @throws SqlError where the server cannot plan it
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
