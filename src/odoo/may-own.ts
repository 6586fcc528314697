import { BARRED_ROLE, MIGHTY, PASSING_ROLE } from "../postgres/sql/access/passing.ts";
import type { Session } from "../system/sql/sql.ts";

/**
 * Functions (SECURITY DEFINER), views and triggers in a database run with its owner's rights. So objects that were read from
 * a file are given only to roles whose rights end at the databases that they may enter: roles that may pass the
 * endpoints, or could if they were able to log in; not PostgreSQL's own roles or members of those that reach further
 * (programs and files of the server, other sessions, statistics of all), nor odoo-pg's own roles, of which every role
 * is a member.
 */
const MAY_OWN = `
WITH mighty AS (${MIGHTY}
  UNION SELECT oid FROM pg_catalog.pg_authid WHERE rolname ~ '^pg_'
    AND rolname NOT IN ('pg_database_owner', 'pg_read_all_data', 'pg_write_all_data', 'pg_maintain')
)
SELECT r.rolname AS name FROM pg_catalog.pg_authid r
WHERE (r.rolname !~ '^(pg_|odoo_pg_)' OR r.rolname = 'pg_database_owner')
  AND r.rolname NOT IN ('${PASSING_ROLE}', '${BARRED_ROLE}')
  AND NOT EXISTS (SELECT FROM mighty m WHERE m.oid = r.oid OR pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER'))`;

/** The names of the roles that may be given what a restore has read. */
export async function rolesThatMayOwn(session: Session): Promise<ReadonlySet<string>> {
  const rows = await session.query(MAY_OWN);
  return new Set(rows.map((row) => String(row["name"])));
}
