import * as z from "zod";
import { quoteSqlIdentifier as id, type Session, type SuperuserSession } from "../system/sql.ts";

/**
 * Reads columns of a table of schema public, and of those that inherit from it, by COPY. A query would be planned, and the
 * planner works out functions of the table's owner (in conditions of indexes, in statistics of expressions) with the rights
 * of who asks: a superuser may not ask like that. COPY of a plain table plans nothing; of a view it is refused.
 * PostgreSQL manual, "COPY".
 * @param onRow is given each row's columns as text
 * @throws SqlError
 */
export async function copyOut(
  session: Session,
  table: string,
  columns: readonly string[],
  onRow: (fields: readonly (string | null)[]) => void,
): Promise<void> {
  const parts = await session.query(
    `WITH RECURSIVE parts AS (
       SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relname = $1 AND c.relnamespace = pg_catalog.to_regnamespace('public')
       UNION SELECT i.inhrelid FROM pg_catalog.pg_inherits i JOIN parts ON i.inhparent = parts.oid)
     SELECT n.nspname AS schema, c.relname AS name
     FROM parts JOIN pg_catalog.pg_class c ON c.oid = parts.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'r' AND c.relpersistence <> 't' ORDER BY c.oid`,
    [table],
  );
  for (const { schema, name } of parts) {
    const from = `${id(String(schema))}.${id(String(name))} (${columns.map(id).join(", ")})`;
    await session.copyOut(`COPY ${from} TO STDOUT`, (row) => onRow(fieldsOf(row)));
  }
}

const ESCAPED: Readonly<Record<string, string>> = {
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** The columns of a line of COPY's text format. */
function fieldsOf(line: string): (string | null)[] {
  const fields = line.split("\t");
  if (!line.includes("\\")) return fields;
  return fields.map((field) =>
    field === "\\N"
      ? null
      : field.replace(/\\(.)/g, (_, character: string) => ESCAPED[character] ?? character),
  );
}

/** Reads one column of each table that the setting names: one of fixed length, where there is one, for it is small. */
const COUNT = `DO $count$
DECLARE
  tables jsonb := pg_catalog.current_setting('odoo_pg.tables')::jsonb;
  counts bigint[] := '{}';
  item jsonb;
  relation text;
  columns text;
  counted bigint;
BEGIN
  FOR item IN SELECT value FROM pg_catalog.jsonb_array_elements(tables) LOOP
    relation := pg_catalog.format('%I.%I', item->>0, item->>1);
    columns := (SELECT pg_catalog.format('(%I)', a.attname) FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = relation::pg_catalog.regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      ORDER BY a.attlen < 0, a.attnum LIMIT 1);
    EXECUTE pg_catalog.format('COPY %s %s TO ''/dev/null'' (FORMAT binary)', relation, columns);
    GET DIAGNOSTICS counted = ROW_COUNT;
    counts := counts || counted;
  END LOOP;
  PERFORM pg_catalog.set_config('odoo_pg.rows', pg_catalog.to_jsonb(counts)::text, false);
END $count$`;

/**
 * The rows of each table, without those of tables that inherit from it. Nothing is planned: see copyOut.
 * A superuser may have the server write to /dev/null.
 */
export async function countByCopy(
  session: SuperuserSession,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<number[]> {
  const names = JSON.stringify(tables.map(({ schema, name }) => [schema, name]));
  await session.query("SELECT pg_catalog.set_config('odoo_pg.tables', $1, false)", [names]);
  await session.query(COUNT);
  const [row] = await session.query("SELECT pg_catalog.current_setting('odoo_pg.rows')::jsonb AS rows");
  return z.number().array().parse(row?.["rows"]);
}
