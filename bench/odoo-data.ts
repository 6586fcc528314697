import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Runs SQL in a database as the superuser. */
export type RunSql = (database: string, sql: string) => Promise<void>;

/** Statements that make an Odoo-shaped database of about `scale` times 1.1 GB, indexes included. */
function statements(scale: number): string {
  const rows = (count: number): number => Math.max(10, Math.round(count * scale));
  return `
SET synchronous_commit = off;
SELECT setseed(0.42);
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE FUNCTION words(n integer) RETURNS text LANGUAGE sql VOLATILE AS $$
  SELECT string_agg((ARRAY['order','invoice','customer','delivery','sale','product','stock','move','partner','account',
    'payment','tax','line','total','draft','posted','company','currency','journal','warehouse','picking','return',
    'Réf','n°','please','thank','you','regards','<p>','</p>','&amp;','2026','quotation','confirmed','https://'])
    [1 + floor(random() * 35)::int] || CASE WHEN random() < 0.3 THEN floor(random() * 99999)::text ELSE '' END, ' ')
  FROM generate_series(1, n) $$;
CREATE TABLE pieces AS SELECT n, words(40 + n % 60) AS piece FROM generate_series(0, 9999) AS n;
CREATE UNIQUE INDEX ON pieces (n);
CREATE TABLE ir_module_module (id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, state varchar(16), latest_version varchar);
INSERT INTO ir_module_module (name, state, latest_version) VALUES ('base', 'installed', '19.0.1.3'), ('sale', 'installed', '19.0.1.2');
CREATE TABLE ir_config_parameter (id serial PRIMARY KEY, key varchar NOT NULL UNIQUE, value text NOT NULL);
CREATE TABLE res_partner (id serial PRIMARY KEY, name varchar, email varchar, ref varchar, parent_id integer REFERENCES res_partner,
  properties jsonb, create_date timestamp, write_date timestamp);
INSERT INTO res_partner (name, email, ref, parent_id, properties, create_date, write_date)
  SELECT left(p.piece, 30), md5(g::text) || '@example.com', 'P' || g, nullif(g / 10, 0), jsonb_build_object('k', g), now(), now()
  FROM generate_series(1, ${rows(150_000)}) AS g JOIN pieces p ON p.n = g % 10000;
CREATE INDEX res_partner_name ON res_partner USING gin (name gin_trgm_ops);
CREATE INDEX res_partner_ref ON res_partner (ref);
CREATE TABLE mail_message (id serial PRIMARY KEY, subject varchar, body text, author_id integer REFERENCES res_partner, model varchar,
  res_id integer, message_type varchar, date timestamp, create_uid integer, write_uid integer, email_from varchar, message_id varchar);
INSERT INTO mail_message (subject, body, author_id, model, res_id, message_type, date, create_uid, write_uid, email_from, message_id)
  SELECT left(p.piece, 40), p.piece || md5(random()::text), 1 + g % ${rows(150_000)}, 'sale.order', g, 'comment', now() - g * interval '1 s', 2, 2,
    'user' || g % 500 || '@example.com', md5(g::text) || '@odoo'
  FROM generate_series(1, ${rows(600_000)}) AS g JOIN pieces p ON p.n = (g::bigint * 7919) % 10000;
CREATE INDEX mail_message_model ON mail_message (model, res_id);
CREATE INDEX mail_message_author ON mail_message (author_id);
CREATE INDEX mail_message_mid ON mail_message (message_id);
CREATE TABLE account_move_line (id serial PRIMARY KEY, move_id integer, account_id integer, partner_id integer REFERENCES res_partner,
  name varchar, debit numeric, credit numeric, balance numeric, date date, company_id integer, currency_id integer, quantity double precision,
  price_unit numeric, create_date timestamp, write_date timestamp, create_uid integer, write_uid integer, display_type varchar);
INSERT INTO account_move_line (move_id, account_id, partner_id, name, debit, credit, balance, date, company_id, currency_id, quantity,
    price_unit, create_date, write_date, create_uid, write_uid, display_type)
  SELECT g / 4, g % 300, 1 + g % ${rows(150_000)}, left(p.piece, 60), round((random() * 10000)::numeric, 2), 0, round((random() * 10000)::numeric, 2),
    current_date - g % 1000, 1, 1, g % 7, round((random() * 100)::numeric, 2), now() - g * interval '1 s', now(), 2, 2, 'product'
  FROM generate_series(1, ${rows(1_100_000)}) AS g JOIN pieces p ON p.n = (g * 31) % 10000;
CREATE INDEX account_move_line_move ON account_move_line (move_id);
CREATE INDEX account_move_line_partner ON account_move_line (partner_id, account_id);
CREATE INDEX account_move_line_date ON account_move_line (date, move_id);
ALTER TABLE account_move_line ADD CONSTRAINT account_move_line_check_credit CHECK (credit >= 0);
CREATE TABLE ir_attachment (id serial PRIMARY KEY, name varchar NOT NULL, type varchar NOT NULL, store_fname varchar,
  checksum varchar(40), file_size integer, mimetype varchar, index_content text, res_model varchar, res_id integer);
CREATE INDEX ir_attachment_store ON ir_attachment (store_fname);
DO $$ BEGIN FOR n IN 1..120 LOOP
  EXECUTE format('CREATE TABLE small_%s (id serial PRIMARY KEY, name varchar NOT NULL, active boolean DEFAULT true,
    partner_id integer REFERENCES res_partner)', n);
  EXECUTE format('INSERT INTO small_%s (name, partner_id) SELECT left(piece, 40), 1 + n %% 10 FROM pieces WHERE n < 100', n);
  EXECUTE format('CREATE INDEX ON small_%s (partner_id)', n);
END LOOP; END $$;
DROP TABLE pieces;
DROP FUNCTION words(integer);
`;
}

/** Writes new attachments into a filestore and into ir_attachment. Their contents do not repeat themselves. */
export async function addAttachments(
  sql: RunSql,
  database: string,
  filestore: string,
  count: number,
): Promise<void> {
  const rows: string[] = [];
  const seed = randomBytes(64 * 1024);
  for (let number = 0; number < count; number += 1) {
    // From 2 kB to 64 kB, as scanned papers and pictures are.
    const content = Buffer.concat([randomBytes(16), seed.subarray(0, 2048 + ((number * 7919) % 62_000))]);
    const sha1 = createHash("sha1").update(content).digest("hex");
    const folder = join(filestore, database, sha1.slice(0, 2));
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, sha1), content);
    rows.push(`('file ${number}', 'binary', '${sha1.slice(0, 2)}/${sha1}', '${sha1}', ${content.length})`);
  }
  chmodSync(filestore, 0o755);
  for (let at = 0; at < rows.length; at += 1000) {
    const values = rows.slice(at, at + 1000).join(",");
    await sql(
      database,
      `INSERT INTO ir_attachment (name, type, store_fname, checksum, file_size) VALUES ${values}`,
    );
  }
}

/** Makes an Odoo-shaped database of about `scale` times 1.1 GB with attachments. */
export async function makeOdooDatabase(
  sql: RunSql,
  database: string,
  filestore: string,
  options: { readonly scale: number; readonly attachments: number },
): Promise<void> {
  await sql(
    "postgres",
    `CREATE DATABASE "${database}" TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'`,
  );
  await sql(database, statements(options.scale));
  await addAttachments(sql, database, filestore, options.attachments);
  await sql(database, "VACUUM ANALYZE");
}
