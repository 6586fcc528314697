/**
 * What Odoo, its community modules and the people who look after a database leave in it: a thing of every kind that a
 * dump holds, on top of `makeOdooDatabase`. Run by the owner of the database; role `reader` has to be there.
 */
export const EVERY_OBJECT = String.raw`
SET search_path = public;
CREATE SCHEMA "Größe";
CREATE TYPE level AS ENUM ('low', 'hoch 雪');
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE float_range AS RANGE (subtype = float8);
CREATE DOMAIN stage AS varchar NOT NULL DEFAULT 'draft' CONSTRAINT stage_known CHECK (value IN ('draft', 'done'));
CREATE COLLATION "Größe".bytes FROM "C";
CREATE TEXT SEARCH CONFIGURATION "Größe".words (COPY = simple);
CREATE FUNCTION is_open(state varchar) RETURNS boolean LANGUAGE sql IMMUTABLE
  BEGIN ATOMIC SELECT state IN ('draft', 'sent'); END;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $body$ BEGIN RETURN new; END $body$;
CREATE PROCEDURE "Größe".tidy(level level DEFAULT 'low') LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE longest(text) (sfunc = textcat, stype = text, initcond = '');
CREATE OPERATOR === (function = texteq, leftarg = text, rightarg = text);
CREATE CAST (pair AS level) WITH INOUT;

CREATE TABLE sale_order (
  id serial PRIMARY KEY, name varchar NOT NULL, state varchar DEFAULT 'draft', stage stage, level level DEFAULT 'low',
  couple pair, share numeric(16, 2), "Straße" text COLLATE "C", properties jsonb DEFAULT '{}'::jsonb, tags varchar[],
  period tsrange, sent timestamptz, partner_id integer REFERENCES res_partner ON DELETE RESTRICT,
  other_id integer REFERENCES sale_order ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
  open boolean GENERATED ALWAYS AS (state IN ('draft', 'sent')) STORED,
  CONSTRAINT sale_order_state CHECK (state IN ('draft', 'sent', 'sale', 'done', 'cancel')),
  CONSTRAINT sale_order_share CHECK (share BETWEEN 0 AND 100 OR state::text <> 'sale'),
  CONSTRAINT sale_order_alone EXCLUDE USING gist (period WITH &&) WHERE (state IN ('sale', 'done')),
  CONSTRAINT sale_order_name UNIQUE (name, partner_id)) WITH (fillfactor = 80);
INSERT INTO sale_order (name, state, stage, couple, share, properties, tags, period, partner_id, other_id, "Straße")
  SELECT 'S' || n || E' Ærø "x" \\ 雪\t', CASE n % 3 WHEN 0 THEN 'draft' WHEN 1 THEN 'sale' END, 'done', (n, 'p'::text)::pair, n,
    jsonb_build_object('en_US', 'Order ' || n, 'de_DE', 'Auftrag ' || n), ARRAY['a', NULL, 'b,c'],
    tsrange('2025-01-01'::timestamp + n * interval '1 day', '2025-01-02'::timestamp + n * interval '1 day'), 1, n, 'ß'
  FROM generate_series(1, 40) n;
SET CONSTRAINTS ALL IMMEDIATE;
ALTER TABLE sale_order ADD CONSTRAINT sale_order_later CHECK (id < 30) NOT VALID;
ALTER TABLE sale_order ALTER COLUMN properties SET STORAGE EXTERNAL, ALTER COLUMN state SET STATISTICS 500;
CREATE INDEX sale_order_open ON sale_order (partner_id, name DESC NULLS LAST) WHERE state IN ('draft', 'sent') AND other_id IS NOT NULL;
CREATE INDEX sale_order_lang ON sale_order USING gin (unaccent((properties->>'en_US')) gin_trgm_ops);
CREATE INDEX sale_order_json ON sale_order USING gin (jsonb_path_query_array(properties, '$.*')) WITH (fastupdate = off);
CREATE UNIQUE INDEX sale_order_once ON sale_order (lower(name), coalesce(level, 'low')) INCLUDE (state);
CREATE INDEX sale_order_bytes ON sale_order USING btree ("Straße" COLLATE "Größe".bytes varchar_pattern_ops);
CREATE INDEX sale_order_when ON sale_order USING brin (period range_inclusion_ops);
CREATE STATISTICS sale_order_known (dependencies, ndistinct) ON state, partner_id FROM sale_order;
CREATE STATISTICS sale_order_worked ON (state IN ('sale', 'done')), (id % 7) FROM sale_order;
CLUSTER sale_order USING sale_order_name;
ALTER TABLE sale_order REPLICA IDENTITY FULL;
CREATE TRIGGER sale_order_touch BEFORE UPDATE OF state, share ON sale_order FOR EACH ROW
  WHEN (new.state IN ('sale', 'done')) EXECUTE FUNCTION touch();
CREATE CONSTRAINT TRIGGER sale_order_late AFTER INSERT ON sale_order DEFERRABLE FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE sale_order DISABLE TRIGGER sale_order_late;
CREATE RULE sale_order_kept AS ON DELETE TO sale_order WHERE old.state IN ('sale', 'done') DO INSTEAD NOTHING;
ALTER TABLE sale_order ENABLE ROW LEVEL SECURITY;
CREATE POLICY sale_order_seen ON sale_order AS RESTRICTIVE FOR SELECT TO reader USING (state IN ('sale', 'done'));
CREATE POLICY sale_order_all ON sale_order USING (true) WITH CHECK (state NOT IN ('cancel', 'done'));

CREATE VIEW sale_report WITH (security_barrier) AS SELECT state, sum(share) AS share FROM sale_order
  WHERE state IN ('sale', 'done') GROUP BY state;
CREATE VIEW sale_open AS SELECT * FROM sale_order WHERE is_open(state) WITH LOCAL CHECK OPTION;
CREATE RECURSIVE VIEW numbers (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM numbers WHERE n < 5;
CREATE MATERIALIZED VIEW sale_month AS SELECT date_trunc('month', lower(period)) AS month, count(*) AS n FROM sale_order
  WHERE state IN ('sale', 'done') GROUP BY 1;
CREATE UNIQUE INDEX sale_month_key ON sale_month (month);
CREATE MATERIALIZED VIEW sale_never AS SELECT 1 AS one WITH NO DATA;

CREATE TABLE "Größe"."Zeile ""neu""" (id bigint GENERATED ALWAYS AS IDENTITY (START 5 INCREMENT 5) PRIMARY KEY,
  other smallint GENERATED BY DEFAULT AS IDENTITY, "ÄÖ ß" varchar CONSTRAINT "nur ä" CHECK ("ÄÖ ß" IN ('ä', 'ö')));
INSERT INTO "Größe"."Zeile ""neu""" ("ÄÖ ß") VALUES ('ä'), ('ö'), (NULL);
CREATE TABLE mail_message (id serial, body text DEFAULT CASE WHEN current_user::varchar IN ('a', 'b') THEN 'x' ELSE E'l1\nl2' END, model varchar);
CREATE TABLE mail_message_old (archived date DEFAULT CURRENT_DATE, CHECK (id < 1000)) INHERITS (mail_message);
INSERT INTO mail_message (model) VALUES ('sale.order'), (''), (NULL);
INSERT INTO mail_message_old (id, archived) VALUES (7, '2024-02-29');
CREATE TABLE move (id integer, day date NOT NULL, state varchar CHECK (state IN ('posted', 'draft'))) PARTITION BY RANGE (day);
CREATE TABLE move_2025 PARTITION OF move FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE move_rest PARTITION OF move DEFAULT;
CREATE INDEX move_state ON move (state) WHERE state IN ('posted');
ALTER TABLE move ADD PRIMARY KEY (id, day);
INSERT INTO move VALUES (1, '2025-05-05', 'posted'), (2, '1999-12-31', NULL);
CREATE TABLE move_kind (state varchar) PARTITION BY LIST ((state IN ('posted', 'draft')));
CREATE TABLE move_kind_yes PARTITION OF move_kind FOR VALUES IN (true);
CREATE TABLE move_hash (id integer) PARTITION BY HASH (id);
CREATE TABLE move_hash_0 PARTITION OF move_hash FOR VALUES WITH (MODULUS 1, REMAINDER 0);
INSERT INTO move_hash SELECT generate_series(1, 9);
CREATE UNLOGGED TABLE bus_bus (id integer);
CREATE TABLE nothing ();
CREATE TABLE kinds (b bytea, i interval, n numeric, f float8, u uuid, x xml, t time with time zone, a inet, r float_range, c "char");
INSERT INTO kinds VALUES ('\x00ff5c', '1 mon -2 days 03:04:05.6', 'NaN', 'Infinity', '0c6e3a0e-6f0e-11f0-8de9-0242ac120002',
  '<a>ß</a>', '12:34:56+02', '::1/128', '[0.1,0.2)', 'x'), (NULL, NULL, 1e-20, 0.1, NULL, NULL, NULL, NULL, 'empty', NULL);
CREATE SEQUENCE invoice_number START 7 INCREMENT 3 MAXVALUE 70 CYCLE;
SELECT nextval('invoice_number'), nextval('invoice_number');
CREATE SEQUENCE never_used;
CREATE SEQUENCE downwards INCREMENT -1;
SELECT nextval('downwards');
SELECT lo_from_bytea(424242, '\x00010203'), lo_from_bytea(424243, '');
COMMENT ON LARGE OBJECT 424242 IS 'ein großes';
COMMENT ON TABLE sale_order IS E'Orders: it''s "one"\n雪';
COMMENT ON COLUMN sale_order.state IS 'Status';
COMMENT ON CONSTRAINT sale_order_state ON sale_order IS 'known states';
COMMENT ON INDEX sale_order_open IS 'open ones';
COMMENT ON FUNCTION is_open(varchar) IS 'still open';
GRANT SELECT, UPDATE (state) ON sale_order TO reader;
GRANT USAGE ON SCHEMA "Größe" TO reader;
GRANT USAGE ON SEQUENCE invoice_number TO reader;
REVOKE EXECUTE ON FUNCTION touch() FROM PUBLIC;

-- Kinds that no module of Odoo's needs, but that people make.
CREATE TYPE "Größe".step AS ENUM ('b');
ALTER TYPE "Größe".step ADD VALUE 'a' BEFORE 'b';
CREATE TYPE "Größe".line AS (name text COLLATE "C", of pair, n numeric(9, 3)[]);
CREATE DOMAIN "Größe".name AS text COLLATE "C" DEFAULT 'x' CHECK (value <> '');
CREATE DOMAIN "Größe".long_name AS "Größe".name NOT NULL;
ALTER DOMAIN "Größe".long_name ADD CONSTRAINT long CHECK (length(value) > 3) NOT VALID;
CREATE CONVERSION "Größe".latin FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
CREATE TEXT SEARCH DICTIONARY "Größe".german (TEMPLATE = snowball, language = german, stopwords = german);
ALTER TEXT SEARCH CONFIGURATION "Größe".words ALTER MAPPING FOR word, asciiword WITH "Größe".german, simple;
CREATE FUNCTION found(VARIADIC terms text[], OUT term text, OUT length integer) RETURNS SETOF record LANGUAGE sql
  STABLE STRICT PARALLEL SAFE COST 7 ROWS 9 SECURITY DEFINER SET search_path = public, pg_temp SET work_mem = '1MB'
  AS $$ SELECT t, length(t) FROM unnest(terms) t $$;
CREATE FUNCTION low(pair) RETURNS level LANGUAGE sql IMMUTABLE AS $$ SELECT 'low'::level $$;
CREATE FUNCTION below(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).a < ($2).a $$;
CREATE FUNCTION above(pair, pair) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).a > ($2).a $$;
CREATE OPERATOR <# (function = below, leftarg = pair, rightarg = pair, commutator = #>, restrict = scalarltsel, join = scalarltjoinsel);
CREATE OPERATOR #> (function = above, leftarg = pair, rightarg = pair, commutator = <#);
CREATE FUNCTION low_number(pair) RETURNS integer LANGUAGE sql IMMUTABLE AS $$ SELECT ($1).a $$;
CREATE FUNCTION middle_of(float8[], float8) RETURNS float8 LANGUAGE sql AS $$ SELECT $1[1] $$;
CREATE OPERATOR !! (function = low, rightarg = pair);
CREATE CAST (pair AS integer) WITH FUNCTION low_number(pair) AS ASSIGNMENT;
CREATE AGGREGATE "Größe".total(numeric) (sfunc = numeric_add, stype = numeric, initcond = '0', combinefunc = numeric_add,
  msfunc = numeric_add, minvfunc = numeric_sub, mstype = numeric, minitcond = '0', parallel = safe);
CREATE AGGREGATE middle(float8 ORDER BY float8) (sfunc = array_append, stype = float8[], finalfunc = middle_of);
CREATE TABLE typed OF pair (a PRIMARY KEY, b DEFAULT 'none');
CREATE TABLE archived (archived_on date);
CREATE TABLE mail_message_gone (reason text) INHERITS (mail_message, archived);
CREATE TABLE settings (gone integer, id smallint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME settings_ids START 9 MINVALUE 3 MAXVALUE 99 CACHE 5 CYCLE),
  packed text COMPRESSION pglz, main text, n integer, m integer, at tsrange, long "Größe".long_name, steps "Größe".step[],
  CONSTRAINT alone UNIQUE NULLS NOT DISTINCT (n), CONSTRAINT settings_apart EXCLUDE USING gist (at WITH &&) DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT here_only CHECK (n > 0) NO INHERIT, CONSTRAINT known UNIQUE (n, m), CONSTRAINT late UNIQUE (m, n) DEFERRABLE)
  WITH (fillfactor = 70, autovacuum_enabled = false, toast.autovacuum_vacuum_threshold = 7, parallel_workers = 1);
ALTER TABLE settings DROP COLUMN gone, ALTER COLUMN main SET STORAGE MAIN, ALTER COLUMN n SET (n_distinct = -0.5),
  ALTER COLUMN m SET NOT NULL;
INSERT INTO settings (packed, main, n, m, long, steps) VALUES (repeat('x', 5000), 'm', 1, 1, 'long', '{b}');
CREATE UNIQUE INDEX settings_id ON settings (id) INCLUDE (n);
CREATE UNIQUE INDEX settings_m ON settings (m) NULLS NOT DISTINCT;
ALTER TABLE settings ADD CONSTRAINT settings_key PRIMARY KEY USING INDEX settings_id;
ALTER TABLE settings REPLICA IDENTITY USING INDEX settings_m;
CREATE INDEX settings_sum ON settings ((n + m), abs(n));
ALTER INDEX settings_sum ALTER COLUMN 1 SET STATISTICS 700;
CREATE STATISTICS "Größe".settings_known (mcv) ON n, m FROM settings;
ALTER STATISTICS "Größe".settings_known SET STATISTICS 50;
CREATE TABLE setting_line (n integer, m integer, id smallint, parent smallint,
  CONSTRAINT later FOREIGN KEY (n, m) REFERENCES settings (n, m) MATCH FULL ON UPDATE CASCADE ON DELETE SET NULL DEFERRABLE);
INSERT INTO setting_line (id) VALUES (-1);
ALTER TABLE setting_line ADD CONSTRAINT unchecked FOREIGN KEY (id) REFERENCES settings ON DELETE SET DEFAULT NOT VALID,
  ADD CONSTRAINT part FOREIGN KEY (parent) REFERENCES settings ON DELETE SET NULL (parent) ;
CREATE TRIGGER always BEFORE INSERT ON setting_line FOR EACH ROW EXECUTE FUNCTION touch('a', 'it''s');
CREATE TRIGGER on_replicas AFTER UPDATE ON setting_line REFERENCING OLD TABLE AS was NEW TABLE AS became FOR EACH STATEMENT EXECUTE FUNCTION touch();
CREATE RULE nothing AS ON UPDATE TO nothing DO INSTEAD NOTHING;
ALTER TABLE setting_line ENABLE ALWAYS TRIGGER always, ENABLE REPLICA TRIGGER on_replicas;
ALTER TABLE nothing DISABLE RULE nothing;
ALTER TABLE setting_line ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE VIEW settings_seen WITH (security_invoker, check_option = cascaded) AS SELECT id, n, m FROM settings WHERE n < 100;
ALTER VIEW settings_seen ALTER COLUMN m SET DEFAULT 5;
CREATE VIEW settings_read AS SELECT id, array_agg(n) AS n FROM settings GROUP BY id;
CREATE TRIGGER instead INSTEAD OF INSERT ON settings_read FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TABLE part (id integer NOT NULL, kind text NOT NULL, day date NOT NULL) PARTITION BY LIST (kind);
CREATE TABLE part_own (day date NOT NULL, gone text, kind text NOT NULL, id integer NOT NULL) PARTITION BY RANGE (day);
ALTER TABLE part_own DROP COLUMN gone;
ALTER TABLE part ATTACH PARTITION part_own FOR VALUES IN ('own', 'ß');
CREATE TABLE "Größe".part_2024 PARTITION OF part_own FOR VALUES FROM ('2024-01-01') TO (MAXVALUE);
CREATE UNIQUE INDEX part_2024_mine ON "Größe".part_2024 (kind, id, day);
CREATE UNIQUE INDEX part_key ON ONLY part (id, kind, day);
ALTER TABLE part_own ADD CONSTRAINT part_own_key UNIQUE (id, kind, day);
ALTER INDEX part_key ATTACH PARTITION part_own_key;
CREATE INDEX part_unfinished ON ONLY part (day);
CREATE TRIGGER part_touch AFTER INSERT ON part FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE part_own DISABLE TRIGGER part_touch;
ALTER TABLE part ADD CONSTRAINT part_setting FOREIGN KEY (id) REFERENCES settings (id);
INSERT INTO part VALUES (9, 'own', '2025-01-01');
CREATE SEQUENCE narrow AS smallint MINVALUE -5 MAXVALUE 5 START -2 CACHE 3 OWNED BY settings.m;
CREATE UNLOGGED TABLE scratch (id serial);
CREATE PUBLICATION sent FOR TABLE settings (id, n, m) WHERE (n > 0), setting_line WITH (publish = 'insert, update', publish_via_partition_root);
CREATE MATERIALIZED VIEW settings_kept WITH (fillfactor = 60) AS SELECT id, n FROM settings;
CREATE INDEX settings_kept_n ON settings_kept (n);
ALTER MATERIALIZED VIEW settings_kept CLUSTER ON settings_kept_n, ALTER COLUMN n SET STATISTICS 9;

COMMENT ON SCHEMA "Größe" IS 'size';
COMMENT ON TYPE level IS 'type'; COMMENT ON COLUMN pair.a IS 'attribute'; COMMENT ON DOMAIN stage IS 'domain';
COMMENT ON CONSTRAINT stage_known ON DOMAIN stage IS 'of a domain';
COMMENT ON COLLATION "Größe".bytes IS 'collation'; COMMENT ON CONVERSION "Größe".latin IS 'conversion';
COMMENT ON TEXT SEARCH CONFIGURATION "Größe".words IS 'configuration'; COMMENT ON TEXT SEARCH DICTIONARY "Größe".german IS 'dictionary';
COMMENT ON PROCEDURE "Größe".tidy(level) IS 'procedure'; COMMENT ON AGGREGATE longest(text) IS 'aggregate';
COMMENT ON OPERATOR === (text, text) IS 'operator'; COMMENT ON CAST (pair AS level) IS 'cast';
COMMENT ON VIEW sale_report IS 'view'; COMMENT ON COLUMN sale_report.state IS 'of a view'; COMMENT ON MATERIALIZED VIEW sale_month IS 'kept';
COMMENT ON SEQUENCE narrow IS 'sequence'; COMMENT ON STATISTICS sale_order_known IS 'statistics';
COMMENT ON TRIGGER sale_order_touch ON sale_order IS 'trigger'; COMMENT ON RULE sale_order_kept ON sale_order IS 'rule';
COMMENT ON POLICY sale_order_all ON sale_order IS 'policy'; COMMENT ON PUBLICATION sent IS 'publication';
COMMENT ON SCHEMA public IS 'ours';

GRANT SELECT (id), INSERT (n, m) ON settings TO reader WITH GRANT OPTION;
GRANT SELECT ON settings_seen, settings_kept TO PUBLIC;
GRANT ALL ON typed TO reader;
REVOKE DELETE, TRUNCATE ON typed FROM odoo;
GRANT CREATE, USAGE ON SCHEMA "Größe" TO reader;
GRANT EXECUTE ON FUNCTION found(text[]) TO reader;
REVOKE EXECUTE ON PROCEDURE "Größe".tidy(level) FROM PUBLIC, odoo;
GRANT USAGE ON TYPE pair TO reader; REVOKE USAGE ON TYPE level FROM PUBLIC; REVOKE USAGE ON DOMAIN stage FROM PUBLIC;
GRANT SELECT, UPDATE ON LARGE OBJECT 424242 TO reader;
GRANT SELECT ON LARGE OBJECT 424243 TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA "Größe" GRANT USAGE, UPDATE ON SEQUENCES TO reader WITH GRANT OPTION;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT USAGE ON SCHEMAS TO reader;
`;

