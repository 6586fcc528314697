import {
  quoteSqlIdentifier as id,
  quoteSqlLiteral as literal,
  withSession,
  type Credentials,
  type Session,
} from "../system/sql.ts";
import { GROUP_ROLE } from "./roles.ts";

/**
 * The database that Odoo copies new ones from (`db_template`).
 *
 * Odoo runs `CREATE EXTENSION pg_trgm` and, with `unaccent` on, `ALTER FUNCTION unaccent(text) IMMUTABLE` as its own
 * role; a dump of an Odoo database says `COMMENT ON EXTENSION pg_trgm`. All three work for a role with only CREATEDB
 * when the extensions were created as, and the function given to, a role that it is a member of (tried with Odoo 19.0).
 */
export async function ensureTemplate(
  superuser: Credentials,
  session: Session,
  template: string,
): Promise<void> {
  const [found] = await session.query("SELECT datistemplate FROM pg_database WHERE datname = $1", [template]);
  if (!found) {
    await session.query(
      `CREATE DATABASE ${id(template)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER ${id(GROUP_ROLE)}`,
    );
  }
  await withSession({ ...superuser, database: template }, async (inside) => {
    await inside.query(await templateStatements(inside));
  });
  if (found?.["datistemplate"] !== true)
    await session.query(`ALTER DATABASE ${id(template)} IS_TEMPLATE true`);
}

/** What is still missing inside the template, as one text of SQL. */
async function templateStatements(session: Session): Promise<string> {
  const rows = await session.query(
    `SELECT a.name, e.extname IS NOT NULL AS present, r.rolname = ${literal(GROUP_ROLE)} AS owned
     FROM pg_available_extensions a
     LEFT JOIN pg_extension e ON e.extname = a.name
     LEFT JOIN pg_roles r ON r.oid = e.extowner
     WHERE a.name IN ('pg_trgm', 'unaccent', 'vector') ORDER BY 1`,
  );
  const statements = ["SET client_min_messages = warning"];
  for (const row of rows) {
    const name = String(row["name"]);
    if (row["present"] === true) continue;
    // pg_trgm and unaccent are trusted extensions since PostgreSQL 13: the group role may create them by itself.
    // vector is not: the superuser creates it.
    if (name === "vector") statements.push(`CREATE EXTENSION vector SCHEMA public`);
    else
      statements.push(
        `SET ROLE ${id(GROUP_ROLE)}`,
        `CREATE EXTENSION ${id(name)} SCHEMA public`,
        "RESET ROLE",
      );
  }
  if (rows.some((row) => row["name"] === "unaccent")) {
    statements.push(
      "ALTER FUNCTION public.unaccent(text) IMMUTABLE",
      `ALTER FUNCTION public.unaccent(text) OWNER TO ${id(GROUP_ROLE)}`,
    );
  }
  // Odoo does this itself in each new database; with PostgreSQL 15 and later it is no longer the default.
  statements.push("GRANT CREATE ON SCHEMA public TO PUBLIC");
  return statements.join("; ");
}
