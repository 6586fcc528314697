import * as z from "zod";
import { quoteSqlIdentifier as id, type Session, type SuperuserSession } from "../../system/sql/sql.ts";

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

/**
 * The rows of each table, without those of tables that inherit from it. Nothing is planned: see copyOut. One column of
 * each is read: one of fixed length, where there is one, for it is small. A superuser may have the server write to /dev/null.
 */
export async function countByCopy(
  session: SuperuserSession,
  tables: readonly { readonly schema: string; readonly name: string }[],
): Promise<number[]> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name,
       (SELECT a.attname FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
        ORDER BY a.attlen < 0, a.attnum LIMIT 1) AS column
     FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) WITH ORDINALITY AS given (schema, name, place)
     JOIN pg_catalog.pg_namespace n ON n.nspname = given.schema
     JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = given.name
     ORDER BY given.place`,
    [tables.map(({ schema }) => schema), tables.map(({ name }) => name)],
  );
  const columns = z
    .object({ schema: z.string(), name: z.string(), column: z.string().nullable() })
    .array()
    .length(tables.length)
    .parse(rows);
  return await session.counts(
    columns.map(
      ({ schema, name, column }) =>
        `COPY ${id(schema)}.${id(name)}${column === null ? "" : ` (${id(column)})`} TO '/dev/null' (FORMAT binary)`,
    ),
  );
}
