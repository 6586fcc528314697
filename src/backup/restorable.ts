import { lackSchema, type Lack } from "../model/backups/lack.ts";
import type { SuperuserSession } from "../system/sql/sql.ts";
import { notOfExtension, OF_TYPE, OWN_SCHEMA } from "./contents/read-contents.ts";

/**
 * Extensions that only a superuser may create, and that a restore creates all the same: they give nobody who uses them any
 * right of the superuser's.
 */
export const SAFE_EXTENSIONS: readonly string[] = ["vector"];

/** Objects of one kind that are named; of more there is only the count. */
const NAMED = 100;

const ownOid = "(SELECT oid FROM pg_database WHERE datname = current_database())";

/**
 * CREATE statements that need a superuser. Source: PostgreSQL, src/backend/commands; the same since 13 unless it says
 * so.
 */
function superuserOnly(major: number): string {
  const inSchema = (catalogue: string, oid: string, schema: string): string =>
    `JOIN pg_namespace n ON n.oid = ${schema} WHERE ${OWN_SCHEMA} AND ${notOfExtension(catalogue, oid)}`;
  const made = (catalogue: string): string =>
    `SELECT '${catalogue}'::regclass, x.oid FROM ${catalogue} x WHERE x.oid >= 16384 AND ${notOfExtension(catalogue, "x.oid")}`;
  return `
  ${made("pg_event_trigger")}
  UNION ALL ${made("pg_publication")} AND x.puballtables
  ${major < 15 ? "" : "UNION ALL SELECT 'pg_publication_namespace'::regclass, x.oid FROM pg_publication_namespace x"}
  UNION ALL ${made("pg_subscription")} AND x.subdbid = ${ownOid}
  UNION ALL ${made("pg_language")}
  UNION ALL ${made("pg_am")}
  UNION ALL ${made("pg_foreign_data_wrapper")}
  UNION ALL ${made("pg_foreign_server")}
  UNION ALL SELECT 'pg_proc'::regclass, p.oid
    FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang LEFT JOIN pg_aggregate a ON a.aggfnoid = p.oid
    ${inSchema("pg_proc", "p.oid", "p.pronamespace")} AND NOT ${OF_TYPE}
    AND CASE p.prokind WHEN 'a' THEN 'internal'::regtype IN (a.aggtranstype, a.aggmtranstype)
      ELSE NOT l.lanpltrusted OR p.proleakproof OR p.prosupport::oid <> 0 OR EXISTS (
        SELECT FROM unnest(p.proconfig) c JOIN pg_settings s ON lower(s.name) = lower(split_part(c, '=', 1))
        WHERE s.context <> 'user') END
  UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t ${inSchema("pg_type", "t.oid", "t.typnamespace")}
    AND (t.typtype = 'b' OR NOT t.typisdefined) AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)
  UNION ALL SELECT 'pg_opclass'::regclass, x.oid FROM pg_opclass x ${inSchema("pg_opclass", "x.oid", "x.opcnamespace")}
  UNION ALL SELECT 'pg_opfamily'::regclass, x.oid FROM pg_opfamily x ${inSchema("pg_opfamily", "x.oid", "x.opfnamespace")}
  UNION ALL SELECT 'pg_ts_parser'::regclass, x.oid FROM pg_ts_parser x ${inSchema("pg_ts_parser", "x.oid", "x.prsnamespace")}
  UNION ALL SELECT 'pg_ts_template'::regclass, x.oid FROM pg_ts_template x ${inSchema("pg_ts_template", "x.oid", "x.tmplnamespace")}
  UNION ALL ${made("pg_cast")} AND (x.castmethod = 'b' OR NOT EXISTS (
    SELECT FROM pg_type t LEFT JOIN pg_type e ON e.typarray = t.oid JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid IN (x.castsource, x.casttarget) AND ${OWN_SCHEMA} AND ${notOfExtension("pg_type", "coalesce(e.oid, t.oid)")}))`;
}

