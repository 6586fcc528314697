import { expect, test } from "vitest";
import { giveDatabases } from "../../src/container/adopt.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode } from "../postgres/throwaway-node.ts";

test("Odoo's role gets what the superuser had in the data of another image, whatever is set in it, and triggers for events go off", async () => {
  const node = await runningNode();
  const admin = await node.session();
  await admin.query("CREATE ROLE odoo LOGIN");
  await admin.query("CREATE DATABASE shop");
  await withSession({ ...node.superuser, database: "shop" }, async (session) => {
    await session.query(`CREATE SCHEMA "Part"; CREATE TABLE "Part".thing (id serial, kind integer);
      CREATE VIEW public.things AS SELECT * FROM "Part".thing; CREATE TYPE public.mood AS ENUM ('sad');
      CREATE EXTENSION pg_trgm; CREATE FUNCTION public.one() RETURNS integer LANGUAGE sql AS 'SELECT 1';
      CREATE FUNCTION public.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN
        EXECUTE 'ALTER ROLE odoo SUPERUSER'; END$$;
      CREATE EVENT TRIGGER watching ON ddl_command_end EXECUTE FUNCTION public.watch()`);
    await session.query("ALTER EVENT TRIGGER watching ENABLE ALWAYS");
    await session.query("ALTER ROLE odoo NOSUPERUSER; ALTER DATABASE shop SET search_path = public");
  });
  for (const word of ["role = odoo", "search_path = public", "default_transaction_read_only = on"])
    await admin.query(`ALTER DATABASE postgres SET ${word}`);
  await admin.close();

  expect(await giveDatabases(node.access, "odoo", true)).toEqual(["shop"]);
  expect(await giveDatabases(node.access, "odoo", true)).toEqual([]);
  await node.access.in("shop").use(async (session) => {
    const rows = await session.query(
      `SELECT nspname AS name, nspowner::regrole::text AS owner FROM pg_namespace WHERE nspname = 'Part'
       UNION ALL SELECT relname, relowner::regrole::text FROM pg_class WHERE relname IN ('thing', 'thing_id_seq', 'things')
       UNION ALL SELECT proname, proowner::regrole::text FROM pg_proc WHERE proname IN ('one', 'watch', 'similarity')
       UNION ALL SELECT typname, typowner::regrole::text FROM pg_type WHERE typname = 'mood' ORDER BY 1`,
    );
    expect(Object.fromEntries(rows.map(({ name, owner }) => [name, owner]))).toEqual({
      Part: "odoo",
      thing: "odoo",
      thing_id_seq: "odoo",
      things: "odoo",
      one: "odoo",
      mood: "odoo",
      similarity: "postgres",
      watch: "postgres",
    });
    expect(await session.query("SELECT rolname FROM pg_roles WHERE rolsuper")).toEqual([
      { rolname: "postgres" },
    ]);
    expect(await session.query("SELECT datname FROM pg_database WHERE datdba = 'odoo'::regrole")).toEqual([
      { datname: "shop" },
    ]);
  });
});
