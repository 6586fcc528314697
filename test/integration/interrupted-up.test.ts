import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { isAlive } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

/** Whether a node's folder holds a name that begins so. */
function holds(cluster: ThrowawayCluster, node: string, prefix: string): boolean {
  const folder = join(cluster.stateDir, "nodes", node);
  return existsSync(folder) && readdirSync(folder).some((name) => name.startsWith(prefix));
}

/** Finishes the first start, and shows that it is one whole cluster. */
async function finish(cluster: ThrowawayCluster): Promise<void> {
  await cluster.up();
  await cluster.healthy();
  const identifier = "SELECT system_identifier::text FROM pg_control_system()";
  const [pg1, pg2] = [await cluster.session("pg1"), await cluster.session("pg2")];
  expect(await pg2.value(identifier)).toBe(await pg1.value(identifier));
  expect(await pg1.value("SELECT pg_is_in_recovery()")).toBe(false);
  expect(await pg2.value("SELECT pg_is_in_recovery()")).toBe(true);
  expect(await pg1.rows("SELECT slot_name, active FROM pg_replication_slots")).toEqual([
    { slot_name: "pg2", active: true },
  ]);
  await (await cluster.session("write", "odoo")).rows("CREATE DATABASE shop TEMPLATE odoo_template");
  // Nothing of the attempts is left.
  expect(holds(cluster, "pg1", "data.new.") || holds(cluster, "pg2", "data.new.")).toBe(false);
}

test("up and agent killed again and again during the first start: the next up finishes", async () => {
  const cluster = await throwawayCluster();
  const file = (path: string): boolean => existsSync(join(cluster.stateDir, path));
  // In the order in which they come: none of them has come when the one before has.
  const moments: readonly [string, () => boolean][] = [
    ["the agent has its lock", () => file("agent.lock")],
    ["initdb is at work", () => holds(cluster, "pg1", "data.new.")],
    ["the primary's data directory is whole", () => file("nodes/pg1/data")],
    ["the primary starts", () => file("nodes/pg1/data/postmaster.pid")],
    ["the cluster's identifier is recorded", () => file("state.json")],
    ["the base backup is at work", () => holds(cluster, "pg2", "data.new.")],
    ["the replica's data directory is whole", () => file("nodes/pg2/data")],
    ["the replica starts", () => file("nodes/pg2/data/postmaster.pid")],
    ["HAProxy starts", () => file("haproxy/haproxy.cfg")],
  ];
  for (const [moment, reached] of moments) {
    const up = cluster.start(["up"]);
    await waitFor(`${moment}: ${up.stderr()}`, () => reached() && isAlive(cluster.agent()));
    const agent = cluster.agent();
    process.kill(agent, "SIGKILL");
    up.signal("SIGKILL");
    await up.ended;
    await waitFor("the agent to be gone", () => !isAlive(agent));
  }
  await finish(cluster);
});

test("killed in the base backup, whose program goes on alone: the next up starts another one and finishes", async () => {
  const cluster = await throwawayCluster();
  const up = cluster.start(["up"]);
  await waitFor("the base backup", () => holds(cluster, "pg2", "data.new."));
  process.kill(cluster.agent(), "SIGKILL");
  up.signal("SIGKILL");
  await finish(cluster);
});

test("a killed agent is an error of the up that waits for it, which says what to do", async () => {
  const cluster = await throwawayCluster();
  const up = cluster.start(["up"]);
  await waitFor("initdb", () => holds(cluster, "pg1", "data.new."));
  process.kill(cluster.agent(), "SIGKILL");
  const ran = await up.ended;
  expect(ran.exitCode).toBe(69);
  expect(ran.stderr).toContain("The agent ended before it was done");
  expect(ran.stderr).toContain("Run the same command again");
  await finish(cluster);
});

test("Ctrl-C ends up with 130 and a word on what goes on; the next up finishes", async () => {
  const cluster = await throwawayCluster();
  const up = cluster.start(["up"]);
  await waitFor("initdb", () => holds(cluster, "pg1", "data.new."));
  up.signal("SIGINT");
  const ran = await up.ended;
  expect(ran.exitCode).toBe(130);
  expect(ran.stderr).toContain("Interrupted");
  await finish(cluster);
});

test("two up at once both end well, with one agent", async () => {
  const cluster = await throwawayCluster();
  const [first, second] = await Promise.all([cluster.run(["up"]), cluster.run(["up"])]);
  expect(first).toMatchObject({ exitCode: 0 });
  expect(second).toMatchObject({ exitCode: 0 });
  const log = await cluster.run(["logs", "agent"]);
  expect(log.stdout.match(/looks after/g)).toHaveLength(1);
  await finish(cluster);
});
