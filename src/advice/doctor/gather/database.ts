import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";
import {
  unseen,
  type DatabaseSeen,
  type DuplicateIndex,
  type IndexSeen,
  type OdooDatabaseSeen,
  type SequenceSeen,
  type TableSeen,
} from "../evidence.ts";
import { attempt } from "./attempt.ts";

/** The evidence of one database, each part by a statement of its own. `replica`: the server does not count dead rows. */
export async function gatherDatabase(session: Session, replica: boolean): Promise<DatabaseSeen> {
  return {
    odoo: await attempt(() => odoo(session)),
    sequences: await attempt(() => sequences(session)),
    invalid_indexes: await attempt(() => invalidIndexes(session)),
    duplicate_indexes: await attempt(() => duplicateIndexes(session)),
    tables: replica ? unseen("only the primary counts them") : await attempt(() => tables(session)),
  };
}

const odooRow = z.object({
  is_odoo: z.boolean(),
  cron_relation: z.number().nullable(),
  extensions: z.string().array(),
  unaccent_volatility: z.string().nullable(),
  searched: z
    .object({
      table: z.string(),
      is_json: z.boolean(),
      index: z.string().nullable(),
      index_has_unaccent: z.boolean(),
    })
    .array(),
  foreign_objects: z.object({ owner: z.string(), objects: z.number(), example: z.string() }).array(),
});

/**
 * Tables whose `name` Odoo indexes by trigrams (index="trigram": product_template, product_category and sale_order in
 * Odoo 17 to 19), where they are there.
 */
async function odoo(session: Session): Promise<OdooDatabaseSeen | undefined> {
  const [row] = await session.query(
    `SELECT json_build_object(
       'is_odoo', to_regclass('public.ir_module_module') IS NOT NULL,
       'cron_relation', to_regclass('public.ir_cron')::oid::int8,
       'extensions', ARRAY(SELECT extname::text FROM pg_extension ORDER BY 1),
       'unaccent_volatility', (SELECT provolatile FROM pg_proc WHERE oid = to_regprocedure('public.unaccent(text)')),
       'searched', (SELECT coalesce(json_agg(json_build_object(
           'table', c.relname, 'is_json', a.atttypid = 'jsonb'::regtype, 'index', found.name,
           'index_has_unaccent', coalesce(found.definition ~ 'unaccent', false)) ORDER BY c.relname), '[]')
         FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'name'
         LEFT JOIN LATERAL (
           SELECT i.relname AS name, pg_get_indexdef(x.indexrelid) AS definition
           FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
           WHERE x.indrelid = c.oid AND pg_get_indexdef(x.indexrelid) ~ '\\mname\\M.*gin_trgm_ops'
           ORDER BY pg_get_indexdef(x.indexrelid) ~ 'unaccent' DESC, i.relname LIMIT 1) found ON true
         WHERE c.relnamespace = to_regnamespace('public') AND c.relkind = 'r'
           AND c.relname IN ('product_category', 'product_template', 'sale_order')),
       'foreign_objects', (SELECT coalesce(json_agg(wrong), '[]') FROM (
           SELECT pg_get_userbyid(c.relowner) AS owner, count(*) AS objects, min(c.relname) AS example
           FROM pg_class c JOIN pg_database d ON d.datname = current_database()
           WHERE c.relnamespace = to_regnamespace('public') AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
             AND c.relowner <> d.datdba AND NOT pg_has_role(d.datdba, c.relowner, 'USAGE')
             AND NOT EXISTS (SELECT FROM pg_depend e
               WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
           GROUP BY 1 ORDER BY 2 DESC) wrong)
     ) AS seen`,
  );
  const { is_odoo, ...seen } = odooRow.parse(row?.["seen"]);
  return is_odoo ? seen : undefined;
}

const sequenceRow = z.object({
  name: z.string(),
  column: z.string().nullable(),
  last: z.number(),
  most: z.number(),
});

