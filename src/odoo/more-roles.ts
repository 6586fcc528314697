import { nextStep, odooPg } from "../next-step.ts";
import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import { scramVerifier } from "../postgres/sql/access/scram.ts";
import {
  explainSql,
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  SqlError,
  type Session,
} from "../system/sql/sql.ts";
import { BARRED_ROLE, keepPassing, PASSING_ROLE } from "../postgres/sql/access/passing.ts";
import { inSilence } from "./roles.ts";

const roleSchema = z.object({
  name: z.string(),
  login: z.boolean(),
  createdb: z.boolean(),
  superuser: z.boolean(),
  has_password: z.boolean(),
  member_of: z.string().array(),
  /** Databases that it owns. */
  databases: z.string().array(),
});
export type RoleListed = z.output<typeof roleSchema>;

/** The roles of the server, except PostgreSQL's own and those of a running restore. */
export async function listRoles(session: Session): Promise<RoleListed[]> {
  const rows = await session.query(
    `SELECT a.rolname AS name, a.rolcanlogin AS login, a.rolcreatedb AS createdb, a.rolsuper AS superuser,
       a.rolpassword IS NOT NULL AS has_password,
       ARRAY(SELECT g.rolname::text FROM pg_auth_members m JOIN pg_roles g ON g.oid = m.roleid
         WHERE m.member = a.oid AND g.rolname <> ALL ($1::text[]) ORDER BY 1) AS member_of,
       ARRAY(SELECT datname::text FROM pg_database d WHERE d.datdba = a.oid ORDER BY 1) AS databases
     FROM pg_authid a WHERE a.rolname !~ '^(pg_|odoo_pg_)' AND a.rolname <> ALL ($1::text[]) ORDER BY 1`,
    [[PASSING_ROLE, BARRED_ROLE]],
  );
  return roleSchema.array().parse(rows);
}

function assertOrdinary(name: string, ofCluster: readonly string[]): void {
  const kept = [...ofCluster, PASSING_ROLE, BARRED_ROLE];
  if (!kept.includes(name) && !name.startsWith("pg_") && !name.startsWith("odoo_pg_")) return;
  throw new OdooPgError("refused", {
    message: kept.includes(name)
      ? `Role "${name}" is one that the cluster needs.`
      : `Names such as "${name}" are kept for PostgreSQL and odoo-pg.`,
    safe: "Nothing was changed.",
    next: nextStep`Choose another role: ${odooPg("role", "list")}`,
  });
}

/**
 * Creates a role for an Odoo: login and CREATEDB, no memberships shared with others, never a superuser. The password is
 * sent as a verifier.
 * @param kept roles of the cluster itself
 */
export async function createRole(
  session: Session,
  name: string,
  password: string,
  kept: readonly string[],
): Promise<void> {
  assertOrdinary(name, kept);
  if (name === "" || Buffer.byteLength(name) > 63)
    throw new OdooPgError("usage", { message: "The name of a role has 1 to 63 bytes." });
  try {
    await inSilence(session, [
      `CREATE ROLE ${id(name)} LOGIN CREATEDB PASSWORD ${literal(scramVerifier(password))}`,
    ]);
    await keepPassing(session);
  } catch (error) {
    // duplicate_object
    if (error instanceof SqlError && error.code === "42710") {
      throw new OdooPgError("refused", {
        message: `Role "${name}" already exists.`,
        safe: "The role and its password are as they were.",
        next: nextStep`Choose another name (${odooPg("role", "list")}), or change its password: ${odooPg("psql", "--", "-c", `\\password ${id(name)}`)}`,
      });
    }
    throw explainSql(error, `Role "${name}" cannot be made`);
  }
}

/** Drops a role that no longer owns anything. @throws OdooPgError refused. */
export async function dropRole(session: Session, name: string, kept: readonly string[]): Promise<void> {
  assertOrdinary(name, kept);
  const found = (await listRoles(session)).find((role) => role.name === name);
  if (!found)
    throw new OdooPgError("refused", {
      message: `There is no role "${name}".`,
      safe: "Nothing was changed.",
    });
  if (found.superuser || found.databases.length) {
    throw new OdooPgError("refused", {
      message: found.superuser
        ? `Role "${name}" is a superuser.`
        : `Role "${name}" owns ${found.databases.map((database) => `"${database}"`).join(", ")}.`,
      safe: "Nothing was changed.",
      next: "Drop what it owns, or give it to another role.",
    });
  }
  try {
    await session.query(`DROP ROLE ${id(name)}`);
  } catch (error) {
    throw explainSql(error, `Role "${name}" cannot be dropped`);
  }
}
