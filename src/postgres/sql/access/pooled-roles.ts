import * as z from "zod";
import type { SuperuserSession } from "../../../system/sql/sql.ts";
import { BARRED_ROLE, PASSING_ROLE } from "./passing.ts";

/** A role that may come through the endpoints by a password. */
const roleRow = z.object({
  name: z.string(),
  secret: z.string(),
  /** Whether a database is its own. */
  owns: z.boolean(),
});
export type PassingRole = z.output<typeof roleRow>;

/**
 * The roles that PgBouncer lets in, with their SCRAM secrets: those that may connect through the endpoints. The server
 * checks a role when a session is opened, not the clients that share it later: PgBouncer must refuse whom it would refuse.
 */
const ROLES = `
SELECT r.rolname::text AS name, r.rolpassword AS secret,
  EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datdba = r.oid) AS owns
FROM pg_catalog.pg_authid r
WHERE r.rolcanlogin AND NOT r.rolsuper AND NOT r.rolreplication
  AND r.rolpassword LIKE 'SCRAM-SHA-256$%'
  AND (r.rolvaliduntil IS NULL OR r.rolvaliduntil > pg_catalog.now())
  AND EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
    WHERE m.member = r.oid AND g.rolname = '${PASSING_ROLE}')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
    WHERE m.member = r.oid AND g.rolname = '${BARRED_ROLE}')
ORDER BY r.rolname`;

/** Reads them from the primary. @throws SqlError */
export async function passingRoles(session: SuperuserSession): Promise<PassingRole[]> {
  return roleRow.array().parse(await session.query(ROLES));
}
