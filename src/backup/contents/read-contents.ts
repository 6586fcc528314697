import { copyOut, countByCopy } from "../../postgres/sql/copy-out.ts";
import { BARRED_ROLE, PASSING_ROLE } from "../../postgres/sql/access/passing.ts";
import {
  quoteSqlIdentifier as id,
  type OrdinarySession,
  type Session,
  type SuperuserSession,
} from "../../system/sql/sql.ts";
import { contentsSchema, type Contents } from "./contents.ts";
import { SEARCH_ALL, SEARCH_AS_BEFORE } from "../search-path.ts";

/** Schemas that are not of the system or of other sessions, as a condition on n. */
export const OWN_SCHEMA = `n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'`;

/** Members of an extension come with the extension, and are not compared by themselves. */
export function notOfExtension(catalogue: string, oid: string): string {
  return `NOT EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = '${catalogue}'::regclass AND d.objid = ${oid} AND d.deptype = 'e')`;
}

/**
 * Rows of kind, nspname, owner, name, definition: texts that PostgreSQL makes of trees, and that the other lists do not
 * have. Printing them runs nothing.
 * @param schemas condition on the schema n of what is looked at
 */
export function definitionsIn(schemas: string): string {
  const ofRelation = `JOIN pg_namespace n ON n.oid = t.relnamespace WHERE ${schemas} AND ${notOfExtension("pg_class", "t.oid")}`;
  return `
  SELECT CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated column' END AS kind, n.nspname, t.relname AS owner,
      a.attname AS name, pg_get_expr(x.adbin, x.adrelid) AS definition
    FROM pg_attrdef x JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum
    JOIN pg_class t ON t.oid = x.adrelid ${ofRelation}
  UNION ALL SELECT 'view definition', n.nspname, t.relname, t.relname, pg_get_viewdef(t.oid)
    FROM pg_class t ${ofRelation} AND t.relkind IN ('v', 'm')
  UNION ALL SELECT 'policy', n.nspname, t.relname, p.polname,
      'AS ' || CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END || ' FOR ' ||
      CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END ||
      ' TO ' || (SELECT string_agg(CASE r WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(r)) END, ', ' ORDER BY pg_get_userbyid(r))
        FROM unnest(p.polroles) r) ||
      coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '') ||
      coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')
    FROM pg_policy p JOIN pg_class t ON t.oid = p.polrelid ${ofRelation}
  UNION ALL SELECT 'rule', n.nspname, t.relname, r.rulename, pg_get_ruledef(r.oid)
    FROM pg_rewrite r JOIN pg_class t ON t.oid = r.ev_class ${ofRelation} AND r.rulename <> '_RETURN'
  UNION ALL SELECT 'partition key', n.nspname, t.relname, t.relname, pg_get_partkeydef(t.oid)
    FROM pg_class t ${ofRelation} AND t.relkind = 'p'
  UNION ALL SELECT 'partition bound', n.nspname, t.relname, t.relname, pg_get_expr(t.relpartbound, t.oid)
    FROM pg_class t ${ofRelation} AND t.relispartition AND t.relkind <> 'i' AND t.relkind <> 'I'
  UNION ALL SELECT 'statistics', n.nspname, t.relname, s.stxname, pg_get_statisticsobjdef(s.oid)
    FROM pg_statistic_ext s JOIN pg_class t ON t.oid = s.stxrelid ${ofRelation}
  UNION ALL SELECT 'domain constraint', n.nspname, t.typname, k.conname, pg_get_constraintdef(k.oid)
    FROM pg_constraint k JOIN pg_type t ON t.oid = k.contypid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE k.contype = 'c' AND ${schemas} AND ${notOfExtension("pg_type", "t.oid")}
  UNION ALL SELECT 'function body', n.nspname, t.proname, t.proname || '(' || pg_get_function_identity_arguments(t.oid) || ')',
      CASE WHEN t.prokind <> 'a' THEN pg_get_functiondef(t.oid) END
    FROM pg_proc t JOIN pg_namespace n ON n.oid = t.pronamespace
    WHERE t.prokind <> 'a' AND ${schemas} AND ${notOfExtension("pg_proc", "t.oid")}`;
}

