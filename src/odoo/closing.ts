import { quoteSqlIdentifier as id, SqlError, type Session } from "../system/sql/sql.ts";
import { GROUP_ROLE } from "./roles.ts";

/**
 * Closes a database to every role but its owner. Rights granted on a template are not on its copies, and PostgreSQL
 * lets every role connect to a new database. Writes nothing where it is closed already.
 */
export async function shut(session: Session, database: string): Promise<void> {
  const rows = await session.query(
    `SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END AS grantee
     FROM pg_catalog.pg_database d,
       pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
     WHERE d.datname = $1 AND a.grantee <> d.datdba`,
    [database],
  );
  const statements = rows.map(
    (row) => `REVOKE ALL ON DATABASE ${id(database)} FROM ${String(row["grantee"])} CASCADE`,
  );
  if (statements.length) await session.query(statements.join("; "));
}

/**
 * Databases that every role may connect to. Not `postgres`, where Odoo's processes notify each other (LISTEN, NOTIFY),
 * nor template0, which accepts no connections.
 */
const OPEN = `
SELECT d.oid::pg_catalog.text AS oid, d.datname AS name
FROM pg_catalog.pg_database d,
  LATERAL (SELECT FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) a
    WHERE a.grantee = 0 LIMIT 1) to_all
WHERE d.datname NOT IN ('postgres', 'template0') AND d.datconnlimit <> -2`;

/**
 * Roles that were granted rights in a database by its owner or by a superuser: they keep their access. A role that
 * connected while the database was open can create objects there, at least temporary ones, and own them or grant rights
 * on them to others, without the owner's consent: so a grant counts only on what the database's owner or a superuser
 * owns. Objects of a superuser or of pg_database_owner have no owner in pg_shdepend: these roles are pinned. A role
 * that the owner is a member of does not count: up to PostgreSQL 15 each role may grant itself to others.
 */
const GUESTS = `
SELECT DISTINCT r.rolname AS name
FROM pg_catalog.pg_authid r, pg_catalog.pg_database d
WHERE d.oid = $1::pg_catalog.oid AND r.oid <> d.datdba AND NOT r.rolsuper AND r.rolname !~ '^(pg_|odoo_pg_)'
  AND r.rolname <> '${GROUP_ROLE}'
  AND (EXISTS (SELECT FROM pg_catalog.pg_shdepend s WHERE s.dbid = d.oid AND s.deptype = 'a'
      AND s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = r.oid
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend o JOIN pg_catalog.pg_authid h ON h.oid = o.refobjid
        WHERE o.dbid = s.dbid AND o.classid = s.classid AND o.objid = s.objid AND o.deptype = 'o'
          AND o.refclassid = s.refclassid AND h.oid <> d.datdba AND NOT h.rolsuper))
    OR EXISTS (SELECT FROM pg_catalog.aclexplode(d.datacl) a
      WHERE a.grantee = r.oid AND a.privilege_type IN ('CONNECT', 'CREATE'))
    OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
      WHERE m.member = r.oid AND g.rolname IN ('pg_read_all_data', 'pg_write_all_data')))
ORDER BY 1`;

const CUT = `
SELECT pg_catalog.pg_terminate_backend(a.pid)
FROM pg_catalog.pg_stat_activity a
WHERE a.datid = $1::pg_catalog.oid AND a.backend_type = 'client backend' AND a.usesysid IS NOT NULL
  AND NOT pg_catalog.has_database_privilege(a.usesysid, a.datid, 'CONNECT')`;

/**
 * Closes what is open to every role, and ends the sessions of those that are no longer allowed in. A database that is
 * dropped or renamed meanwhile is left to the next check.
 * @returns the names of those that were closed; and of those that are locked by another session now, which does not
 *   keep the others open
 */
export async function closeOpen(
  session: Session,
): Promise<{ readonly closed: readonly string[]; readonly busy: readonly string[] }> {
  const closed: string[] = [];
  const busy: string[] = [];
  for (const { oid, name } of await session.prepared("open", OPEN, [])) {
    try {
      const guests = await session.query(GUESTS, [oid]);
      const database = id(String(name));
      await session.query(
        [
          "BEGIN",
          "SET LOCAL lock_timeout = '1s'",
          `REVOKE ALL ON DATABASE ${database} FROM PUBLIC`,
          ...guests.map((guest) => `GRANT CONNECT ON DATABASE ${database} TO ${id(String(guest["name"]))}`),
          "COMMIT",
        ].join("; "),
      );
      await session.query(CUT, [oid]);
      closed.push(String(name));
    } catch (error) {
      if (!(error instanceof SqlError) || session.broken()) throw error;
      await session.query("ROLLBACK");
      if (!GONE.has(error.code ?? "")) busy.push(String(name));
    }
  }
  return { closed, busy };
}

/** invalid_catalog_name, undefined_object, and internal_error: "tuple concurrently updated". */
const GONE: ReadonlySet<string> = new Set(["3D000", "42704", "XX000"]);