async function sequences(session: Session): Promise<SequenceSeen[]> {
  const rows = await session.query(
    `SELECT * FROM (
       SELECT s.seqrelid::regclass::text AS name,
         a.attrelid::regclass::text || '.' || quote_ident(a.attname) AS column,
         coalesce(pg_sequence_last_value(s.seqrelid), 0)::float8 AS last,
         least(s.seqmax, CASE a.atttypid WHEN 'int4'::regtype THEN 2147483647 WHEN 'int2'::regtype THEN 32767 END)::float8 AS most
       FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid
         LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.deptype IN ('a', 'i')
           AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0
         LEFT JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
       WHERE NOT s.seqcycle AND s.seqincrement > 0 AND c.relpersistence = 'p') every
     WHERE most <= 2147483647 AND last > most / 4 ORDER BY last / most DESC LIMIT 20`,
  );
  return sequenceRow.array().parse(rows);
}

const indexRow = z.object({ name: z.string(), table: z.string(), bytes: z.number() });

async function invalidIndexes(session: Session): Promise<IndexSeen[]> {
  const rows = await session.query(
    `SELECT x.indexrelid::regclass::text AS name, x.indrelid::regclass::text AS table,
       pg_relation_size(x.indexrelid)::float8 AS bytes
     FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
     WHERE NOT x.indisvalid AND i.relkind = 'i' AND n.nspname !~ '^pg_'
       AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index p JOIN pg_database d ON d.oid = p.datid
         WHERE d.datname = current_database() AND p.relid = x.indrelid)
     ORDER BY 1 LIMIT 50`,
  );
  return indexRow.array().parse(rows);
}

/** Of two that are the same: the one that no constraint needs; of two such the younger. A plain one is no more than a unique one. */
async function duplicateIndexes(session: Session): Promise<DuplicateIndex[]> {
  const rows = await session.query(
    `WITH all_indexes AS (
       SELECT x.*, i.relam, EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid) AS needed,
         coalesce(pg_get_expr(x.indexprs, x.indrelid), '') AS expressions,
         coalesce(pg_get_expr(x.indpred, x.indrelid), '') AS condition
       FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_namespace n ON n.oid = i.relnamespace
       WHERE x.indisvalid AND i.relkind = 'i' AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema')
     SELECT DISTINCT ON (b.indexrelid) b.indexrelid::regclass::text AS name, b.indrelid::regclass::text AS table,
       a.indexrelid::regclass::text AS same_as, pg_relation_size(b.indexrelid)::float8 AS bytes
     FROM all_indexes a JOIN all_indexes b ON a.indrelid = b.indrelid AND a.indexrelid <> b.indexrelid
       AND a.relam = b.relam AND a.indkey::text = b.indkey::text AND a.indnkeyatts = b.indnkeyatts
       AND a.indclass::text = b.indclass::text AND a.indcollation::text = b.indcollation::text
       AND a.indoption::text = b.indoption::text AND a.expressions = b.expressions AND a.condition = b.condition
     WHERE NOT b.needed AND NOT b.indisreplident
       AND (a.indisunique AND NOT b.indisunique
         OR a.indisunique = b.indisunique AND (a.needed OR a.indexrelid < b.indexrelid))
     ORDER BY b.indexrelid, a.needed DESC, a.indexrelid LIMIT 100`,
  );
  return indexRow.extend({ same_as: z.string() }).array().parse(rows);
}

const tableRow = z.object({
  name: z.string(),
  live: z.number(),
  dead: z.number(),
  vacuumed_seconds: z.number().nullable(),
  autovacuum_off: z.boolean(),
});

/** Tables with dead rows that are worth a look, unless vacuum is at them. */
async function tables(session: Session): Promise<TableSeen[]> {
  const rows = await session.query(
    `SELECT s.relid::regclass::text AS name, s.n_live_tup::float8 AS live, s.n_dead_tup::float8 AS dead,
       extract(epoch FROM now() - greatest(s.last_vacuum, s.last_autovacuum))::float8 AS vacuumed_seconds,
       EXISTS (SELECT FROM unnest(c.reloptions) o WHERE o ~* '^autovacuum_enabled=(f|of|n|0)') AS autovacuum_off
     FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
     WHERE s.n_dead_tup > 500 AND c.relpersistence <> 't'
       AND NOT EXISTS (SELECT FROM pg_stat_progress_vacuum p WHERE p.relid = s.relid AND p.datname = current_database())
     ORDER BY s.n_dead_tup DESC LIMIT 100`,
  );
  return tableRow.array().parse(rows);
}
