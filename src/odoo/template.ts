import { quoteSqlIdentifier as id, type Row, type Session } from "../system/sql.ts";
import type { Superuser } from "../postgres/superuser.ts";
import { GROUP_ROLE } from "./roles.ts";

/**
 * The database that Odoo copies new ones from (`db_template`).
 *
 * Odoo runs `CREATE EXTENSION pg_trgm` and, with `unaccent` on, `ALTER FUNCTION unaccent(text) IMMUTABLE` as its own
 * role; a dump of an Odoo database says `COMMENT ON EXTENSION pg_trgm`. All three work for a role with only CREATEDB
 * when the extensions were created as, and the function given to, a role that it is a member of (tried with Odoo 19.0).
 */
export async function ensureTemplate(
  superuser: Superuser,
  session: Session,
  template: string,
): Promise<void> {
  const look = async (): Promise<Row | undefined> => {
    const [row] = await session.query(
      `SELECT datistemplate AS is_template, has_database_privilege($2, oid, 'CONNECT') AS open
       FROM pg_database WHERE datname = $1`,
      [template, GROUP_ROLE],
    );
    return row;
  };
  if (!(await look())) {
    await session.query(
      `CREATE DATABASE ${id(template)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER ${id(GROUP_ROLE)}`,
    );
  }
  const found = await look();
  // A session in the template keeps it from being copied, so that nobody but a superuser may open one.
  if (found?.["open"] === true) {
    await session.query(`REVOKE CONNECT ON DATABASE ${id(template)} FROM PUBLIC, ${id(GROUP_ROLE)}`);
  }
  await superuser.in(template).use(async (inside) => {
    const statements = await missingIn(inside);
    if (statements.length)
      await inside.query(["SET client_min_messages = warning", ...statements].join("; "));
  });
  if (found?.["is_template"] !== true) await session.query(`ALTER DATABASE ${id(template)} IS_TEMPLATE true`);
}

/** The statements for what is still missing inside the template. */
async function missingIn(session: Session): Promise<string[]> {
  const extensions = await session.query(
    `SELECT name FROM pg_available_extensions
     WHERE name IN ('pg_trgm', 'unaccent', 'vector') AND installed_version IS NULL ORDER BY 1`,
  );
  const statements: string[] = [];
  for (const { name } of extensions) {
    // pg_trgm and unaccent are trusted extensions since PostgreSQL 13: the group role may create them by itself.
    // vector is not: the superuser creates it.
    if (name === "vector") statements.push(`CREATE EXTENSION vector SCHEMA public`);
    else
      statements.push(
        `SET ROLE ${id(GROUP_ROLE)}`,
        `CREATE EXTENSION ${id(String(name))} SCHEMA public`,
        "RESET ROLE",
      );
  }
  const [rest] = await session.query(
    `SELECT
       EXISTS (SELECT FROM pg_available_extensions WHERE name = 'unaccent') AS has_unaccent,
       EXISTS (SELECT FROM pg_proc WHERE oid = to_regprocedure('public.unaccent(text)')
               AND provolatile = 'i' AND proowner = $1::regrole) AS unaccent_ready,
       EXISTS (SELECT FROM pg_namespace, aclexplode(nspacl)
               WHERE nspname = 'public' AND grantee = 0 AND privilege_type = 'CREATE') AS anyone_creates`,
    [id(GROUP_ROLE)],
  );
  if (rest?.["has_unaccent"] === true && rest["unaccent_ready"] !== true) {
    statements.push(
      "ALTER FUNCTION public.unaccent(text) IMMUTABLE",
      `ALTER FUNCTION public.unaccent(text) OWNER TO ${id(GROUP_ROLE)}`,
    );
  }
  // Odoo does this itself in each new database; with PostgreSQL 15 and later it is no longer the default.
  if (rest?.["anyone_creates"] !== true) statements.push("GRANT CREATE ON SCHEMA public TO PUBLIC");
  return statements;
}
