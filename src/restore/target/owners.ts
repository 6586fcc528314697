import { quoteSqlIdentifier as id, type Session } from "../../system/sql/sql.ts";
import type { Contents } from "../../backup/contents/contents.ts";
import { OF_TYPE, OWNED_OTHERWISE } from "../../backup/contents/read-contents.ts";
import { rolesThatMayOwn } from "../../odoo/may-own.ts";
import type { NewDatabase } from "./new-database.ts";

const routine = ({ schema, signature }: Contents["functions"][number]): string => `${schema}.${signature}`;

/** The same contents, all owned by one role. Extensions keep their owner. */
export function ownedBy(contents: Contents, owner: string, found: Contents): Contents {
  const all = <T extends { owner: string }>(items: readonly T[]): T[] =>
    items.map((item) => ({ ...item, owner }));
  const owners = new Map(found.extensions.map((extension) => [extension.name, extension.owner]));
  const ownerless = new Set(found.functions.filter((fn) => fn.owner === "").map(routine));
  return {
    ...contents,
    schemas: all(contents.schemas),
    tables: all(contents.tables),
    views: all(contents.views),
    functions: contents.functions.map((fn) => ({ ...fn, owner: ownerless.has(routine(fn)) ? "" : owner })),
    sequences: all(contents.sequences),
    extensions: contents.extensions.map((extension) => ({
      ...extension,
      owner: owners.get(extension.name) ?? extension.owner,
    })),
  };
}

/**
 * What was loaded, with the owners that it has to have in the end.
 * @param loaded as it was when its loader owned all of it; rows are not looked at again
 * @param owners as they were at the source; undefined when everything goes to `owner`
 */
export async function ownersAfter(
  session: Session,
  loaded: Contents,
  owners: Contents | undefined,
  owner: string,
  loader: string,
): Promise<Contents> {
  const roles = await rolesThatMayOwn(session);
  const wanted = (of: readonly { schema: string; name: string; owner: string }[]): Map<string, string> =>
    new Map(of.map((thing) => [`${thing.schema}.${thing.name}`, thing.owner]));
  const ownedAs = <T extends { owner: string }>(
    items: readonly T[],
    source: Map<string, string>,
    key: (item: T) => string,
  ): T[] =>
    items.map((item) => {
      const before = source.get(key(item));
      const kept = before !== undefined && before !== owners?.database.owner && roles.has(before);
      return { ...item, owner: kept ? before : owner };
    });
  const relation = ({ schema, name }: { schema: string; name: string }): string => `${schema}.${name}`;
  const schemas = new Map(owners?.schemas.map((schema) => [schema.name, schema.owner]));
  const functions = new Map(owners?.functions.map((fn) => [routine(fn), fn.owner]));
  return {
    ...loaded,
    schemas: ownedAs(loaded.schemas, schemas, ({ name }) => name),
    tables: ownedAs(loaded.tables, wanted(owners?.tables ?? []), relation).map((table) => ({
      ...table,
      rows: null,
    })),
    views: ownedAs(loaded.views, wanted(owners?.views ?? []), relation),
    sequences: ownedAs(loaded.sequences, wanted(owners?.sequences ?? []), relation),
    functions: [
      ...ownedAs(
        loaded.functions.filter((fn) => fn.owner !== ""),
        functions,
        routine,
      ),
      ...loaded.functions.filter((fn) => fn.owner === ""),
    ],
    extensions: loaded.extensions.map((extension) => ({
      ...extension,
      owner: extension.owner === loader ? owner : extension.owner,
    })),
    // They are given back under the same names, or reported.
    owned_otherwise: undefined,
    attachments: null,
    odoo: null,
  };
}

/** Gives single objects back to the roles that owned them, as far as these exist here and may own it. */
export async function giveBack(target: NewDatabase, contents: Contents, owner: string): Promise<string[]> {
  const wanted = [
    ...contents.schemas.map(({ name, owner }) => ({ kind: "SCHEMA", schema: "", name, owner })),
    ...contents.tables.map(({ schema, name, owner }) => ({ kind: "TABLE", schema, name, owner })),
    ...contents.views.map(({ schema, name, owner, materialized }) => ({
      kind: materialized ? "MATERIALIZED VIEW" : "VIEW",
      schema,
      name,
      owner,
    })),
    ...contents.sequences.map(({ schema, name, owner }) => ({ kind: "SEQUENCE", schema, name, owner })),
  ].filter(
    ({ owner, kind, name }) => owner !== contents.database.owner && !(kind === "SCHEMA" && name === "public"),
  );
  const functions = contents.functions.filter(
    (fn) => fn.owner !== "" && fn.owner !== contents.database.owner,
  );
  const otherwise = (contents.owned_otherwise ?? []).filter(({ type }) => Object.hasOwn(KEYWORDS, type));
  if (!wanted.length && !functions.length && !otherwise.length) return [];
  return await target.superuser.use(async (session) => {
    const roles = await rolesThatMayOwn(session);
    const left = new Set<string>();
    const give = async (thing: string, to: string): Promise<void> => {
      if (roles.has(to)) await session.query(`ALTER ${thing} OWNER TO ${id(to)}`);
      else left.add(to);
    };
    for (const { kind, schema, name, owner: to } of wanted) {
      const named = kind === "SCHEMA" ? id(name) : `${id(schema)}.${id(name)}`;
      if (kind === "SEQUENCE" && (await isOfColumn(session, named))) continue;
      await give(`${kind} ${named}`, to);
    }
    for (const { schema, signature, owner: to } of functions) {
      const [row] = await session.query(
        `SELECT p.oid::regprocedure::text AS name FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
         WHERE n.nspname = $1 AND NOT ${OF_TYPE} AND p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' = $2`,
        [schema, signature],
      );
      if (row) await give(`ROUTINE ${String(row["name"])}`, to);
    }
    if (otherwise.length) {
      await session.query("SET search_path = ''");
      // Named as the server names the existing object: a backup's text never becomes part of a statement.
      const here = new Set(
        (await session.query(OWNED_OTHERWISE)).map((row) => keyOf(row["type"], row["identity"])),
      );
      for (const { type, identity, owner: to } of otherwise)
        if (here.has(keyOf(type, identity))) await give(`${KEYWORDS[type] ?? ""} ${identity}`, to);
    }
    return [...left].map((role) => `what role ${role} owned belongs to ${owner} now`);
  });
}

/** The word that ALTER uses for a type of pg_identify_object. */
const KEYWORDS: Readonly<Record<string, string>> = {
  type: "TYPE",
  collation: "COLLATION",
  conversion: "CONVERSION",
  operator: "OPERATOR",
  "text search configuration": "TEXT SEARCH CONFIGURATION",
  "text search dictionary": "TEXT SEARCH DICTIONARY",
  "statistics object": "STATISTICS",
  publication: "PUBLICATION",
  "large object": "LARGE OBJECT",
};

function keyOf(type: unknown, identity: unknown): string {
  return JSON.stringify([type, identity]);
}

/** The sequence of a serial column moves with its table. */
async function isOfColumn(session: Session, sequence: string): Promise<boolean> {
  const rows = await session.query(
    "SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = $1::regclass AND deptype IN ('a', 'i') AND refobjsubid > 0",
    [sequence],
  );
  return rows.length > 0;
}
