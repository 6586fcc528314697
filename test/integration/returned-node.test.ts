import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { throwawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

test("a node that comes back with data of its own that is too old says that it needs a reseed, and gets one", async () => {
  const cluster = await throwawayCluster({ config: { postgres: { parameters: { wal_keep_size: "0" } } } });
  const [first = 0, second = 0] = cluster.ports.nodes;
  const both = [
    { name: "pg1", port: first },
    { name: "pg2", port: second, data_dir: join(cluster.folder, "disk", "pg2") },
  ];
  mkdirSync(join(cluster.folder, "disk"));
  cluster.configure({ nodes: both });
  await cluster.up();
  await cluster.healthy();
  cluster.configure({ nodes: both.slice(0, 1) });
  await cluster.up();
  const primary = await cluster.session("pg1");
  for (let round = 0; round < 4; round += 1) {
    await primary.rows("SELECT pg_logical_emit_message(true, 'test', '')");
    await primary.rows("SELECT pg_switch_wal()");
    await primary.rows("CHECKPOINT");
  }

  cluster.configure({ nodes: both });
  const { exitCode, stderr } = await cluster.run(["up"]);
  expect(exitCode).not.toBe(0);
  expect(stderr).toContain("odoo-pg reseed pg2");
  await waitFor("status to say so", async () => {
    const { nodes, warnings } = await cluster.status();
    return (
      nodes.some(({ name, state }) => name === "pg2" && state === "needs reseed") &&
      warnings.some(({ code, next }) => code === "needs_reseed" && next.includes("reseed pg2"))
    );
  });

  expect((await cluster.run(["reseed", "pg2"])).exitCode).toBe(0);
  await cluster.healthy();
}, 120_000);
