import { chmodSync } from "node:fs";
import { execa } from "execa";
import { beforeAll, describe, expect, test } from "vitest";
import { odooFactsSettings, readOdooFacts, type OdooFacts } from "../../src/odoo/facts.ts";
import { programOf } from "../../src/postgres/installation.ts";
import { quoteSqlIdentifier as id } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { odooDump } from "../support/odoo-dump.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let node: ThrowawayNode;

beforeAll(async () => {
  node = await runningNode();
});

async function sql(database: string, ...statements: readonly string[]): Promise<void> {
  await withSession({ ...node.superuser, database }, async (session) => {
    for (const statement of statements) await session.query(statement);
  });
}

async function make(database: string, ...statements: readonly string[]): Promise<void> {
  await sql("postgres", `CREATE DATABASE ${id(database)} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'`);
  await sql(database, ...statements);
}

async function factsOf(database: string): Promise<OdooFacts | undefined> {
  const settings = odooFactsSettings;
  return await withSession({ ...node.superuser, database, settings }, readOdooFacts);
}

const MODULES = `CREATE TABLE ir_module_module (id serial, name varchar, state varchar(16), latest_version varchar);
  INSERT INTO ir_module_module (name, state, latest_version) VALUES ('base', 'installed', '19.0.1.3'),
    ('sale', 'to upgrade', '19.0.1.2'), ('stock', 'to install', NULL), ('crm', 'to remove', '19.0.1'), ('web', 'installed', '1')`;

const ago = (interval: string): string => `now() AT TIME ZONE 'UTC' - interval '${interval}'`;

test("a backup of Odoo tells its version, and how its actions, mail, bus and attachments are", async () => {
  const folder = temporaryFolder();
  const dump = await odooDump(folder);
  if (dump.tables < 100) {
    // Without the real one beside the checkout: what has two tables of Odoo's names is not taken for Odoo's.
    await make("sales", "CREATE TABLE res_partner (id int)", "CREATE TABLE ir_attachment (id int)");
    expect(await factsOf("sales")).toBeUndefined();
    return;
  }
  chmodSync(dump.path, 0o644);
  await make("sales");
  await execa(programOf(node.installation, "psql"), ["-X", "-q", "-f", dump.path, "-v", "ON_ERROR_STOP=1"], {
    env: {
      PGHOST: node.superuser.host,
      PGPORT: String(node.superuser.port),
      PGUSER: "postgres",
      PGDATABASE: "sales",
      PGPASSWORD: node.superuser.password,
    },
    stdout: "ignore",
  });
  const facts = await factsOf("sales");
  expect(facts).toMatchObject({
    odoo_version: "19.0",
    failed_actions: 0,
    mail_outgoing: 16,
    mail_failed: 0,
    bus_rows: 18,
    attachments: 898,
    modules_in_transition: 0,
    queue_jobs: null,
  });
  // No Odoo has run since the backup was made.
  expect(facts?.late_actions).toBeGreaterThan(5);
  expect(facts?.oldest_late_seconds).toBeGreaterThan(0);
  expect(facts?.attachments_in_filestore_bytes).toBeGreaterThan(1e6);
  expect(facts?.attachment_bytes).toBeGreaterThanOrEqual(facts?.attachments_in_filestore_bytes ?? Infinity);
});

