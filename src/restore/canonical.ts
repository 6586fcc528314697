import * as z from "zod";
import { quoteSqlIdentifier as id, SqlError, type OrdinarySession } from "../system/sql/sql.ts";
import type { DefinitionKind, Difference, OtherText } from "../backup/contents/compare.ts";
import { definitionsIn } from "../backup/contents/read-contents.ts";

/** Objects are created here only for as long as it takes to read them: the transaction never commits. */
const SCHEMA = "odoo_pg_compared";

/** The column used to try the expression of a generated column. */
const COLUMN = "odoo_pg_compared";

/** Rounds until PostgreSQL's text no longer changes; never more than one was needed so far. */
const ROUNDS = 3;

/**
 * Which differences stay when the server has read and printed both texts again. PostgreSQL stores expressions as trees, and
 * the text that it prints of a tree may parse to another tree: `state IN ('a', 'b')` on a varchar is printed otherwise after
 * one dump and restore. So each text becomes the definition of an empty object with the same columns, and what the server
 * then prints is compared. Texts of different meaning still differ, however often they are read.
 *
 * Reading a text may run code of its author: so it is read with the rights of the role that loaded it.
 * @param session of the loader, in the restored database, outside of a transaction
 * @returns the differences that stay
 */
export async function trulyOther(
  session: OrdinarySession,
  differences: readonly Difference[],
): Promise<Difference[]> {
  if (!differences.some(({ texts }) => texts)) return [...differences];
  const kept: Difference[] = [];
  await session.query(`BEGIN; SET LOCAL search_path = ''; SET LOCAL client_min_messages = error`);
  try {
    await session.query(`CREATE SCHEMA ${SCHEMA}`);
    for (const difference of differences) {
      if (difference.texts && (await meetAgain(session, difference.texts))) continue;
      kept.push(difference);
    }
  } finally {
    await session.query("ROLLBACK");
  }
  return kept;
}

/** Whether the two texts are the same after they are read and printed again. */
async function meetAgain(session: OrdinarySession, texts: OtherText): Promise<boolean> {
  const names = await serverNames(session, texts);
  const reread = reader(session, texts, names);
  const wanted = new Set([texts.expected]);
  const there = new Set([texts.found]);
  let [left, right]: (string | undefined)[] = [texts.expected, texts.found];
  for (let round = 0; round < ROUNDS; round += 1) {
    left = left === undefined ? undefined : await reread(left);
    right = right === undefined ? undefined : await reread(right);
    if (left !== undefined) wanted.add(left);
    if (right !== undefined) there.add(right);
    if ([...wanted].some((text) => there.has(text))) return true;
  }
  return false;
}

/** Names as the server writes them in its texts. */
const serverNamesRow = z.object({
  schema: z.string(),
  table: z.string(),
  name: z.string(),
  /** Type of a generated column, or the one below a domain. */
  type: z.string().nullable(),
  /** The partitioned table of a partition, and how it is divided. */
  parent: z.string().nullable(),
  division: z.string().nullable(),
});
type ServerNames = z.output<typeof serverNamesRow>;

async function serverNames(session: OrdinarySession, texts: OtherText): Promise<ServerNames> {
  const { kind, schema, table, name } = texts;
  const [row] = await session.query(
    `SELECT quote_ident($1::text) AS schema, quote_ident($2::text) AS "table", quote_ident($3::text) AS name,
       CASE $4::text
         WHEN 'generated column' THEN (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = r.oid AND a.attname = $3)
         WHEN 'domain constraint' THEN (SELECT format_type(t.typbasetype, t.typtypmod) FROM pg_type t WHERE t.typnamespace = n.oid AND t.typname = $2)
       END AS type, i.inhparent::regclass::text AS parent, pg_get_partkeydef(i.inhparent) AS division
     FROM pg_namespace n LEFT JOIN pg_class r ON r.relnamespace = n.oid AND r.relname = $2
     LEFT JOIN pg_inherits i ON i.inhrelid = r.oid AND $4 = 'partition bound'
     WHERE n.nspname = $1`,
    [schema, table, name, kind],
  );
  return serverNamesRow.parse(row);
}

/** The statement that reads a text of one kind and prints it again; undefined where the server does not accept it. */
function reader(
  session: OrdinarySession,
  texts: OtherText,
  names: ServerNames,
): (text: string) => Promise<string | undefined> {
  const { there, back } = renaming(texts.kind, names);
  return async (text) => {
    await session.query("SAVEPOINT text");
    try {
      await session.query(statements(texts, names, there(text)).join(";\n"));
      const [row] = await session.query(PRINTED, [texts.kind]);
      return typeof row?.["definition"] === "string" ? back(row["definition"]) : undefined;
    } catch (error) {
      if (error instanceof SqlError && !session.broken()) return undefined;
      throw error;
    } finally {
      if (!session.broken()) await session.query("ROLLBACK TO SAVEPOINT text");
    }
  };
}