/**
 * Constructors of a range come with it, and belong to the server's first superuser, whichever role made it. So their
 * owner is noted as an empty text; backups of odoo-pg 0.1.0 name the superuser.
 */
export const OF_TYPE = `EXISTS (SELECT FROM pg_depend d
    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass AND d.deptype = 'i')`;

/**
 * Rows of kind, schema, table, name, to, own, privileges: who has which rights.
 * @param all whether to include objects on which no right was granted or revoked
 */
export function rightsIn(all: boolean): string {
  const inSchema = (catalogue: string, of: string) =>
    `JOIN pg_namespace n ON n.oid = ${of} WHERE ${OWN_SCHEMA} AND ${notOfExtension(catalogue, "x.oid")}`;
  const objects = `
  SELECT CASE x.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, n.nspname AS schema, '' AS "table", x.relname AS name,
      x.relowner AS owner, x.relacl AS acl, acldefault(CASE x.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", x.relowner) AS usual
    FROM pg_class x ${inSchema("pg_class", "x.relnamespace")} AND x.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  UNION ALL SELECT 'column', n.nspname, x.relname, a.attname, x.relowner, a.attacl, '{}'
    FROM pg_attribute a JOIN pg_class x ON x.oid = a.attrelid ${inSchema("pg_class", "x.relnamespace")} AND a.attacl IS NOT NULL
      AND NOT a.attisdropped
  UNION ALL SELECT 'schema', '', '', n.nspname, n.nspowner, n.nspacl, acldefault('n', n.nspowner)
    FROM pg_namespace n WHERE ${OWN_SCHEMA} AND ${notOfExtension("pg_namespace", "n.oid")}
  UNION ALL SELECT 'routine', n.nspname, '', x.proname || '(' || pg_get_function_identity_arguments(x.oid) || ')', x.proowner,
      x.proacl, acldefault('f', x.proowner)
    FROM pg_proc x ${inSchema("pg_proc", "x.pronamespace")}
  UNION ALL SELECT 'type', n.nspname, '', x.typname, x.typowner, x.typacl, acldefault('T', x.typowner)
    FROM pg_type x ${inSchema("pg_type", "x.typnamespace")} AND x.typtype IN ('b', 'c', 'd', 'e', 'r')
      AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = x.typrelid AND c.relkind <> 'c')
  UNION ALL SELECT 'large object', '', '', x.oid::text, x.lomowner, x.lomacl, acldefault('L', x.lomowner)
    FROM pg_largeobject_metadata x WHERE ${all} OR x.lomacl IS NOT NULL
  UNION ALL SELECT 'default', coalesce(n.nspname, ''), pg_get_userbyid(x.defaclrole), CASE x.defaclobjtype WHEN 'r' THEN 'TABLES'
      WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' ELSE 'SCHEMAS' END, x.defaclrole, x.defaclacl, '{}'
    FROM pg_default_acl x LEFT JOIN pg_namespace n ON n.oid = x.defaclnamespace`;
  return `
  SELECT o.kind, o.schema, o."table", o.name, CASE WHEN a.grantee <> 0 THEN pg_get_userbyid(a.grantee) END AS "to",
    coalesce(a.grantee = o.owner, false) AS own,
    coalesce(string_agg(a.privilege || CASE WHEN a.grantable THEN '*' ELSE '' END, ',' ORDER BY a.privilege), '') AS privileges
  FROM (${objects}) o LEFT JOIN LATERAL (
    SELECT grantee, privilege_type AS privilege, bool_or(is_grantable) AND grantee <> o.owner AS grantable
    FROM aclexplode(${all ? "coalesce(o.acl, o.usual)" : "o.acl"}) GROUP BY 1, 2) a ON true
  WHERE ${all} OR o.acl IS NOT NULL
  GROUP BY o.kind, o.schema, o."table", o.name, o.owner, a.grantee`;
}