test("what is late, failed, waiting and in transition is counted, and nothing else", async () => {
  await make(
    "busy",
    MODULES,
    `CREATE TABLE ir_cron (id serial, active boolean, nextcall timestamp, failure_count integer);
     INSERT INTO ir_cron (active, nextcall, failure_count) VALUES
       (true, ${ago("2 hours")}, 0), (true, ${ago("10 minutes")}, 3), (true, ${ago("1 minute")}, 0),
       (true, ${ago("-1 hour")}, NULL), (false, ${ago("9 days")}, 5)`,
    `CREATE TABLE mail_mail (id serial, state varchar, create_date timestamp, scheduled_date timestamp);
     INSERT INTO mail_mail (state, create_date, scheduled_date) VALUES
       ('outgoing', ${ago("1 hour")}, NULL), ('outgoing', ${ago("30 minutes")}, ${ago("20 minutes")}),
       ('outgoing', ${ago("3 days")}, ${ago("-1 day")}), ('exception', ${ago("4 days")}, NULL), ('sent', ${ago("5 days")}, NULL)`,
    `CREATE TABLE bus_bus (id serial, create_date timestamp);
     INSERT INTO bus_bus (create_date) VALUES (${ago("30 hours")}), (${ago("1 minute")})`,
    `CREATE TABLE ir_attachment (id serial, file_size integer, store_fname varchar);
     INSERT INTO ir_attachment (file_size, store_fname) VALUES (2000000000, 'aa/aa'), (2000000000, 'bb/bb'), (7, NULL), (NULL, NULL)`,
    `CREATE TABLE queue_job (id serial, state varchar);
     INSERT INTO queue_job (state) VALUES ('pending'), ('pending'), ('failed'), ('<odd>')`,
  );
  const facts = await factsOf("busy");
  expect(facts).toEqual({
    odoo_version: "19.0",
    late_actions: 2,
    oldest_late_seconds: expect.closeTo(7200, -2),
    failed_actions: 2,
    mail_outgoing: 2,
    mail_failed: 1,
    mail_oldest_seconds: expect.closeTo(3600, -2),
    bus_rows: 2,
    bus_oldest_seconds: expect.closeTo(108_000, -2),
    attachments: 4,
    attachment_bytes: 4_000_000_007,
    attachments_in_filestore_bytes: 4_000_000_000,
    modules_in_transition: 3,
    queue_jobs: { pending: 2, failed: 1 },
    hot_tables: ["bus_bus", "ir_attachment"].map((table) => ({
      table,
      live_rows: expect.any(Number),
      dead_rows: expect.any(Number),
    })),
  });
});

test("an older Odoo is read too; what it does not have is unknown", async () => {
  await make(
    "old",
    `CREATE TABLE ir_module_module (id serial, name varchar, state varchar(16), latest_version varchar);
     INSERT INTO ir_module_module (name, state, latest_version) VALUES ('base', 'installed', 'saas~15.2.1.3')`,
    `CREATE TABLE ir_cron (id serial, active boolean, nextcall timestamp, numbercall integer);
     INSERT INTO ir_cron (active, nextcall, numbercall) VALUES (true, ${ago("1 hour")}, -1), (true, ${ago("1 year")}, 0)`,
    `CREATE TABLE mail_mail (id serial, state varchar, create_date timestamp, scheduled_date varchar);
     INSERT INTO mail_mail (state, create_date, scheduled_date) VALUES
       ('outgoing', ${ago("1 hour")}, to_char(${ago("10 minutes")}, 'YYYY-MM-DD HH24:MI:SS')),
       ('outgoing', ${ago("1 hour")}, to_char(${ago("-10 minutes")}, 'YYYY-MM-DD HH24:MI:SS')), ('outgoing', ${ago("2 hours")}, '')`,
  );
  expect(await factsOf("old")).toEqual({
    odoo_version: "saas~15.2",
    late_actions: 1,
    oldest_late_seconds: expect.closeTo(3600, -2),
    failed_actions: null,
    mail_outgoing: 2,
    mail_failed: 0,
    mail_oldest_seconds: expect.closeTo(7200, -2),
    bus_rows: null,
    bus_oldest_seconds: null,
    attachments: null,
    attachment_bytes: null,
    attachments_in_filestore_bytes: null,
    modules_in_transition: 0,
    queue_jobs: null,
    hot_tables: [],
  });
});

