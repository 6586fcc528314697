import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { HOUR } from "../../src/cluster/statement-history.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { connect } from "../support/pg.ts";
import { waitFor } from "../support/wait.ts";

const listed = z.object({
  statements: z
    .object({
      id: z.string(),
      database: z.string(),
      role: z.string(),
      statement: z.string(),
      calls: z.number(),
      share: z.number(),
      day: z.number().nullable().array(),
    })
    .array(),
});
type Listed = z.output<typeof listed>["statements"][number];

/** The statement whose text holds this, of one role. */
async function statementWith(text: string, role = "odoo"): Promise<Listed> {
  const { statements } = listed.parse(await cluster.json(["statements", "list"]));
  const found = statements.find((one) => one.role === role && one.statement.includes(text));
  if (!found) throw new Error(`no statement of ${role} holds ${text}`);
  return found;
}

let cluster: ThrowawayCluster;
beforeAll(async () => {
  // As a cluster that was made before statements were counted by themselves.
  cluster = await throwawayCluster({
    nodes: 1,
    config: {
      postgres: { parameters: { shared_buffers: "16MB", shared_preload_libraries: "auto_explain" } },
    },
  });
  await cluster.up();
});

test("where nothing is counted the command that has it counted is named, and it takes one restart", async () => {
  const none = await cluster.run(["statements", "list"]);
  expect(none.exitCode).not.toBe(0);
  expect(none.stderr).toContain("odoo-pg statements enable");

  const dry = await cluster.run(["statements", "enable", "--dry-run"]);
  expect(dry.stdout).toContain("shared_preload_libraries: auto_explain,pg_stat_statements");
  expect(dry.stderr).toContain("nothing was changed");

  const before = cluster.postmaster("pg1");
  const enabled = await cluster.run(["statements", "enable"]);
  expect([enabled.exitCode, enabled.stderr]).toEqual([0, expect.stringContaining("Restart each server")]);
  expect(cluster.postmaster("pg1")).toBe(before);
  await cluster.up();
  expect(cluster.postmaster("pg1")).not.toBe(before);

  const writer = await cluster.session("write");
  for (let count = 0; count < 3; count += 1) await writer.rows("SELECT 1 AS counted_by_this_test");
  const { statements } = listed.parse(await cluster.json(["statements", "list"]));
  expect(statements.find(({ statement }) => statement.includes("counted_by_this_test"))?.calls).toBe(3);
  expect(statements.reduce((sum, { share }) => sum + share, 0)).toBeLessThanOrEqual(1.001);
  expect((await cluster.run(["statements", "enable"])).stdout).toContain("Statements are counted.");
});

test("what statements hold is the superuser's alone: users of databases do not reach it", async () => {
  const superuser = await cluster.session("pg1");
  expect(
    await superuser.rows(
      "SELECT nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE extname = 'pg_stat_statements'",
    ),
  ).toEqual([{ nspname: "odoo_pg_statements" }]);
  const odoo = await cluster.session("write", "odoo", "postgres");
  const tried = odoo.rows("SELECT query FROM odoo_pg_statements.pg_stat_statements");
  await expect(tried).rejects.toThrow(/permission denied/);
});

const planned = z.object({ role: z.string(), plan: z.string().array() });

test("a statement with values is planned for any of them, and not executed", async () => {
  const odoo = await cluster.session("write", "odoo", "postgres");
  await odoo.rows("CREATE DATABASE shop");
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows("CREATE TABLE sale (id int PRIMARY KEY, note text)");
  await shop.rows("INSERT INTO sale SELECT g, 'x' FROM generate_series(1, 5000) g");
  await shop.rows("ANALYZE sale");
  await shop.rows("SELECT note FROM sale WHERE id = 17 AND note <> 'y' LIMIT 3");
  await shop.rows("DELETE FROM sale WHERE id = 4999");
  const select = await statementWith("SELECT note FROM sale");
  const { role, plan } = planned.parse(await cluster.json(["statements", "plan", select.id]));
  expect(role).toBe("odoo");
  expect(plan.join("\n")).toMatch(/Index Scan using sale_pkey on sale[\s\S]*Index Cond: \(id = \$1\)/);
  const deletes = await statementWith("DELETE FROM sale");
  expect((await cluster.run(["statements", "plan", deletes.id])).stdout).toContain("Delete on sale");
  expect(await shop.rows("SELECT count(*)::int AS left FROM sale")).toEqual([{ left: 4999 }]);
});