/** Rows of type, identity, owner: of what has an owner, and is in no list of the contents with it. */
export const OWNED_OTHERWISE = `
  SELECT i.type, i.identity, pg_get_userbyid(s.refobjid) AS owner
  FROM pg_shdepend s, pg_identify_object(s.classid, s.objid, 0) i
  WHERE s.deptype = 'o' AND s.objsubid = 0 AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND s.classid NOT IN ('pg_namespace'::regclass, 'pg_proc'::regclass, 'pg_extension'::regclass, 'pg_foreign_server'::regclass,
      'pg_foreign_data_wrapper'::regclass, 'pg_event_trigger'::regclass)
    AND NOT EXISTS (SELECT FROM pg_class c WHERE s.classid = 'pg_class'::regclass AND c.oid = s.objid AND c.relkind <> 'c')
    AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = s.classid AND d.objid = s.objid AND d.deptype = 'e')`;

/**
 * One row, one column `contents`: everything but rows, attachments, Odoo. NOT NULL is left out of the constraints:
 * only PostgreSQL 18 and later name it one.
 */
const CATALOGUE = `SELECT jsonb_build_object(
'database', (SELECT jsonb_build_object(
  'name', d.datname, 'owner', pg_get_userbyid(d.datdba), 'encoding', pg_encoding_to_char(d.encoding),
  'locale_provider', coalesce(CASE to_jsonb(d)->>'datlocprovider' WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' END, 'libc'),
  'collate', d.datcollate, 'ctype', d.datctype,
  'locale', coalesce(to_jsonb(d)->>'datlocale', to_jsonb(d)->>'daticulocale'),
  'connection_limit', d.datconnlimit,
  'settings', coalesce((SELECT jsonb_agg(s ORDER BY s) FROM pg_db_role_setting r, unnest(r.setconfig) s
    WHERE r.setdatabase = d.oid AND r.setrole = 0), '[]'))
  FROM pg_database d WHERE d.datname = current_database()),
'schemas', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', n.nspname, 'owner', pg_get_userbyid(n.nspowner))
    ORDER BY n.nspname), '[]')
  FROM pg_namespace n WHERE ${OWN_SCHEMA} AND ${notOfExtension("pg_namespace", "n.oid")}),
'tables', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname,
    'owner', pg_get_userbyid(c.relowner), 'rows', CASE c.relkind WHEN 'r' THEN -1 END) ORDER BY n.nspname, c.relname), '[]')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'f') AND ${OWN_SCHEMA} AND ${notOfExtension("pg_class", "c.oid")}),
'views', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname,
    'owner', pg_get_userbyid(c.relowner), 'materialized', c.relkind = 'm') ORDER BY n.nspname, c.relname), '[]')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('v', 'm') AND ${OWN_SCHEMA} AND ${notOfExtension("pg_class", "c.oid")}),
'indexes', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname, 'table', t.relname,
    'definition', pg_get_indexdef(c.oid)) ORDER BY n.nspname, c.relname), '[]')
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE t.relkind IN ('r', 'p', 'm') AND (i.indisvalid OR t.relkind = 'p') AND ${OWN_SCHEMA}
    AND ${notOfExtension("pg_class", "t.oid")}),
'constraints', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', k.conname, 'table', t.relname,
    'definition', pg_get_constraintdef(k.oid)) ORDER BY n.nspname, t.relname, k.conname), '[]')
  FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  WHERE k.contype <> 'n' AND ${OWN_SCHEMA} AND ${notOfExtension("pg_class", "t.oid")}),
'triggers', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', g.tgname, 'table', t.relname,
    'definition', pg_get_triggerdef(g.oid)) ORDER BY n.nspname, t.relname, g.tgname), '[]')
  FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid JOIN pg_namespace n ON n.oid = t.relnamespace
  WHERE NOT g.tgisinternal AND ${OWN_SCHEMA} AND ${notOfExtension("pg_class", "t.oid")}),
'definitions', (SELECT coalesce(jsonb_agg(jsonb_build_object('kind', d.kind, 'schema', d.nspname, 'table', d.owner,
    'name', d.name, 'definition', d.definition) ORDER BY d.kind, d.nspname, d.owner, d.name), '[]')
  FROM (${definitionsIn(OWN_SCHEMA)}) d WHERE d.definition IS NOT NULL),
'functions', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname,
    'signature', p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')',
    'owner', CASE WHEN ${OF_TYPE} THEN '' ELSE pg_get_userbyid(p.proowner) END)
    ORDER BY n.nspname, p.proname, pg_get_function_identity_arguments(p.oid)), '[]')
  FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE ${OWN_SCHEMA} AND ${notOfExtension("pg_proc", "p.oid")}),
'sequences', (SELECT coalesce(jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', c.relname,
    'owner', pg_get_userbyid(c.relowner), 'last_value', pg_sequence_last_value(c.oid)::text)
    ORDER BY n.nspname, c.relname), '[]')
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'S' AND ${OWN_SCHEMA} AND ${notOfExtension("pg_class", "c.oid")}),
'extensions', (SELECT coalesce(jsonb_agg(jsonb_build_object('name', e.extname, 'version', e.extversion,
    'schema', n.nspname, 'owner', pg_get_userbyid(e.extowner)) ORDER BY e.extname), '[]')
  FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace),
'unaccent', (SELECT jsonb_build_object('schema', n.nspname, 'owner', pg_get_userbyid(p.proowner),
    'immutable', p.provolatile = 'i')
  FROM pg_extension e JOIN pg_depend d ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
    AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e'
  JOIN pg_proc p ON p.oid = d.objid AND p.proname = 'unaccent' AND p.pronargs = 1 JOIN pg_namespace n ON n.oid = p.pronamespace
  WHERE e.extname = 'unaccent'),
'rights', (SELECT coalesce(jsonb_agg(r ORDER BY r.kind, r.schema, r."table", r.name, r."to"), '[]') FROM (${rightsIn(false)}) r),
'owned_otherwise', (SELECT coalesce(jsonb_agg(o ORDER BY o.type, o.identity), '[]') FROM (${OWNED_OTHERWISE}) o
  WHERE o.owner <> (SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database())),
'large_objects', (SELECT count(*) FROM pg_largeobject_metadata),
'roles', (
  WITH RECURSIVE named AS (
    SELECT s.refobjid AS role FROM pg_shdepend s
      WHERE s.refclassid = 'pg_authid'::regclass
        AND (s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          OR s.dbid = 0 AND s.classid = 'pg_database'::regclass
            AND s.objid = (SELECT oid FROM pg_database WHERE datname = current_database()))
    UNION SELECT datdba FROM pg_database WHERE datname = current_database()
    UNION SELECT m.roleid FROM pg_auth_members m JOIN named ON m.member = named.role)
  SELECT coalesce(jsonb_agg(jsonb_build_object('name', r.rolname, 'superuser', r.rolsuper, 'inherit', r.rolinherit,
    'createrole', r.rolcreaterole, 'createdb', r.rolcreatedb, 'login', r.rolcanlogin, 'replication', r.rolreplication,
    'bypassrls', r.rolbypassrls, 'connection_limit', r.rolconnlimit,
    'member_of', (SELECT coalesce(jsonb_agg(DISTINCT g.rolname), '[]') FROM pg_auth_members m
      JOIN pg_roles g ON g.oid = m.roleid
      WHERE m.member = r.oid AND g.rolname NOT IN ('${PASSING_ROLE}', '${BARRED_ROLE}'))) ORDER BY r.rolname), '[]')
  FROM named JOIN pg_roles r ON r.oid = named.role
  WHERE r.rolname !~ '^pg_' AND r.rolname NOT IN ('${PASSING_ROLE}', '${BARRED_ROLE}'))
) AS contents`;

