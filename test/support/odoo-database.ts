import { createHash } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compressWithLz4 } from "../../src/postgres/sql/wal-compression.ts";
import { type Credentials, quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "./with-session.ts";

export interface OdooDatabaseOptions {
  /** A superuser's way in; its database is not looked at. */
  readonly superuser: Credentials;
  readonly database: string;
  /** Role that owns the database and all in it; made when it is not there. Default "odoo". */
  readonly role?: string;
  /** Folder of all filestores; the database's own is made below it. */
  readonly filestore: string;
  /** Attachments with a file of their own; default 20. One more shares the content of the first. */
  readonly attachments?: number;
  /** Bytes of each file; default 100. */
  readonly bytes?: number;
  /** Rows of res_partner; default 50. */
  readonly partners?: number;
}

export interface OdooDatabase {
  readonly database: string;
  /** Folder of its attachments. */
  readonly filestore: string;
  /** store_fname of every file, in order of their making. */
  readonly files: readonly string[];
}

/** Writes one file as Odoo does and returns its store_fname. */
export function writeAttachment(filestore: string, content: string | Buffer): string {
  const sha1 = createHash("sha1").update(content).digest("hex");
  const storeFname = `${sha1.slice(0, 2)}/${sha1}`;
  mkdirSync(join(filestore, sha1.slice(0, 2)), { recursive: true });
  writeFileSync(join(filestore, storeFname), content);
  return storeFname;
}

/** The content of the attachment with a number: different for each database and number. */
export function attachmentContent(database: string, number: number, bytes: number): string {
  const text = `attachment ${number} of ${database}\n`;
  return text.repeat(Math.ceil(bytes / text.length)).slice(0, Math.max(bytes, text.length));
}

/**
 * Makes a database that has what Odoo's have and is hard to copy: extensions and their owners, an IMMUTABLE unaccent
 * with an index on it, foreign keys, checks, sequences, jsonb, and attachments with files that fit.
 */
export async function makeOdooDatabase(options: OdooDatabaseOptions): Promise<OdooDatabase> {
  const { superuser, database, role = "odoo" } = options;
  const count = options.attachments ?? 20;
  await withSession({ ...superuser, database: "postgres" }, async (session) => {
    const there = await session.query("SELECT FROM pg_roles WHERE rolname = $1", [role]);
    if (!there.length) await session.query(`CREATE ROLE ${id(role)} LOGIN CREATEDB`);
    await compressWithLz4(session);
    await session.query(
      `CREATE DATABASE ${id(database)} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C' OWNER ${id(role)}`,
    );
  });
  const filestore = join(options.filestore, database);
  mkdirSync(options.filestore, { recursive: true });
  chmodSync(options.filestore, 0o755);
  mkdirSync(filestore);
  const files: string[] = [];
  const size = options.bytes ?? 100;
  for (let number = 0; number < count; number++)
    files.push(writeAttachment(filestore, attachmentContent(database, number, size)));
  await withSession({ ...superuser, database }, async (session) => {
    await session.query(
      [
        "SET client_min_messages = warning",
        "GRANT CREATE ON SCHEMA public TO PUBLIC",
        `SET ROLE ${id(role)}`,
        "CREATE EXTENSION pg_trgm",
        "CREATE EXTENSION unaccent",
        "RESET ROLE",
        "ALTER FUNCTION unaccent(text) IMMUTABLE",
        `ALTER FUNCTION unaccent(text) OWNER TO ${id(role)}`,
        `SET ROLE ${id(role)}`,
        SCHEMA,
      ].join(";\n"),
    );
    await session.query(
      `INSERT INTO res_partner (name, ref, properties)
       SELECT 'Partner ' || n || ' Ærø "ApS" \\ 雪', 'R' || n, jsonb_build_object('n', n)
       FROM generate_series(1, $1::int) AS n`,
      [options.partners ?? 50],
    );
    await session.query(
      `INSERT INTO ir_attachment (name, type, store_fname, checksum, file_size, res_model)
       SELECT 'file ' || n, 'binary', fname, split_part(fname, '/', 2), $2::int, 'res.partner'
       FROM unnest($1::text[]) WITH ORDINALITY AS given (fname, n)`,
      [files, size],
    );
    await session.query(
      `INSERT INTO ir_attachment (name, type, store_fname, checksum, file_size)
       SELECT 'the same again', 'binary', $1::text, split_part($1, '/', 2), $2::int WHERE $1 IS NOT NULL
       UNION ALL SELECT 'a link', 'url', NULL, NULL, NULL`,
      [files[0] ?? null, size],
    );
  });
  return { database, filestore, files };
}

const SCHEMA = `
CREATE TABLE ir_module_module (
  id serial PRIMARY KEY, name varchar NOT NULL UNIQUE, state varchar(16), latest_version varchar);
INSERT INTO ir_module_module (name, state, latest_version) VALUES
  ('base', 'installed', '19.0.1.3'), ('web', 'installed', '19.0.1.0'), ('mail', 'installed', '19.0.1.19'),
  ('website', 'uninstalled', NULL);
CREATE TABLE ir_config_parameter (id serial PRIMARY KEY, key varchar NOT NULL UNIQUE, value text NOT NULL);
INSERT INTO ir_config_parameter (key, value) VALUES
  ('database.uuid', '0c6e3a0e-6f0e-11f0-8de9-0242ac120002'), ('database.secret', 'not-a-real-secret'),
  ('database.create_date', '2025-01-02 03:04:05'), ('web.base.url', 'https://odoo.example.com');
CREATE TABLE res_partner (
  id serial PRIMARY KEY, name varchar, ref varchar, properties jsonb, parent_id integer REFERENCES res_partner ON DELETE SET NULL,
  CONSTRAINT res_partner_check_name CHECK (name IS NOT NULL));
COMMENT ON TABLE res_partner IS 'Contact';
CREATE INDEX res_partner__name_index ON res_partner USING gin (unaccent(name) gin_trgm_ops);
CREATE TABLE res_users (
  id serial PRIMARY KEY, login varchar NOT NULL UNIQUE, password varchar, active boolean DEFAULT true,
  partner_id integer NOT NULL REFERENCES res_partner ON DELETE RESTRICT);
INSERT INTO res_partner (name) VALUES ('Administrator');
INSERT INTO res_users (login, partner_id) SELECT 'admin', id FROM res_partner;
CREATE TABLE ir_cron (id serial PRIMARY KEY, cron_name varchar, active boolean DEFAULT true);
INSERT INTO ir_cron (cron_name) VALUES ('Base: Auto-vacuum internal data'), ('Mail: send');
CREATE TABLE ir_mail_server (id serial PRIMARY KEY, name varchar NOT NULL, smtp_host varchar, active boolean DEFAULT true);
INSERT INTO ir_mail_server (name, smtp_host) VALUES ('out', 'smtp.example.com');
CREATE TABLE ir_attachment (
  id serial PRIMARY KEY, name varchar NOT NULL, type varchar NOT NULL, url varchar(1024), store_fname varchar,
  checksum varchar(40), file_size integer, res_model varchar, res_id integer, db_datas bytea,
  create_date timestamp DEFAULT now());
CREATE INDEX ir_attachment__store_fname_index ON ir_attachment (store_fname);
CREATE VIEW report_partner AS SELECT id, name FROM res_partner WHERE ref IS NOT NULL`;
