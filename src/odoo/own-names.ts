import * as z from "zod";
import { printableLine } from "../printable.ts";
import { quoteSqlIdentifier as id, type Session } from "../system/sql/sql.ts";

/**
 * Drops a database that odoo-pg made, by the name that it gave it: one that the superuser owns, or the role that
 * odoo-pg made to fill it. Every role with CREATEDB could use such a name too. A database may have been marked as a
 * template while it was filled, and PostgreSQL never drops a template.
 * @param filler the role that was made to fill it
 * @returns false for a database that another role made: it stays as it is
 */
export async function dropOwn(session: Session, name: string, filler?: string): Promise<boolean> {
  const [row] = await session.query(
    `SELECT d.datistemplate AS template, r.rolname = CURRENT_USER OR r.rolname = $2 AS own
     FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba WHERE d.datname = $1`,
    [name, filler ?? ""],
  );
  if (row === undefined) return true;
  if (row["own"] !== true) return false;
  if (row["template"] === true) await session.query(`ALTER DATABASE ${id(name)} IS_TEMPLATE false`);
  await session.query(`DROP DATABASE IF EXISTS ${id(name)} WITH (FORCE)`);
  return true;
}

const strangerRow = z.object({ name: z.string(), owner: z.string(), count: z.coerce.number() });

/** Reports databases that other roles made under names reserved for odoo-pg; undefined where there are none. */
export async function othersByOurNames(session: Session): Promise<string | undefined> {
  const rows = await session.query(
    `SELECT d.datname AS name, r.rolname AS owner, count(*) OVER () AS count
     FROM pg_catalog.pg_database d JOIN pg_catalog.pg_roles r ON r.oid = d.datdba
     WHERE pg_catalog.starts_with(d.datname, 'odoo_pg_') AND NOT r.rolsuper AND r.rolname !~ '^odoo_pg_'
     ORDER BY 1 LIMIT 1`,
  );
  const [first] = strangerRow.array().parse(rows);
  if (!first) return undefined;
  const more = first.count > 1 ? ` and ${first.count - 1} more` : "";
  return (
    `database ${printableLine(first.name)} of role ${printableLine(first.owner)}${more}: such a name is one of ` +
    `odoo-pg's own, so nothing is done to it and it is never backed up; its owner can rename it`
  );
}