/** Everything of its kind that is in our schema: it is one thing. */
const PRINTED = `SELECT d.definition FROM (${definitionsIn(`n.nspname = '${SCHEMA}'`)}
  UNION ALL SELECT 'index', n.nspname, c.relname, c.relname, pg_get_indexdef(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('i', 'I') AND n.nspname = '${SCHEMA}'
  UNION ALL SELECT 'constraint', n.nspname, t.relname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE k.contype <> 'n' AND n.nspname = '${SCHEMA}'
  UNION ALL SELECT 'trigger', n.nspname, t.relname, g.tgname, pg_get_triggerdef(g.oid)
    FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_namespace n ON n.oid = t.relnamespace
    WHERE NOT g.tgisinternal AND n.nspname = '${SCHEMA}') d WHERE d.kind = $1`;

/** What the statements for a text are made of. */
interface Making {
  readonly text: string;
  /** In our schema, and a statement that makes it with the columns of the real one. */
  readonly table: string;
  readonly like: string;
  readonly name: string;
  readonly names: ServerNames;
}

const asItStands = ({ like, text }: Making): string[] => [like, text];

/** The statements by which the server reads a text, as the definition of something in our schema. */
const MAKING: Readonly<Record<DefinitionKind, (making: Making) => string[]>> = {
  index: asItStands,
  trigger: asItStands,
  rule: asItStands,
  statistics: asItStands,
  "function body": ({ text }) => [text],
  constraint: ({ table, like, name, text }) => [
    like,
    `ALTER TABLE ${table} ADD CONSTRAINT ${id(name)} ${text}`,
  ],
  default: ({ table, like, name, text }) => [
    like,
    `ALTER TABLE ${table} ALTER COLUMN ${id(name)} SET DEFAULT ${text}`,
  ],
  "generated column": ({ table, like, names, text }) => [
    like,
    `ALTER TABLE ${table} ADD COLUMN ${COLUMN} ${names.type} GENERATED ALWAYS AS (${text}) STORED`,
  ],
  policy: ({ table, like, name, text }) => [like, `CREATE POLICY ${id(name)} ON ${table} ${text}`],
  "view definition": ({ table, text }) => [`CREATE VIEW ${table} AS ${text}`],
  "partition key": ({ like, text }) => [`${like} PARTITION BY ${text}`],
  "partition bound": ({ table, names, text }) => [
    `CREATE TABLE ${SCHEMA}.odoo_pg_parent (LIKE ${names.parent}) PARTITION BY ${names.division}`,
    `CREATE TABLE ${table} PARTITION OF ${SCHEMA}.odoo_pg_parent ${text}`,
  ],
  "domain constraint": ({ table, name, names, text }) => [
    `CREATE DOMAIN ${table} AS ${names.type}`,
    `ALTER DOMAIN ${table} ADD CONSTRAINT ${id(name)} ${text}`,
  ],
};

function statements({ kind, name }: OtherText, names: ServerNames, text: string): string[] {
  const table = `${SCHEMA}.${names.table}`;
  const like = `CREATE TABLE ${table} (LIKE ${names.schema}.${names.table})`;
  return MAKING[kind]({ text, table, like, name, names });
}

/**
 * Where the texts of a kind name what they belong to, before any tree: the forms that each place may have, in the
 * schema that is given.
 */
const PLACES: Readonly<Partial<Record<DefinitionKind, (of: string, names: ServerNames) => string[][]>>> = {
  index: (of, { table }) => [[` ON ${of}.${table} `, ` ON ONLY ${of}.${table} `]],
  trigger: (of, { table }) => [[` ON ${of}.${table} `]],
  rule: (of, { table }) => [[` TO ${of}.${table} `, ` TO ${of}.${table}\n`]],
  statistics: (of, { table, name }) => [[`CREATE STATISTICS ${of}.${name} `], [` FROM ${of}.${table}`]],
  "function body": (of, { table }) => [
    [`CREATE OR REPLACE FUNCTION ${of}.${table}(`, `CREATE OR REPLACE PROCEDURE ${of}.${table}(`],
  ],
};

/** Moves a text from its own schema to ours, and back. */
function renaming(
  kind: DefinitionKind,
  names: ServerNames,
): { there: (text: string) => string; back: (text: string) => string } {
  const exchange = (from: string, to: string) => (text: string) => {
    let renamed = text;
    const wanted = PLACES[kind]?.(to, names) ?? [];
    for (const [index, forms] of (PLACES[kind]?.(from, names) ?? []).entries()) {
      const form = forms.findIndex((each) => renamed.includes(each));
      renamed = renamed.replace(forms[form] ?? "", () => wanted[index]?.[form] ?? "");
    }
    return renamed;
  };
  return { there: exchange(names.schema, SCHEMA), back: exchange(SCHEMA, names.schema) };
}
