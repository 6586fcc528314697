import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";
import { countsStatements } from "./activity.ts";

/** Odoo's database manager runs it. No other program is known to set what tells it. */
export const PG_DUMP = "pg_dump";

/**
 * What outlasts a transaction in a session of a client's own, and ends with it in one that is shared. A regular expression
 * tells it in the text that pg_stat_statements keeps.
 */
const OUTLASTING = {
  LISTEN: String.raw`^\s*listen\M`,
  PREPARE: String.raw`^\s*prepare\M(?!\s+transaction\M)`,
  "a cursor WITH HOLD": String.raw`^\s*declare\M.*\mwith\s+hold\M`,
  "a temporary table": String.raw`^\s*create\s+((local|global)\s+)?temp(orary)?\M(?!.*\mon\s+commit\s+drop\M)`,
  "an advisory lock of the session": String.raw`\mpg_(try_)?advisory_lock(_shared)?\s*\(`,
  // Its session, in which it reads without a search_path, so that it writes names with their schema.
  [PG_DUMP]: String.raw`^\s*set\s+synchronize_seqscans\s+(to|=)\s+off\M`,
} as const;

const usedSchema = z.object({ database: z.string(), what: z.string(), calls: z.number() });
export type SessionState = z.output<typeof usedSchema>;

/**
 * What clients have used, since counting began, that a pooled transaction's end takes away; database `postgres`, where
 * sessions are their clients' own, is left out, and so are superusers.
 * @throws Error where the server does not count statements
 */
export async function sessionState(session: Session): Promise<readonly SessionState[]> {
  const [place] = await session.query(
    `SELECT pg_catalog.quote_ident(nspname) AS schema FROM pg_catalog.pg_extension
       JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace WHERE extname = 'pg_stat_statements'`,
  );
  if (!place || !(await countsStatements(session)))
    throw new Error("the server does not count statements (pg_stat_statements)");
  const rows = await session.query(
    `SELECT d.datname::text AS database, k.what, sum(s.calls)::float8 AS calls
     FROM ${String(place["schema"])}.pg_stat_statements s
       JOIN pg_catalog.pg_database d ON d.oid = s.dbid AND d.datname <> 'postgres'
       JOIN pg_catalog.pg_roles r ON r.oid = s.userid AND NOT r.rolsuper
       JOIN pg_catalog.jsonb_each_text($1::jsonb) AS k (what, pattern) ON s.query ~* k.pattern
     GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 100`,
    [JSON.stringify(OUTLASTING)],
  );
  return usedSchema.array().parse(rows);
}
