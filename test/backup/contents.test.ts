import { beforeAll, describe, expect, test } from "vitest";
import { compareContents } from "../../src/backup/contents/compare.ts";
import type { Contents } from "../../src/backup/contents/contents.ts";
import { contentsBeside } from "../../src/backup/contents/contents-beside.ts";
import { readDatabaseContents } from "../../src/backup/contents/read-contents.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

let node: ThrowawayNode;
let contents: Contents;

beforeAll(async () => {
  node = await runningNode();
  await makeOdooDatabase({
    superuser: node.superuser,
    database: "odoo",
    filestore: `${temporaryFolder()}/f`,
  });
  contents = await contentsOf("odoo");
});

async function contentsOf(database: string): Promise<Contents> {
  return await withSession({ ...node.superuser, database }, readDatabaseContents);
}

const strict = { owners: true, definitions: true };

describe("what is in a database", () => {
  test("holds tables with their rows, indexes, constraints, sequences, extensions and owners", () => {
    const rows = Object.fromEntries(contents.tables.map(({ name, rows }) => [name, rows]));
    expect(rows).toMatchObject({ ir_attachment: 22, res_partner: 51, res_users: 1 });
    expect(contents.tables.every(({ owner }) => owner === "odoo")).toBe(true);
    expect(contents.extensions.map(({ name, owner }) => [name, owner])).toEqual([
      ["pg_trgm", "odoo"],
      ["plpgsql", "postgres"],
      ["unaccent", "odoo"],
    ]);
    expect(contents.indexes.map(({ name }) => name)).toContain("res_partner__name_index");
    expect(contents.constraints.map(({ name }) => name)).toContain("res_partner_check_name");
    expect(contents.sequences.find(({ name }) => name === "res_partner_id_seq")?.last_value).toBe("51");
    expect(contents.views.map(({ name }) => name)).toEqual(["report_partner"]);
    expect(contents.unaccent).toEqual({ schema: "public", owner: "odoo", immutable: true });
    expect(contents.attachments).toBe(21);
    expect(contents.odoo).toEqual({
      version: "19.0.1.3",
      modules: { base: "19.0.1.3", web: "19.0.1.0", mail: "19.0.1.19" },
    });
    expect(contents.roles.map(({ name }) => name)).toEqual(["odoo"]);
  });

  test("does not count what extensions bring with them", () => {
    expect(contents.functions).toEqual([]);
  });

  test("of another database that is not Odoo's says so", async () => {
    expect(await contentsOf("postgres")).toMatchObject({ attachments: null, odoo: null, tables: [] });
  });
});

describe("a restored database", () => {
  test("is the same as its source when all is there", async () => {
    await withSession(node.superuser, async (session) => {
      await session.query("CREATE DATABASE restored TEMPLATE odoo");
    });
    expect(compareContents(contents, await contentsOf("restored"), strict)).toEqual([]);
  });

  test("is told from its source by each thing that is missing, too much or different", async () => {
    await withSession(node.superuser, async (session) => {
      await session.query("CREATE DATABASE damaged TEMPLATE odoo");
    });
    await withSession({ ...node.superuser, database: "damaged" }, async (session) => {
      await session.query(`
        DROP VIEW report_partner;
        DROP INDEX res_partner__name_index;
        DROP EXTENSION pg_trgm;
        ALTER TABLE res_partner DROP CONSTRAINT res_partner_check_name;
        DELETE FROM ir_attachment WHERE id = 3;
        ALTER TABLE ir_cron OWNER TO postgres;
        CREATE TABLE more (id integer);
        SELECT setval('res_partner_id_seq', 10);
        ALTER FUNCTION unaccent(text) STABLE;
        UPDATE ir_module_module SET state = 'uninstalled' WHERE name = 'mail'`);
    });
    expect(compareContents(contents, await contentsOf("damaged"), strict)).toEqual([
      "table public.ir_attachment is with 21 rows owned by odoo, not with 22 rows owned by odoo",
      "table public.ir_cron is with 2 rows owned by postgres, not with 2 rows owned by odoo",
      "table public.more should not be there",
      "view public.report_partner is missing",
      "index public.res_partner__name_index is missing",
      "constraint public.res_partner.res_partner_check_name is missing",
      "extension pg_trgm is missing",
      "sequence public.ir_cron_id_seq is owned by postgres, not owned by odoo",
      "sequence public.res_partner_id_seq is at 10, not at 51",
      "unaccent(text) is IMMUTABLE in only one of them",
      "attachments with a file: 20 instead of 21",
      "the installed modules of Odoo differ",
    ]);
  });

  test("may have everything under another owner where that is asked for", async () => {
    const other = {
      ...contents,
      tables: contents.tables.map((table) => ({ ...table, owner: "somebody" })),
    };
    expect(compareContents(contents, other, strict)).toHaveLength(contents.tables.length);
    expect(compareContents(contents, other, { ...strict, owners: false })).toEqual([]);
  });
});