/** Tables whose rows are counted by one statement: few round trips, and none that is too long. */
const TABLES_AT_ONCE = 40;

/**
 * The contents of a session's database, as its transaction sees it. Rows are counted, so every table is read. From then
 * on the session's search_path is empty: definitions read the same whatever it was before.
 */
export async function readDatabaseContents(session: Session): Promise<Contents> {
  const contents = await readCatalogue(session);
  const attachments = (await isOdooDatabase(session))
    ? { attachments: await countAttachments(session), odoo: await odooModules(session) }
    : {};
  const rows = await countRows(session, contents.tables);
  return { ...contents, ...attachments, tables: withRows(contents.tables, rows) };
}

/** As readDatabaseContents, without what the tables hold: no rows, no attachments, no modules. */
export async function readDefinitions(session: Session): Promise<Contents> {
  const contents = await readCatalogue(session);
  return { ...contents, tables: withRows(contents.tables, new Map()) };
}

function withRows(tables: Contents["tables"], rows: ReadonlyMap<number, number>): Contents["tables"] {
  return tables.map((table, index) => ({ ...table, rows: rows.get(index) ?? null }));
}

/**
 * The same contents with all rows of tables whose row level security also binds their owner: the owner saw only the
 * rows that it allows.
 */
export async function withUnseenRows(session: SuperuserSession, contents: Contents): Promise<Contents> {
  const rows = await session.query(
    `SELECT n.nspname AS schema, c.relname AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relrowsecurity AND c.relforcerowsecurity`,
  );
  const bound = new Set(rows.map((row) => JSON.stringify([row["schema"], row["name"]])));
  const unseen = contents.tables.map((table) =>
    bound.has(JSON.stringify([table.schema, table.name])) ? table : { ...table, rows: null },
  );
  const counted = await countRows(session, unseen);
  const tables = contents.tables.map((table, at) => ({ ...table, rows: counted.get(at) ?? table.rows }));
  return { ...contents, tables };
}

