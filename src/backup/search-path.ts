/**
 * For work as an ordinary role with the contents of a database: functions in CHECKs, indexes and materialized views
 * find objects that they name without a schema, as they do in the sessions of Odoo. The schema that every database has
 * comes first, then all others of the database. SEARCH_AS_BEFORE restores the previous path.
 */
export const SEARCH_ALL = `SELECT pg_catalog.set_config('odoo_pg.path', pg_catalog.current_setting('search_path'), false),
  pg_catalog.set_config('search_path', (SELECT pg_catalog.string_agg(pg_catalog.quote_ident(nspname), ', '
      ORDER BY nspname OPERATOR(pg_catalog.<>) 'public', nspname)
    FROM pg_catalog.pg_namespace
    WHERE nspname OPERATOR(pg_catalog.!~) '^(pg_|information_schema$)'), false)`;

export const SEARCH_AS_BEFORE = `SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('odoo_pg.path'), false)`;