test("functions that the planner calls are called as the role that wrote the statement", async () => {
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows(`CREATE FUNCTION grab() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'planned by % of %', current_user, session_user; END $$`);
  await shop.rows("SELECT grab() AS grabbed, pg_sleep(0.2)").catch(() => {});
  // It failed, and what fails is not counted: one that does not, then another body.
  await shop.rows("CREATE OR REPLACE FUNCTION grab() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'");
  await shop.rows("SELECT grab() AS grabbed, pg_sleep(0.2)");
  await shop.rows(`CREATE OR REPLACE FUNCTION grab() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN
    RAISE EXCEPTION 'planned by % of %', current_user, session_user; END $$`);
  const { id } = await statementWith("AS grabbed");
  const refused = await cluster.run(["statements", "plan", id]);
  expect([refused.exitCode === 0, refused.stderr]).toEqual([
    false,
    expect.stringContaining("planned by odoo of odoo"),
  ]);
});

test("a tenant's statement is planned as the tenant, by a role that is gone afterwards", async () => {
  const made = z
    .object({ role: z.object({ password: z.string() }) })
    .parse(await cluster.json(["role", "create", "tenant"]));
  const login = { port: cluster.ports.nodes[0] ?? 0, user: "tenant", password: made.role.password };
  const outside = await connect({ ...login, database: "postgres" });
  await outside.rows("CREATE DATABASE theirs");
  const inside = await connect({ ...login, database: "theirs" });
  await inside.rows(`CREATE FUNCTION spy() RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT 1'`);
  await inside.rows("CREATE TABLE theirs (id int PRIMARY KEY)");
  await inside.rows("SELECT pg_sleep(0.3), (SELECT id FROM theirs WHERE id = 3)");
  await inside.rows("SELECT spy() AS spied, pg_sleep(0.2)");
  const { id } = await statementWith("FROM theirs", "tenant");
  const { role, plan } = planned.parse(await cluster.json(["statements", "plan", id]));
  expect([role, plan.join("\n")]).toEqual(["tenant", expect.stringContaining("theirs")]);

  // Whatever it tries, it is nobody else than the tenant.
  await inside.rows(`CREATE OR REPLACE FUNCTION spy() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$
    DECLARE may text; BEGIN
      PERFORM set_config('role', 'none', false);
      BEGIN
        PERFORM set_config('session_authorization', 'postgres', false);
      EXCEPTION WHEN insufficient_privilege THEN NULL;
      END;
      SELECT string_agg(rolname, ' ') INTO may FROM pg_roles WHERE pg_has_role(session_user, oid, 'MEMBER') AND rolname <> session_user AND rolname !~ '^(opg|pg)_';
      RAISE EXCEPTION 'may be % and is a superuser: %', may, current_setting('is_superuser'); END $$`);
  const spied = await statementWith("AS spied", "tenant");
  const refused = await cluster.run(["statements", "plan", spied.id]);
  expect([refused.exitCode === 0, refused.stderr]).toEqual([
    false,
    expect.stringMatching(/may be tenant and is a superuser: off/),
  ]);
  const superuser = await cluster.session("pg1");
  expect(await superuser.rows("SELECT rolname FROM pg_roles WHERE rolname LIKE '%stand_in%'")).toEqual([]);
});