test("names with quotes and spaces are counted as any other", async () => {
  const name = `We "quote" 'everything' %s; --`;
  await withSession(node.superuser, async (session) => {
    await session.query("CREATE DATABASE odd");
  });
  await withSession({ ...node.superuser, database: "odd" }, async (session) => {
    await session.query(
      `CREATE SCHEMA "a.b"; CREATE TABLE "a.b"."${name.replaceAll('"', '""')}" AS SELECT 1 AS x`,
    );
  });
  expect((await contentsOf("odd")).tables).toEqual([{ schema: "a.b", name, owner: "postgres", rows: 1 }]);
});

test("rows are known whatever the owner made of a table, and attachments of its parts too", async () => {
  await withSession(node.superuser, (session) => session.query("CREATE DATABASE forms OWNER odoo"));
  await withSession({ ...node.superuser, database: "forms" }, async (session) => {
    await session.query(
      `CREATE SCHEMA hidden AUTHORIZATION odoo; SET ROLE odoo;
       CREATE TABLE hidden.locked (x) AS SELECT generate_series(1, 3);
       ALTER TABLE hidden.locked ENABLE ROW LEVEL SECURITY; ALTER TABLE hidden.locked FORCE ROW LEVEL SECURITY;
       REVOKE ALL ON hidden.locked FROM odoo; REVOKE ALL ON SCHEMA hidden FROM odoo;
       RESET ROLE;
       CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;
       CREATE TABLE worked_out (a text, b int GENERATED ALWAYS AS (1) STORED); INSERT INTO worked_out VALUES ('x'), (NULL);
       CREATE TABLE ir_module_module (name varchar, state varchar, latest_version varchar);
       INSERT INTO ir_module_module VALUES ('base', 'installed', '19.0.1.3'), (E'o\\\\d\td\n雪', 'installed', E'\\\\N');
       CREATE TABLE ir_attachment (store_fname varchar) PARTITION BY LIST (store_fname);
       CREATE TABLE one PARTITION OF ir_attachment FOR VALUES IN ('aa/1');
       CREATE TABLE rest PARTITION OF ir_attachment DEFAULT;
       INSERT INTO ir_attachment VALUES ('aa/1'), ('aa/1'), ('bb/2'), (NULL)`,
    );
  });
  const found = await contentsOf("forms");
  expect(Object.fromEntries(found.tables.map(({ name, rows }) => [name, rows]))).toEqual({
    locked: 3,
    nothing: 1,
    worked_out: 2,
    ir_module_module: 2,
    ir_attachment: null,
    one: 2,
    rest: 2,
  });
  expect(found.attachments).toBe(3);
  expect(found.odoo).toEqual({ version: "19.0.1.3", modules: { base: "19.0.1.3", "o\\d\td\n雪": "\\N" } });
});

test("a sequence is noted where it was at most when it was dumped, however it is used meanwhile", async () => {
  const session = await node.session("odoo");
  const other = await node.session("odoo");
  await other.query("CREATE SEQUENCE used; CREATE SEQUENCE restarted; CREATE SEQUENCE fresh");
  await other.query("SELECT nextval('used'), setval('restarted', 90)");
  const valueNow = async (name: string): Promise<string> =>
    String((await other.query(`SELECT last_value::text AS value FROM ${name}`))[0]?.["value"]);
  const { contents: found, result: dumped } = await contentsBeside(
    session,
    async () => {
      const used = await valueNow("used");
      await other.query("SELECT nextval('used'), nextval('fresh')");
      await other.query("ALTER SEQUENCE restarted RESTART WITH 7");
      await other.query("SELECT nextval('restarted')");
      return { used, restarted: await valueNow("restarted") };
    },
    async () => {},
  );
  const noted = (sequence: string): string | null | undefined =>
    found.sequences.find(({ name }) => name === sequence)?.last_value;
  expect(dumped).toEqual({ used: "1", restarted: "7" });
  expect([noted("used"), noted("restarted"), noted("fresh")]).toEqual(["1", "7", null]);
  await other.query("DROP SEQUENCE used, restarted, fresh");
});
