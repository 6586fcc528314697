import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { waitFor } from "../support/wait.ts";

/** A cluster of one node stands for the primary that somebody else runs. */
async function foreignPrimary(): Promise<ThrowawayCluster> {
  const foreign = await throwawayCluster({ nodes: 1 });
  await foreign.up();
  const session = await foreign.session("pg1");
  await session.rows("CREATE TABLE kept AS SELECT generate_series(1, 100) AS n");
  return foreign;
}

function slaveVariables(foreign: ThrowawayCluster): Record<string, string> {
  return {
    SLAVEHOST: "127.0.0.1",
    SLAVEPORT: String(foreign.ports.nodes[0]),
    SLAVEUSER: "replicator",
    SLAVEPASSWORD: foreign.password("replicator"),
  };
}

async function superuserOf(follower: ThrowawayCluster, node: string, sql: string): Promise<string> {
  const ran = await follower.run(["psql", node, "--", "-Atc", sql]);
  return ran.stdout.trim();
}

test("nodes with SLAVEHOST follow a foreign primary, and one of them can take the cluster over when it is stopped", async () => {
  const foreign = await foreignPrimary();
  const follower = await throwawayCluster();

  const refused = await follower.run(["up"], { env: { ...slaveVariables(foreign), SLAVEPASSWORD: "wrong" } });
  expect(refused.exitCode).toBe(69);
  expect(refused.stderr).toContain("primary_unreachable");
  expect(refused.stderr).not.toContain(foreign.password("replicator"));

  const env = slaveVariables(foreign);
  await follower.up({ env });
  expect(await superuserOf(follower, "pg1", "SELECT pg_is_in_recovery(), count(*) FROM public.kept")).toBe(
    "t|100",
  );
  expect(await superuserOf(follower, "pg2", "SELECT pg_is_in_recovery(), count(*) FROM public.kept")).toBe(
    "t|100",
  );
  // With an up that is refused, the address of before goes on.
  follower.configure({ endpoints: { read: { port: foreign.ports.write } } });
  const elsewhere = await follower.run(["up"], { env: { ...env, SLAVEPORT: "1" } });
  expect(elsewhere.stderr).toContain("port_in_use");
  follower.configure({});
  await waitFor("the foreign primary to be seen", async () => {
    const report = await follower.json(["replication", "status"]);
    return JSON.stringify(report).includes('"answers":true');
  });
  const status = await follower.status();
  expect(status.endpoints.write.node).toBe("upstream");
  expect(status.endpoints.read.pool).toEqual(["pg1", "pg2"]);
  // Through the follower's write endpoint the foreign primary is reached.
  const through = await follower.run(["psql", "write", "--", "-Atc", "SELECT 1"], {
    env: { PGPASSWORD: foreign.password("postgres") },
  });
  expect(through.stdout.trim()).toBe("1");
  // Nobody here knows its superuser's password, which psql then says in plain words.
  const withoutPassword = await follower.run(["psql", "read", "--", "-wAtc", "SELECT 1"], {
    env: { PGUSER: "odoo" },
  });
  expect(withoutPassword.stderr).toContain("a primary that odoo-pg does not run");
  expect(withoutPassword.stderr).toContain("no password supplied");

  const early = await follower.run(["promote", "pg1"]);
  expect(early.exitCode).toBe(1);
  expect(early.stderr).toContain("two primaries");

  await foreign.down();
  const careful = await follower.run(["promote", "pg1"]);
  expect(careful.exitCode).toBe(1);
  expect(careful.stderr).toContain("--allow-data-loss --confirm test");
  const taken = await follower.run(["promote", "pg1", "--allow-data-loss", "--confirm", "test"]);
  expect(taken.stderr).toContain("Done.");
  await follower.up();
  await follower.healthy();
  const odoo = await follower.session("write", "odoo");
  expect(await odoo.value("SELECT count(*)::int FROM pg_database WHERE datname = 'odoo_template'")).toBe(1);
  expect(await superuserOf(follower, "pg1", "SELECT count(*) FROM public.kept")).toBe("100");
});

