import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import * as z from "zod";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";
import { figure, seconds } from "./figures.ts";
import { scenario } from "./scenario.ts";

const CLIENTS = 6;
/** Debian's, which has Debian's python3-psycopg2. */
const PYTHON = "/usr/bin/python3";
const hasDriver = spawnSync(PYTHON, ["-c", "import psycopg2"]).status === 0;

const seenSchema = z.object({
  requests: z.number(),
  writes: z.number(),
  stale: z.number(),
  replica_given_up: z.number(),
  longest_ms: z.number(),
  errors: z.record(z.string(), z.number()),
});

/** Users of an Odoo that works without a pause; `stop` says what they saw. */
async function users(cluster: ThrowawayCluster) {
  const session = await cluster.session("write", "odoo");
  await session.rows("CREATE DATABASE shop");
  await session.close();
  const script = fileURLToPath(new URL("odoo-client.py", import.meta.url));
  const child = spawn(PYTHON, [script, "shop", String(CLIENTS)], {
    env: {
      PGPASSWORD: cluster.password("odoo"),
      WRITE_PORT: String(cluster.ports.write),
      READ_PORT: String(cluster.ports.read),
    },
    stdio: ["pipe", "pipe", "inherit"],
  });
  atEnd(() => void child.kill("SIGKILL"));
  let said = "";
  child.stdout.on("data", (data) => (said += String(data)));
  await Promise.race([once(child.stdout, "data"), once(child, "exit")]);
  expect(said).toBe("ready\n");
  return {
    stop: async () => {
      child.stdin.end();
      await once(child, "exit");
      return seenSchema.parse(JSON.parse(said.slice("ready\n".length)));
    },
  };
}

const errorsOf = ({ errors }: z.output<typeof seenSchema>): number =>
  Object.values(errors).reduce((sum, count) => sum + count, 0);

test.skipIf(!hasDriver)(
  "users of Odoo see no error and no stale page while a replica dies, HAProxy is reloaded and the agent is killed",
  async () => {
    const { cluster, node, step, succeeds, healthy } = await scenario({ consistency: "read-your-writes" });
    const odoo = await users(cluster);
    await step("kill -9 of the replica", async () => await node("pg2").killPostmaster());
    await healthy();
    cluster.configure({ endpoints: { wait_seconds: 50, read: { consistency: "read-your-writes" } } });
    await step("HAProxy is reloaded", async () => await succeeds("up"));
    await healthy();
    await step("kill -9 of the agent", async () => {
      process.kill(cluster.agent(), "SIGKILL");
      await succeeds("up");
    });
    await healthy();
    const seen = await odoo.stop();
    expect(seen.stale, JSON.stringify(seen)).toBe(0);
    // A read that is cut in the middle is what a dead server leaves; nothing else is.
    expect(errorsOf(seen), JSON.stringify(seen)).toBeLessThanOrEqual(CLIENTS);
    expect(
      Object.keys(seen.errors).filter((words) => !/read: (?!.*(?:57P03|53300|refused))/.test(words)),
    ).toEqual([]);
    expect(seen.writes).toBeGreaterThan(100);
    figure(
      "An Odoo-like client while a replica is killed, HAProxy reloaded, the agent killed (read-your-writes)",
      "no write fails, no page is stale",
      `${errorsOf(seen)} of ${seen.requests} requests failed, ${seen.stale} stale; the longest took ${seconds(seen.longest_ms)}`,
    );
  },
);

test.skipIf(!hasDriver)(
  "users of Odoo lose no more than the request that is open when the primary is killed, and wait for the next",
  async () => {
    const { cluster, node, step, healthy } = await scenario({ consistency: "read-your-writes" });
    const odoo = await users(cluster);
    await step("kill -9 of the primary's postmaster", async () => await node("pg1").killPostmaster());
    await healthy();
    const seen = await odoo.stop();
    expect(seen.stale).toBe(0);
    expect(errorsOf(seen), JSON.stringify(seen)).toBeLessThanOrEqual(CLIENTS);
    figure(
      "An Odoo-like client while the primary's postmaster is killed (read-your-writes)",
      `at most the ${CLIENTS} requests that are open fail`,
      `${errorsOf(seen)} of ${seen.requests} requests failed, ${seen.stale} stale; the longest took ${seconds(seen.longest_ms)}`,
    );
  },
);
