import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";

const listed = z.object({
  statements: z
    .object({ database: z.string(), statement: z.string(), calls: z.number(), share: z.number() })
    .array(),
});

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
  expect([enabled.exitCode, enabled.stderr]).toEqual([0, expect.stringContaining("restarts each server")]);
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