test("what a superuser ran, or who may become one, is not planned, and why is said", async () => {
  const superuser = await cluster.session("pg1", "postgres", "shop");
  await superuser.rows("SELECT pg_sleep(0.2) AS of_the_superuser");
  const { id } = await statementWith("of_the_superuser", "postgres");
  const refused = await cluster.run(["statements", "plan", id]);
  expect(refused.exitCode).not.toBe(0);
  expect(refused.stderr).toContain("which is a superuser");
  await superuser.rows("CREATE ROLE chief LOGIN");
  await superuser.rows("GRANT postgres TO chief");
  await superuser.rows("SET ROLE chief");
  await superuser.rows("SELECT pg_sleep(0.2) AS of_the_chief");
  await superuser.rows("RESET ROLE");
  const chief = await statementWith("of_the_chief", "chief");
  expect((await cluster.run(["statements", "plan", chief.id])).stderr).toContain("may do what one does");
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows("CREATE TABLE made_by_this_test AS SELECT pg_sleep(0.2) IS NULL AS x");
  // Not a word of it is run a second time.
  const utility = await statementWith("made_by_this_test");
  const tried = await cluster.run(["statements", "plan", utility.id]);
  expect([tried.exitCode === 0, tried.stderr]).toEqual([false, expect.stringContaining("does not plan")]);
  for (const unknown of ["0123456789", "--json", "x'; DROP TABLE sale"]) {
    const ran = await cluster.run(["statements", "plan", "--", unknown]);
    expect([unknown, ran.exitCode === 0]).toEqual([unknown, false]);
  }
});

const changed = z.object({
  hours: z.number(),
  changes: z.object({ id: z.string(), change: z.string(), statement: z.string().nullable() }).array(),
});

test("the agent keeps what is counted in a file of its own, and what changed since yesterday is told", async () => {
  const file = join(cluster.stateDir, "statements.json");
  await waitFor("the first look", () => statSync(file, { throwIfNoEntry: false }) !== undefined);
  expect(statSync(file).mode & 0o777).toBe(0o600);
  await cluster.run(["down"]);
  const { id } = statementWithoutServer(file);
  const present = Math.floor(Date.now() / HOUR) * HOUR;
  const hour = (back: number, milliseconds: number): object => ({
    at: present - back * HOUR,
    watched: 3600,
    calls: 100,
    milliseconds,
    statements: [[id, 100, milliseconds]],
  });
  const hours = [hour(26, 1000), hour(25, 1000), hour(2, 9000), hour(1, 9000)];
  const hostile = "SELECT 1 \u001b]0;owned\u0007\r\u202e";
  const texts = { [id]: { database: "shop", role: "odoo", statement: hostile } };
  writeFileSync(file, JSON.stringify({ version: 1, last: null, hours, texts }));
  const { changes } = changed.parse(await cluster.json(["statements", "changes"]));
  expect(changes).toEqual([expect.objectContaining({ id, change: "slower" })]);
  const shown = await cluster.run(["statements", "changes"]);
  expect(shown.stdout).toContain("10.0 ms -> 90.0 ms");
  // oxlint-disable-next-line no-control-regex -- it is what must not be there
  expect(shown.stdout).not.toMatch(/[\u001b\u0007\r\u202e]/);
  // A damaged one is begun anew, by who reads and by who writes.
  writeFileSync(file, "{");
  expect((await cluster.run(["statements", "changes"])).stderr).toContain("nothing to compare yet");
  await cluster.up();
  const { statements } = listed.parse(await cluster.json(["statements", "list"]));
  expect(statements[0]?.day).toHaveLength(24);
});

function statementWithoutServer(file: string): { readonly id: string } {
  const saved = z
    .object({ last: z.object({ counters: z.tuple([z.string(), z.number(), z.number()]).array() }) })
    .parse(JSON.parse(readFileSync(file, "utf8")));
  return { id: saved.last.counters[0]?.[0] ?? "" };
}
