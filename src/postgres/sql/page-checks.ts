import * as z from "zod";
import { SqlError, type SuperuserSession } from "../../system/sql/sql.ts";
import type { Superuser } from "./access/superuser.ts";

/** The result of amcheck in one database. */
export interface PagesChecked {
  /** How many tables and B-tree indexes were checked. */
  readonly relations: number;
  /** The damaged ones: how many, and a line about each of the first. */
  readonly damaged: { readonly count: number; readonly first: readonly string[] };
}

/** Damaged relations that are reported with a line. */
const FIRST = 20;

const relationSchema = z.object({
  oid: z.string(),
  name: z.string(),
  is_index: z.boolean(),
  /** Whether it has neither an expression nor a condition, whose functions would be its owner's. */
  is_plain: z.boolean(),
});

/**
 * Relations of a database, by its catalogue. 2 is heap, 403 btree (pg_am.dat). Invalid indexes are nobody's; temporary
 * tables of others cannot be read.
 */
const RELATIONS = `SELECT c.oid::text AS oid, format('%I.%I', n.nspname, c.relname) AS name, c.relkind = 'i' AS is_index,
    i.indexprs IS NULL AND i.indpred IS NULL AS is_plain
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_index i ON i.indexrelid = c.oid
  WHERE c.relpersistence <> 't' AND (c.relkind IN ('r', 'm', 't') AND c.relam = 2
    OR c.relkind = 'i' AND c.relam = 403 AND i.indisvalid AND i.indisready)
  ORDER BY c.oid`;

/**
 * Checks a database by amcheck: all B-tree indexes, with an index on plain columns also that it has an entry for each row,
 * and from PostgreSQL 14 on all tables. Only for a database that is dropped afterwards: it creates the extension in it.
 * @returns undefined where amcheck is not installed
 * @throws SqlError
 */
export async function checkPages(
  database: Superuser,
  signal: AbortSignal | undefined,
): Promise<PagesChecked | undefined> {
  return await database.use(async (session) => {
    const [found] = await session.query("SELECT 1 FROM pg_available_extensions WHERE name = 'amcheck'");
    if (!found) return undefined;
    // Where it was made before, it may be of an earlier version, and among functions of somebody else.
    await session.query("DROP EXTENSION IF EXISTS amcheck CASCADE");
    await session.query("CREATE EXTENSION amcheck SCHEMA pg_catalog");
    // amcheck of PostgreSQL 13 checks indexes alone.
    const [known] = await session.query(
      "SELECT to_regprocedure('verify_heapam(regclass,boolean,boolean,text,bigint,bigint)') IS NOT NULL AS heap",
    );
    const wanted = z
      .array(relationSchema)
      .parse(await session.query(RELATIONS))
      .filter(({ is_index }) => is_index || known?.["heap"] === true);
    const lines: string[] = [];
    for (const relation of wanted) {
      signal?.throwIfAborted();
      const wrong = relation.is_index
        ? await wrongInIndex(session, relation)
        : await wrongInTable(session, relation);
      if (wrong !== undefined) lines.push(`${relation.name}: ${wrong}`);
    }
    return { relations: wanted.length, damaged: { count: lines.length, first: lines.slice(0, FIRST) } };
  });
}

type Relation = z.output<typeof relationSchema>;

/** Servers older than May 2022 run the functions of an index's expressions as whoever checks it (CVE-2022-1552). */
async function wrongInIndex(
  session: SuperuserSession,
  { oid, is_plain }: Relation,
): Promise<string | undefined> {
  return await damageIn(async () => {
    await session.query("SELECT bt_index_check($1::oid::regclass, $2)", [oid, is_plain]);
    return undefined;
  });
}

async function wrongInTable(session: SuperuserSession, { oid }: Relation): Promise<string | undefined> {
  return await damageIn(async () => {
    const [row] = await session.query(
      "SELECT format('block %s, row %s: %s', blkno, offnum, msg) AS line FROM verify_heapam($1::oid::regclass, true) LIMIT 1",
      [oid],
    );
    return row === undefined ? undefined : String(row["line"]);
  });
}

/**
 * SQLSTATE of damage: data_corrupted, index_corrupted, undefined_file, io_error; internal_error where the catalogue names
 * something that is not there.
 */
const DAMAGE: readonly (string | undefined)[] = ["XX001", "XX002", "58P01", "58030", "XX000"];

async function damageIn(look: () => Promise<string | undefined>): Promise<string | undefined> {
  try {
    return await look();
  } catch (error) {
    if (error instanceof SqlError && DAMAGE.includes(error.code)) return error.message;
    throw error;
  }
}