/**
 * Everything that needs one of these, directly or indirectly. Objects that pg_dump writes into the CREATE of their
 * relation, such as a view's query, a default or a CHECK, take the relation with them.
 */
function lacking(major: number): string {
  return `WITH RECURSIVE root (classid, objid) AS (${superuserOnly(major)}),
  lack (classid, objid, dependent) AS (
    SELECT classid::oid, objid, false FROM root
    UNION
    SELECT CASE WHEN of.relation IS NULL THEN d.classid ELSE 'pg_class'::regclass END, coalesce(of.relation, d.objid), true
    FROM lack JOIN pg_depend d ON d.refclassid = lack.classid AND d.refobjid = lack.objid AND d.deptype IN ('n', 'a')
      AND d.classid NOT IN ('pg_amop'::regclass, 'pg_amproc'::regclass),
    LATERAL (SELECT coalesce(
      (SELECT r.ev_class FROM pg_rewrite r WHERE d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid AND r.rulename = '_RETURN'),
      (SELECT x.adrelid FROM pg_attrdef x WHERE d.classid = 'pg_attrdef'::regclass AND x.oid = d.objid),
      (SELECT k.conrelid FROM pg_constraint k WHERE d.classid = 'pg_constraint'::regclass AND k.oid = d.objid AND k.contype = 'c'
         AND k.convalidated AND k.conrelid <> 0)) AS relation) of
  ),
  known AS (SELECT classid, objid, bool_and(dependent) AS dependent FROM lack GROUP BY 1, 2)`;
}

/**
 * Objects of a database that a restore cannot recreate, or only with another owner. Drills, and copies of a database in use,
 * have the same lacks. @throws SqlError
 * @param major of the server
 */
export async function readLacks(session: SuperuserSession, major: number): Promise<Lack[]> {
  await session.query("SET search_path = ''");
  const rows = await session.query(
    `${lacking(major)},
     owned AS (
       SELECT s.classid, s.objid, o.rolname AS owner, o.rolsuper AS superuser FROM pg_shdepend s JOIN pg_roles o ON o.oid = s.refobjid
       WHERE s.deptype = 'o' AND s.dbid = ${ownOid} AND s.refobjid <> (SELECT datdba FROM pg_database WHERE oid = s.dbid)
         AND NOT (s.classid = 'pg_namespace'::regclass AND s.objid = 'public'::regnamespace)
         AND o.rolname <> 'pg_database_owner'
         AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = s.classid AND d.objid = s.objid AND d.deptype = 'e')
         AND NOT EXISTS (SELECT FROM known WHERE known.classid = s.classid AND known.objid = s.objid)
         AND s.classid NOT IN ('pg_extension'::regclass, 'pg_default_acl'::regclass)),
     told AS (
       SELECT CASE WHEN dependent THEN 'depends' ELSE 'superuser_only' END AS code, i.type AS of, replace(i.identity, 'pg_catalog.', '') AS object
         FROM known, pg_identify_object(classid, objid, 0) i
       UNION ALL SELECT 'extension', 'extension', e.extname FROM pg_extension e
         WHERE e.extname <> ALL ($1::text[]) AND NOT EXISTS (
           SELECT FROM pg_available_extension_versions v WHERE v.name = e.extname AND v.trusted)
       UNION ALL SELECT CASE WHEN superuser THEN 'superuser_owner' ELSE 'owner' END, owner, i.type || ' ' || replace(i.identity, 'pg_catalog.', '')
         FROM owned, pg_identify_object(classid, objid, 0) i)
     SELECT code, of, count(*)::int AS count, (array_agg(object ORDER BY object))[1:${NAMED}] AS objects
     FROM told GROUP BY code, of ORDER BY code DESC, of`,
    [SAFE_EXTENSIONS],
  );
  return lackSchema.array().parse(rows);
}