test("data that is not the foreign primary's standby is never touched before `reseed`, and then kept aside", async () => {
  const foreign = await foreignPrimary();
  const follower = await throwawayCluster({ nodes: 1 });
  await follower.up();
  const own = await follower.session("pg1");
  await own.rows("CREATE TABLE precious AS SELECT 1 AS n");
  await own.close();
  await follower.down();
  const nodeDir = join(follower.stateDir, "nodes", "pg1");
  const before = readFileSync(join(nodeDir, "data", "global", "pg_control"));

  // As if the data directory had been there first: another state directory that knows nothing of it.
  const stateFile = join(follower.stateDir, "state.json");
  const state: unknown = JSON.parse(readFileSync(stateFile, "utf8"));
  const forgetful = { ...Object(state), primary: "upstream", system_identifier: null, history: [] };
  writeFileSync(stateFile, JSON.stringify(forgetful));
  rmSync(join(follower.stateDir, "cluster.json"));

  const env = slaveVariables(foreign);
  const waiting = await follower.run(["up"], { env });
  expect(waiting.stderr).toContain("needs reseed");
  expect(waiting.exitCode).toBe(1);
  expect(waiting.stderr).toContain("odoo-pg reseed pg1");
  expect(readFileSync(join(nodeDir, "data", "global", "pg_control")).equals(before)).toBe(true);

  const reseeded = await follower.run(["reseed", "pg1"], { env });
  expect(reseeded.stderr).toContain("Done.");
  expect(await superuserOf(follower, "pg1", "SELECT pg_is_in_recovery(), count(*) FROM public.kept")).toBe(
    "t|100",
  );
  const aside = readdirSync(nodeDir).find((name) => name.startsWith("data.aside-"));
  expect(aside).toBeDefined();
  expect(readFileSync(join(nodeDir, aside ?? "", "global", "pg_control")).equals(before)).toBe(true);
});

test("replication status and the replication log tell positions and lag of each replica", async () => {
  const cluster = await throwawayCluster({ config: { replication_log: { format: "json" } } });
  await cluster.up();
  const session = await cluster.session("pg1");
  await session.rows("CREATE TABLE t AS SELECT generate_series(1, 1000) AS n");
  await waitFor("the replica to have all", async () => {
    const report = await cluster.json(["replication", "status"]);
    expect(report).toMatchObject({
      version: 1,
      primary: { name: "pg1", answers: true },
      replicas: [
        {
          name: "pg2",
          state: "streaming",
          sync_state: "async",
          lag_bytes: 0,
          lag_seconds: 0,
          lag_segments: 0,
          slot: { name: "pg2", wal_status: "reserved" },
        },
      ],
    });
    return true;
  });
  const log = join(cluster.stateDir, "pg_replication.log");
  await waitFor("a line in the replication log", () => existsSync(log));
  expect(JSON.parse(readFileSync(log, "utf8").split("\n")[0] ?? "")).toMatchObject({
    cluster: "test",
    node: "pg2",
  });
  await waitFor("a reader to see that it has all", async () => {
    const { stdout } = await cluster.run(["replication", "status"]);
    return (
      stdout.includes("replica pg2: 0 B behind") && stdout.includes("on the primary: streaming, async, since")
    );
  });
});

test("the replication log in the origin's form has a time and four quoted values", async () => {
  const cluster = await throwawayCluster({ config: { replication_log: { format: "origin" } } });
  await cluster.up();
  const log = join(cluster.stateDir, "pg_replication.log");
  await waitFor("a line in the replication log", () => existsSync(log));
  expect(readFileSync(log, "utf8")).toMatch(/^\S+Z '\d*' '[^']*' '[0-9A-F/]*' '[0-9A-F/]*'\n/);
});
