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
`;
