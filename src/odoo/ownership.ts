import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import type { Superuser } from "../postgres/sql/access/superuser.ts";
import {
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  SqlError,
  type Session,
} from "../system/sql/sql.ts";
import { rolesThatMayOwn } from "./may-own.ts";
import { GROUP_ROLE } from "./roles.ts";

const strayRow = z.object({
  database: z.string(),
  holder: z.string(),
  owner: z.string(),
});
type Stray = z.output<typeof strayRow>;

/**
 * Databases with objects that their owner should own and does not: those of the group role that Odoo's roles once shared, and
 * extensions, with their functions, that came with a template of another owner.
 */
const STRAYS = `
SELECT d.datname AS database, holder.rolname AS holder, owner.rolname AS owner
FROM pg_catalog.pg_shdepend s
  JOIN pg_catalog.pg_database d ON d.oid = s.dbid
  JOIN pg_catalog.pg_authid holder ON holder.oid = s.refobjid
  JOIN pg_catalog.pg_authid owner ON owner.oid = d.datdba
WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.deptype = 'o' AND s.refobjid <> d.datdba
  AND d.datallowconn AND d.datconnlimit <> -2 AND d.datname !~ '^odoo_pg_' AND d.datname <> 'postgres'
GROUP BY 1, 2, 3
HAVING holder.rolname = '${GROUP_ROLE}'
  OR bool_or(s.classid = 'pg_catalog.pg_extension'::pg_catalog.regclass)
    AND bool_and(s.classid IN ('pg_catalog.pg_extension'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass))
ORDER BY 1, 2`;

export interface Given {
  /** The databases in which something changed hands. */
  readonly given: readonly string[];
  /** Those in use now. */
  readonly busy: readonly string[];
  /** Failures, each with its database; undefined where the list of databases itself could not be read. */
  readonly failed: readonly { readonly database: string | undefined; readonly message: string }[];
}

/**
 * Gives stray objects (`STRAYS`) to the database's owner. An owner whose rights reach beyond its databases gets nothing:
 * objects in a database could run with these rights.
 */
export async function giveToOwners(superuser: Superuser, session: Session): Promise<Given> {
  const given = new Set<string>();
  const busy = new Set<string>();
  const failed: { database: string; message: string }[] = [];
  const strays = strayRow.array().parse(await session.prepared("strays", STRAYS, []));
  const may = strays.length ? await rolesThatMayOwn(session) : new Set<string>();
  for (const stray of strays) {
    const { database, holder, owner } = stray;
    const ofGroup = holder === GROUP_ROLE;
    if (!may.has(owner) || !(ofGroup || may.has(holder))) continue;
    try {
      const changed = await superuser
        .in(database)
        .use(async (inside) => await (ofGroup ? reassign : giveExtensions)(inside, stray));
      if (changed) given.add(database);
    } catch (error) {
      // A session uses a table, or the table is gone: one database does not stop the others.
      if (!(error instanceof SqlError || error instanceof OdooPgError) || session.broken()) throw error;
      if (error.code === LOCK_NOT_AVAILABLE) busy.add(database);
      else if (error.code !== INVALID_CATALOG_NAME) failed.push({ database, message: error.message });
    }
  }
  return { given: [...given], busy: [...busy], failed };
}

const LOCK_NOT_AVAILABLE = "55P03";
const INVALID_CATALOG_NAME = "3D000";

const role = (name: string): string =>
  `(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ${literal(name)})`;

/**
 * Gives extensions, with those of their functions that only a superuser can have written (languages C and internal), such
 * as unaccent(text), which Odoo makes IMMUTABLE. A function that the holder may have written is never given: it would run
 * with the new owner's rights. Membership in an extension proves nothing, as the extension's owner may add to it.
 *
 * There is no ALTER EXTENSION … OWNER, and REASSIGN OWNED would take the holder's databases along: so the catalogue is
 * updated, in pg_extension and in pg_shdepend.
 */
async function giveExtensions(inside: Session, { holder, owner }: Stray): Promise<boolean> {
  return await transaction(inside, owner, async () => {
    const functions = await inside.query(
      `SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name
       FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang
       WHERE p.proowner = ${role(holder)} AND l.lanname IN ('c', 'internal') AND NOT p.prosecdef
         AND EXISTS (SELECT FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
           WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
             AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
             AND e.extowner IN (${role(holder)}, ${role(owner)}))`,
    );
    await inside.query(
      [
        ...functions.map(({ name }) => `ALTER ROUTINE ${String(name)} OWNER TO ${id(owner)}`),
        `UPDATE pg_catalog.pg_extension SET extowner = ${role(owner)} WHERE extowner = ${role(holder)}`,
        `UPDATE pg_catalog.pg_shdepend SET refobjid = ${role(owner)}
         WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
           AND classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'o'
           AND refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = ${role(holder)}`,
      ].join("; "),
    );
    return true;
  });
}

