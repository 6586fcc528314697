import type { Session } from "../../../system/sql/sql.ts";
import { quoteSqlIdentifier as id } from "../../../system/sql/sql.ts";

/**
 * Two roles without rights of their own, whose members may, or must not, connect through the endpoints: pg_hba.conf cannot
 * ask whether a role is a superuser, only whether it is a member of another. A role in neither is refused, so a new role
 * gets in only after `keepPassing` has seen it. Membership is inherited, by way of other roles too; the bar comes first.
 */
export const PASSING_ROLE = "opg_endpoint_users";
export const BARRED_ROLE = "opg_endpoint_barred";

/**
 * Roles that never connect through the endpoints, since whoever reaches HAProxy could try their passwords: superusers,
 * replication, roles that run programs or touch files of the server, and before PostgreSQL 16 CREATEROLE, which could
 * grant itself any of these. Whoever is a member of one of them is refused as well (`STANDINGS`, `isMighty`).
 */
export const MIGHTY = `
  SELECT oid FROM pg_catalog.pg_authid
  WHERE rolsuper OR rolreplication
    OR rolcreaterole AND pg_catalog.current_setting('server_version_num')::int < 160000
    OR rolname IN ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files')`;

const STANDINGS = `
WITH mighty AS (${MIGHTY}
), standing AS (
  SELECT r.oid, r.rolname, r.rolcanlogin,
    EXISTS (SELECT FROM mighty m WHERE m.oid = r.oid OR pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')) AS is_mighty,
    EXISTS (SELECT FROM pg_catalog.pg_auth_members x WHERE x.member = r.oid
      AND x.roleid = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = '${PASSING_ROLE}')) AS passes,
    EXISTS (SELECT FROM pg_catalog.pg_auth_members x WHERE x.member = r.oid
      AND x.roleid = (SELECT oid FROM pg_catalog.pg_authid WHERE rolname = '${BARRED_ROLE}')) AS is_barred
  FROM pg_catalog.pg_authid r
  WHERE r.rolname !~ '^(pg_|odoo_pg_)' AND r.rolname NOT IN ('${PASSING_ROLE}', '${BARRED_ROLE}')
)
SELECT rolname, rolcanlogin AND NOT is_mighty AS may_pass, passes, rolcanlogin AND is_mighty AS must_not, is_barred
FROM standing
WHERE passes IS DISTINCT FROM (rolcanlogin AND NOT is_mighty) OR is_barred IS DISTINCT FROM (rolcanlogin AND is_mighty)
ORDER BY rolname`;

/** Whether a role is one of `MIGHTY`, or a member of one. True where there is no such role. */
export async function isMighty(session: Session, role: string): Promise<boolean> {
  const [row] = await session.query(
    `WITH mighty AS (${MIGHTY}
     ) SELECT EXISTS (SELECT FROM mighty m WHERE m.oid = r.oid OR pg_catalog.pg_has_role(r.oid, m.oid, 'MEMBER')) AS mighty
       FROM pg_catalog.pg_roles r WHERE r.rolname = $1`,
    [role],
  );
  return row?.["mighty"] !== false;
}

/** The statements that bring the membership of both roles up to date; none where it is. Ends no session. */
async function passingStatements(session: Session): Promise<string[]> {
  const there = new Set(
    (
      await session.prepared(
        "passing roles",
        `SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('${PASSING_ROLE}', '${BARRED_ROLE}')`,
        [],
      )
    ).map((row) => String(row["rolname"])),
  );
  const made = [PASSING_ROLE, BARRED_ROLE]
    .filter((role) => !there.has(role))
    .map((role) => `CREATE ROLE ${id(role)} NOLOGIN`);
  const rows = await session.prepared("standings", STANDINGS, []);
  const changes = rows.flatMap((row) => {
    const role = id(String(row["rolname"]));
    const change = (wanted: unknown, is: unknown, group: string): string[] =>
      wanted === is
        ? []
        : [wanted === true ? `GRANT ${id(group)} TO ${role}` : `REVOKE ${id(group)} FROM ${role}`];
    // The bar first: so a role that gains rights cannot pass at any moment.
    return [
      ...change(row["must_not"], row["is_barred"], BARRED_ROLE),
      ...change(row["may_pass"], row["passes"], PASSING_ROLE),
    ];
  });
  return [...made, ...changes];
}

/** Brings the membership of both roles up to date. @throws SqlError */
export async function keepPassing(session: Session): Promise<void> {
  const statements = await passingStatements(session);
  if (statements.length) await session.query(statements.join("; "));
}