test("a database that is not Odoo's, or not yet, has no facts", async () => {
  await make("plain", "CREATE TABLE ir_cron (active boolean, nextcall timestamp)");
  await make(
    "in the making",
    "CREATE TABLE ir_module_module (id serial, name varchar, state varchar(16), latest_version varchar)",
    "INSERT INTO ir_module_module (name, state) VALUES ('base', 'to install')",
  );
  expect(await factsOf("plain")).toBeUndefined();
  expect(await factsOf("in the making")).toBeUndefined();
});

test("an upgrade that holds a table is not waited for", async () => {
  await make("upgraded", MODULES);
  const upgrade = await node.session("upgraded");
  await upgrade.query("BEGIN; LOCK TABLE ir_module_module");
  await expect(factsOf("upgraded")).rejects.toMatchObject({ code: "55P03" });
  await upgrade.query("COMMIT");
  expect(await factsOf("upgraded")).toMatchObject({ modules_in_transition: 3 });
});

describe("the owner of a database does not become a superuser by its facts", () => {
  /** Each one would run `seize` in the reader's name. */
  test.each([
    ["a view", "CREATE VIEW ir_cron AS SELECT seize() AS active, now()::timestamp AS nextcall"],
    [
      "a type with a cast of its own",
      `CREATE TYPE mine AS ENUM ('pending'); CREATE TABLE queue_job (state mine); INSERT INTO queue_job VALUES ('pending');
       CREATE FUNCTION as_text(mine) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM seize(); RETURN ''; END $$;
       CREATE CAST (mine AS text) WITH FUNCTION as_text(mine) AS IMPLICIT`,
    ],
    [
      "the condition of an index, which the planner works out",
      `CREATE TABLE bus_bus (create_date timestamp);
       CREATE INDEX ON bus_bus (create_date) WHERE seize_quietly(1)`,
    ],
    [
      "statistics of an expression",
      `CREATE TABLE queue_job (state varchar); INSERT INTO queue_job VALUES ('pending');
       CREATE STATISTICS mine ON (seize_quietly(2)::text || state), state FROM queue_job`,
    ],
    [
      "functions and operators in the place of the system's",
      `CREATE TABLE queue_job (state varchar); INSERT INTO queue_job VALUES ('pending');
       CREATE FUNCTION is_like(varchar, text) RETURNS boolean LANGUAGE sql AS 'SELECT public.seize()';
       CREATE OPERATOR ~ (leftarg = varchar, rightarg = text, function = is_like)`,
    ],
  ])("not by %s", async (_, statements) => {
    const database = `hostile ${statements.length}`;
    await make(database, MODULES);
    const password = "only for this test";
    await sql(
      database,
      "DO $$ BEGIN CREATE ROLE mallory LOGIN; EXCEPTION WHEN duplicate_object THEN END $$",
      `ALTER ROLE mallory PASSWORD '${password}'`,
      "GRANT CREATE, USAGE ON SCHEMA public TO PUBLIC",
      `ALTER DATABASE ${id(database)} OWNER TO mallory`,
    );
    await withSession({ ...node.superuser, database, user: "mallory", password }, async (session) => {
      await session.query(`ALTER DATABASE ${id(database)} SET search_path = public, pg_catalog`);
      await session.query(
        `CREATE FUNCTION public.seize() RETURNS boolean LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog AS $$
         BEGIN
           IF (SELECT rolsuper FROM pg_roles WHERE rolname = session_user) THEN
             RESET ROLE;
             ALTER ROLE mallory SUPERUSER;
           END IF;
           RETURN true;
         END $$;
         CREATE FUNCTION public.seize_quietly(integer) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
           $$ BEGIN RETURN public.seize(); END $$`,
      );
      await session.query(statements);
    });
    expect(await factsOf(database)).toMatchObject({ odoo_version: "19.0", bus_rows: null });
    const rows = await withSession(node.superuser, (session) =>
      session.query("SELECT rolname FROM pg_roles WHERE rolsuper"),
    );
    expect(rows).toEqual([{ rolname: "postgres" }]);
  });
});