/**
 * Gives all that the group has in a database, except SECURITY DEFINER functions: any member may have written them.
 * REASSIGN OWNED takes the group's databases along: they are given back in the same transaction, so that no other session
 * sees them with another owner. The lock keeps new databases from being created, and given away, meanwhile.
 */
async function reassign(inside: Session, { holder, owner }: Stray): Promise<boolean> {
  return await transaction(inside, owner, async () => {
    await inside.query("LOCK TABLE pg_catalog.pg_database IN SHARE ROW EXCLUSIVE MODE");
    const functions = await inside.query(
      `SELECT oid::pg_catalog.regprocedure::pg_catalog.text AS name FROM pg_catalog.pg_proc
       WHERE proowner = ${role(holder)} AND prosecdef`,
    );
    const [has] = await inside.query(
      `SELECT pg_catalog.count(*)::int AS things FROM pg_catalog.pg_shdepend
       WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
         AND deptype = 'o' AND refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = ${role(holder)}`,
    );
    if (has?.["things"] === functions.length) return false;
    const databases = await inside.query(
      `SELECT datname AS name FROM pg_catalog.pg_database WHERE datdba = ${role(holder)}`,
    );
    await inside.query(
      [
        `REASSIGN OWNED BY ${id(holder)} TO ${id(owner)}`,
        ...databases.map(({ name }) => `ALTER DATABASE ${id(String(name))} OWNER TO ${id(holder)}`),
        ...functions.map(({ name }) => `ALTER ROUTINE ${String(name)} OWNER TO ${id(holder)}`),
      ].join("; "),
    );
    return true;
  });
}

/**
 * Runs `act` in a transaction in which no other session can create or change a function; not at all where the database has
 * another owner by now. @returns whether something was changed
 */
async function transaction(inside: Session, owner: string, act: () => Promise<boolean>): Promise<boolean> {
  try {
    await inside.query(
      "BEGIN; SET LOCAL lock_timeout = '3s'; LOCK TABLE pg_catalog.pg_proc IN SHARE ROW EXCLUSIVE MODE",
    );
    const still = await inside.query(
      `SELECT FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database() AND datdba = ${role(owner)}`,
    );
    const changed = still.length > 0 && (await act());
    await inside.query("COMMIT");
    return changed;
  } catch (error) {
    await inside.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** Whether the group has members that log in, as older versions of odoo-pg made them: they share what it owns. */
export async function isShared(session: Session): Promise<boolean> {
  const rows = await session.query(
    `SELECT FROM pg_catalog.pg_auth_members m
       JOIN pg_catalog.pg_authid g ON g.oid = m.roleid JOIN pg_catalog.pg_authid r ON r.oid = m.member
     WHERE g.rolname = '${GROUP_ROLE}' AND r.rolcanlogin AND NOT r.rolsuper LIMIT 1`,
  );
  return rows.length > 0;
}

/**
 * Takes out of the group the members that older versions put there and that need it no more. One that owns no database stays
 * while the group owns, or has rights on, anything: it may work with that.
 * @returns the roles that left
 */
export async function leaveGroup(session: Session): Promise<string[]> {
  const rows = await session.query(
    `SELECT r.rolname AS name FROM pg_catalog.pg_auth_members m
       JOIN pg_catalog.pg_authid g ON g.oid = m.roleid JOIN pg_catalog.pg_authid r ON r.oid = m.member
     WHERE g.rolname = '${GROUP_ROLE}' AND r.rolcanlogin AND NOT r.rolsuper
       AND (EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datdba = r.oid)
         OR NOT EXISTS (SELECT FROM pg_catalog.pg_shdepend s
           WHERE s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND s.refobjid = g.oid AND s.deptype IN ('o', 'a')))
     ORDER BY 1`,
  );
  const names = rows.map((row) => String(row["name"]));
  if (names.length)
    await session.query(names.map((name) => `REVOKE ${GROUP_ROLE} FROM ${id(name)}`).join("; "));
  return names;
}