/** Tables that have rows of their own have -1 of them as yet. */
async function readCatalogue(session: Session): Promise<Contents> {
  await session.query("SET search_path = ''");
  const [row] = await session.query(CATALOGUE);
  return contentsSchema.parse({ version: 1, ...Object(row?.["contents"]), attachments: null, odoo: null });
}

/**
 * Whether the tables are there by which Odoo is recognised. A view of that name would run its owner's functions with
 * the reader's rights, and so would casts of a custom type: only tables with plain text count.
 */
export async function isOdooDatabase(session: Session): Promise<boolean> {
  const [row] = await session.query(
    `SELECT count(*) = 4 AS odoo
     FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
     WHERE c.relnamespace = pg_catalog.to_regnamespace('public') AND c.relkind IN ('r', 'p') AND NOT a.attisdropped
       AND a.atttypid IN ('pg_catalog.text'::pg_catalog.regtype, 'pg_catalog.varchar'::pg_catalog.regtype)
       AND (c.relname, a.attname) IN (('ir_attachment', 'store_fname'), ('ir_module_module', 'name'),
         ('ir_module_module', 'state'), ('ir_module_module', 'latest_version'))`,
  );
  return row?.["odoo"] === true;
}

async function countAttachments(session: Session): Promise<number> {
  let files = 0;
  await copyOut(session, "ir_attachment", ["store_fname"], ([name]) => {
    if (name !== null) files += 1;
  });
  return files;
}

async function odooModules(session: Session): Promise<Contents["odoo"]> {
  let base = "";
  const modules: [string, string][] = [];
  await copyOut(
    session,
    "ir_module_module",
    ["name", "state", "latest_version"],
    ([name, state, version]) => {
      if (name === "base") base = version ?? "";
      if (state === "installed") modules.push([name ?? "", version ?? ""]);
    },
  );
  return { version: base, modules: Object.fromEntries(modules) };
}

/**
 * A superuser counts by COPY, so that nothing of the tables' owners runs. Others may not use COPY, and the planner
 * counts faster. The caller says which it is: the owner can change what the server says about it.
 */
async function countRows(session: Session, tables: Contents["tables"]): Promise<Map<number, number>> {
  const count = async (some: Contents["tables"]): Promise<number[]> =>
    session.rights === "superuser" ? await countByCopy(session, some) : await countByQuery(session, some);
  const counted = [...tables.entries()].filter(([, table]) => table.rows !== null);
  const rows = new Map<number, number>();
  for (let start = 0; start < counted.length; start += TABLES_AT_ONCE) {
    const part = counted.slice(start, start + TABLES_AT_ONCE);
    const counts = await count(part.map(([, table]) => table));
    for (const [at, [index]] of part.entries()) rows.set(index, counts[at] ?? 0);
  }
  return rows;
}

async function countByQuery(session: OrdinarySession, tables: Contents["tables"]): Promise<number[]> {
  const parts = tables.map(
    ({ schema, name }, index) => `SELECT ${index} AS i, count(*) AS rows FROM ONLY ${id(schema)}.${id(name)}`,
  );
  // The planner evaluates the conditions and expressions of indexes.
  await session.query(SEARCH_ALL);
  const rows = await session.query(`${parts.join(" UNION ALL ")} ORDER BY i`);
  await session.query(SEARCH_AS_BEFORE);
  return rows.map((row) => Number(row["rows"]));
}