/** Of a database with these objects, what another role owns. Run by a superuser. */
export const OWNED_BY_READER = String.raw`
SET search_path = public;
GRANT CREATE ON SCHEMA public TO reader;
ALTER TABLE archived OWNER TO reader; ALTER VIEW numbers OWNER TO reader; ALTER MATERIALIZED VIEW sale_never OWNER TO reader;
ALTER SEQUENCE downwards OWNER TO reader; ALTER FUNCTION above(pair, pair) OWNER TO reader; ALTER AGGREGATE longest(text) OWNER TO reader;
ALTER TYPE float_range OWNER TO reader; ALTER TYPE "Größe".line OWNER TO reader; ALTER TYPE "Größe".step OWNER TO reader;
ALTER DOMAIN "Größe".long_name OWNER TO reader; ALTER COLLATION "Größe".bytes OWNER TO reader; ALTER CONVERSION "Größe".latin OWNER TO reader;
ALTER OPERATOR === (text, text) OWNER TO reader; ALTER OPERATOR !! (NONE, pair) OWNER TO reader;
ALTER TEXT SEARCH CONFIGURATION "Größe".words OWNER TO reader; ALTER TEXT SEARCH DICTIONARY "Größe".german OWNER TO reader;
ALTER STATISTICS "Größe".settings_known OWNER TO reader; ALTER PUBLICATION sent OWNER TO reader; ALTER LARGE OBJECT 424243 OWNER TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE reader IN SCHEMA public GRANT EXECUTE ON FUNCTIONS TO odoo;
`;
