import * as z from "zod";
import type { Superuser } from "../postgres/sql/superuser.ts";
import {
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  SqlError,
  type Session,
} from "../system/sql/sql.ts";
import { GROUP_ROLE } from "./roles.ts";

const strayRow = z.object({
  database: z.string(),
  holder: z.string(),
  owner: z.string(),
  /** Whether the holder has nothing there but extensions and functions. */
  extensions: z.boolean(),
});

/**
 * What the database's owner works with and does not own: everything of the group that Odoo's roles once shared, and
 * extensions with their functions that came with a template of somebody else's.
 */
const STRAYS = `
SELECT d.datname AS database, holder.rolname AS holder, owner.rolname AS owner,
  bool_and(s.classid IN ('pg_catalog.pg_extension'::pg_catalog.regclass, 'pg_catalog.pg_proc'::pg_catalog.regclass)) AS extensions
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

/** Gives them to the database's owner. @returns the databases in which something changed hands, and those in use now */
export async function giveToOwners(
  superuser: Superuser,
  session: Session,
): Promise<{ readonly given: readonly string[]; readonly busy: readonly string[] }> {
  const given = new Set<string>();
  const busy = new Set<string>();
  for (const stray of strayRow.array().parse(await session.prepared("strays", STRAYS, []))) {
    try {
      await superuser
        .in(stray.database)
        .use(async (inside) => await (stray.extensions ? giveOneByOne : reassign)(inside, stray));
      given.add(stray.database);
    } catch (error) {
      // Somebody works with a table, or it is gone: one database keeps the others from nothing.
      if (!(error instanceof SqlError) || session.broken()) throw error;
      busy.add(stray.database);
    }
  }
  return { given: [...given], busy: [...busy] };
}

/**
 * Extensions with their functions. There is no ALTER EXTENSION … OWNER, and REASSIGN OWNED, which does it, takes whole
 * databases of the holder along: so the catalogue is written, both where the owner stands and where it is depended on.
 */
async function giveOneByOne(inside: Session, { holder, owner }: z.output<typeof strayRow>): Promise<void> {
  const functions = await inside.query(
    `SELECT oid::pg_catalog.regprocedure::pg_catalog.text AS name FROM pg_catalog.pg_proc
     WHERE proowner = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1)`,
    [holder],
  );
  const role = (name: string): string =>
    `(SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ${literal(name)})`;
  await transaction(inside, [
    ...functions.map(({ name }) => `ALTER ROUTINE ${String(name)} OWNER TO ${id(owner)}`),
    `UPDATE pg_catalog.pg_extension SET extowner = ${role(owner)} WHERE extowner = ${role(holder)}`,
    `UPDATE pg_catalog.pg_shdepend SET refobjid = ${role(owner)}
     WHERE dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       AND classid = 'pg_catalog.pg_extension'::pg_catalog.regclass AND deptype = 'o'
       AND refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass AND refobjid = ${role(holder)}`,
  ]);
}

/**
 * All that the group has in a database. REASSIGN OWNED takes the group's databases along: they are given back in the same
 * transaction, so that nobody sees them with another owner. Meanwhile nobody makes one, which would be given away unseen.
 */
async function reassign(inside: Session, { holder, owner }: z.output<typeof strayRow>): Promise<void> {
  try {
    await inside.query(
      "BEGIN; SET LOCAL lock_timeout = '3s'; LOCK TABLE pg_catalog.pg_database IN SHARE ROW EXCLUSIVE MODE",
    );
    const databases = await inside.query(
      `SELECT datname AS name FROM pg_catalog.pg_database
       WHERE datdba = (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = $1)`,
      [holder],
    );
    await inside.query(
      [
        `REASSIGN OWNED BY ${id(holder)} TO ${id(owner)}`,
        ...databases.map(({ name }) => `ALTER DATABASE ${id(String(name))} OWNER TO ${id(holder)}`),
        "COMMIT",
      ].join("; "),
    );
  } catch (error) {
    await inside.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

async function transaction(inside: Session, statements: readonly string[]): Promise<void> {
  try {
    await inside.query(["BEGIN", "SET LOCAL lock_timeout = '3s'", ...statements, "COMMIT"].join("; "));
  } catch (error) {
    await inside.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/**
 * Members of the group that older versions made them, who have nothing by it any more: they leave it. One that owns no
 * database stays while the group owns some: it may work in these.
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
