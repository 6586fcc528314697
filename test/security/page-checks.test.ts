import { beforeAll, expect, test } from "vitest";
import { checkPages } from "../../src/postgres/sql/page-checks.ts";
import { quoteSqlIdentifier as id, type Row } from "../../src/system/sql/sql.ts";
import { withSession } from "../support/with-session.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";

// The proof of a second looks through all tables and indexes of everybody's databases, as the superuser. What their owners
// wrote is not run for it, with whatever rights.

let node: ThrowawayNode;

/** Writes down that it was run, and by whom. */
const RAN = `
CREATE TABLE public.ran (way text, "user" text, session text);
GRANT ALL ON public.ran TO PUBLIC;
CREATE FUNCTION public.write_down(way text) RETURNS void LANGUAGE sql VOLATILE AS
  $$ INSERT INTO public.ran VALUES (way, current_user, session_user) $$;
CREATE FUNCTION public.quiet(way text, value text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
  $$ BEGIN PERFORM public.write_down(way); RETURN value; END $$;`;

const HOSTILE: readonly string[] = [
  "CREATE TABLE public.shop (id int PRIMARY KEY, name text, made text GENERATED ALWAYS AS (public.quiet('generated', 'x')) STORED)",
  "INSERT INTO public.shop SELECT n, 'name ' || n FROM generate_series(1, 500) AS n",
  "CREATE INDEX by_expression ON public.shop (public.quiet('expression', name))",
  "CREATE UNIQUE INDEX by_unique_expression ON public.shop (public.quiet('unique expression', name || id))",
  "CREATE INDEX by_condition ON public.shop (id) WHERE public.quiet('condition', 'x') = 'x'",
  "CREATE INDEX by_both ON public.shop (public.quiet('both', name)) INCLUDE (id) WHERE public.quiet('both', 'x') = 'x'",
  "CREATE STATISTICS public.of_shop ON (public.quiet('statistics', name)), id FROM public.shop",
  "CREATE DOMAIN public.checked AS text CHECK (public.quiet('domain', VALUE) IS NOT DISTINCT FROM VALUE)",
  "CREATE TYPE public.pair AS (one public.checked, two int)",
  "CREATE TABLE public.typed (of_domain public.checked, of_pair public.pair, many public.pair[])",
  "INSERT INTO public.typed SELECT 'x' || n, ROW('x', n)::public.pair, ARRAY[ROW('y', n)::public.pair] FROM generate_series(1, 50) AS n",
  "CREATE INDEX by_domain ON public.typed (of_domain)",
  "CREATE INDEX by_pair ON public.typed (of_pair)",
  "CREATE INDEX by_pairs ON public.typed (many)",
  "CREATE TABLE public.parted (id int, name text) PARTITION BY RANGE (public.quiet('partition key', name))",
  "CREATE TABLE public.part PARTITION OF public.parted FOR VALUES FROM ('a') TO ('z')",
  "INSERT INTO public.parted VALUES (1, 'm')",
  "CREATE INDEX ON public.parted (public.quiet('index of partitions', name))",
  "CREATE MATERIALIZED VIEW public.kept AS SELECT public.quiet('materialized', name) AS name FROM public.shop",
  "CREATE INDEX ON public.kept (public.quiet('index of a view', name))",
  // What it asks, in the place of the system's.
  ...["pg_class", "pg_index", "pg_namespace", "pg_available_extensions"].map(
    (name) =>
      `CREATE VIEW public.${name} AS SELECT x.* FROM pg_catalog.${name} x WHERE public.quiet('view', 'x') = 'x'`,
  ),
  `CREATE FUNCTION public.bt_index_check(regclass, boolean) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM public.write_down('bt_index_check'); END $$`,
  `CREATE FUNCTION public.verify_heapam(regclass, boolean) RETURNS TABLE (blkno bigint, offnum int, attnum int, msg text)
    LANGUAGE plpgsql AS $$ BEGIN PERFORM public.write_down('verify_heapam'); END $$`,
  `CREATE FUNCTION public.format(text, name, name) RETURNS text LANGUAGE sql AS
    $$ SELECT public.quiet('format', pg_catalog.format($1, $2, $3)) $$`,
  "ALTER DATABASE tenants SET search_path = public, pg_catalog",
  "ALTER DATABASE tenants SET role = 'tenant'",
  "ALTER DATABASE tenants SET enable_indexscan = off",
];

beforeAll(async () => {
  node = await runningNode();
  await withSession(node.superuser, async (session) => {
    await session.query("CREATE ROLE tenant LOGIN PASSWORD 'only for this test'");
    await session.query("CREATE DATABASE tenants OWNER tenant");
  });
  const tenant = { ...node.superuser, user: "tenant", password: "only for this test", database: "tenants" };
  await withSession(tenant, async (session) => {
    await session.query(RAN);
    for (const statement of HOSTILE) await session.query(statement);
  });
});

/** What has run since the last look: as whom, in whose session. */
async function ran(): Promise<Row[]> {
  const settings = { search_path: "pg_catalog", role: "none" };
  return await withSession({ ...node.superuser, database: "tenants", settings }, async (session) => {
    const rows = await session.query(
      `SELECT DISTINCT way, "user", session FROM public.ran WHERE session <> 'tenant' ORDER BY 1, 2`,
    );
    await session.query("DELETE FROM public.ran");
    return rows;
  });
}

test("amcheck runs the functions of an index's owner for who asks for its rows", async () => {
  await ran();
  const settings = { search_path: "pg_catalog", role: "none" };
  await withSession({ ...node.superuser, database: "tenants", settings }, async (session) => {
    await session.query("CREATE EXTENSION amcheck SCHEMA pg_catalog");
    for (const index of ["by_expression", "by_condition"])
      await session.query(`SELECT bt_index_check('public.${index}'::regclass, true)`);
  });
  expect((await ran()).map(({ way }) => way)).toEqual(["condition", "expression"]);
});

test("the proof of a second looks through all of a database's tables and indexes, and runs nothing of its owner's", async () => {
  const checked = await checkPages(node.access.in("tenants"), undefined);
  expect(await ran()).toEqual([]);
  expect(checked?.damaged).toEqual({ count: 0, first: [] });
  const [row] = await withSession({ ...node.superuser, database: "tenants" }, (session) =>
    session.query(`SELECT pg_catalog.count(*)::int AS own FROM pg_catalog.pg_class
      WHERE relnamespace = 'public'::pg_catalog.regnamespace AND relkind IN ('r', 'm', 'i')`),
  );
  expect(checked?.relations).toBeGreaterThan(Number(row?.["own"]));
});

test("also of a name that acts, and where it was made by an earlier proof", async () => {
  const loud = "loud\u001b]0;owned\u0007\r\n\\! true\n";
  const tenant = { ...node.superuser, user: "tenant", password: "only for this test", database: "tenants" };
  await withSession(tenant, async (session) => {
    await session.query(`CREATE TABLE public.${id(loud)} (id int PRIMARY KEY)`);
    await session.query(
      `CREATE INDEX ${id(`${loud}'"`)} ON public.${id(loud)} (public.quiet('loud', id::text))`,
    );
  });
  const checked = await checkPages(node.access.in("tenants"), undefined);
  expect([checked?.damaged.count, await ran()]).toEqual([0, []]);
});
