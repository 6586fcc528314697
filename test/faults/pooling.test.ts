import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, expect, test } from "vitest";
import { isAlive } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";
import { comers, type Comers } from "./comers.ts";
import { figure, seconds } from "./figures.ts";
import { scenario, type Scenario } from "./scenario.ts";

const CLIENTS = 8;

let shared: Scenario;
beforeAll(async () => {
  // A busy machine takes a while to bring the primary back after its 20 s.
  shared = await scenario({
    pooling: "transaction",
    waitSeconds: 60,
    parameters: { checkpoint_timeout: "30min" },
  });
  const odoo = await shared.cluster.session("write", "odoo");
  await odoo.rows("CREATE DATABASE shop");
  await odoo.close();
}, 120_000);

/** The process of this kind that the agent keeps now. */
function processOf(file: "haproxy/process.json" | "pgbouncer/write.process.json"): number {
  const record: unknown = JSON.parse(readFileSync(join(shared.cluster.stateDir, file), "utf8"));
  return Number(Reflect.get(Object(record), "pid"));
}

/** Until every one of them has been served that came after now. */
async function goOn({ served }: Comers): Promise<void> {
  const now = performance.now();
  await waitFor(
    "every client to be served",
    () => new Set(served.filter(({ at }) => at >= now).map(({ client }) => client)).size === CLIENTS,
    { timeout: 60_000 },
  );
}

/** What was open when it happened fails, once for each client; nobody who came afterwards does. */
function expectOnceEach({ failures }: Comers): void {
  const each = new Set(failures.map(({ client }) => client));
  expect(failures, JSON.stringify(failures)).toHaveLength(each.size);
}

test("kill -9 of the primary's postmaster fails what is open at pooled clients, and nobody after", async () => {
  const clients = comers(shared.cluster, "write", CLIENTS, "shop");
  await goOn(clients);
  await shared.node("pg1").killPostmaster();
  await goOn(clients);
  await clients.stop();
  expectOnceEach(clients);
  figure(
    `kill -9 of the primary's postmaster, pooled, ${CLIENTS} clients that connect anew for each transaction`,
    "only open transactions fail",
    `${clients.failures.length} of ${CLIENTS} failed; the longest waited ${seconds(Math.max(...clients.served.map(({ took }) => took)))}`,
  );
  await shared.healthy();
});

test("clients wait 20 s for the primary while HAProxy dies and PgBouncer reads its configuration again", async () => {
  const { cluster, node, succeeds, healthy } = shared;
  const clients = comers(cluster, "write", CLIENTS, "shop");
  await goOn(clients);
  await node("pg1").lose();
  await pause(5000);
  const before = clients.failures.length;
  const balancer = processOf("haproxy/process.json");
  process.kill(balancer, "SIGKILL");
  await waitFor(
    "another HAProxy",
    () => processOf("haproxy/process.json") !== balancer && isAlive(processOf("haproxy/process.json")),
  );
  process.kill(processOf("pgbouncer/write.process.json"), "SIGHUP");
  await pause(15_000);
  node("pg1").bringBack();
  await succeeds("up");
  await goOn(clients);
  await clients.stop();
  const after = clients.failures.slice(before);
  expect(after, JSON.stringify(after)).toEqual([]);
  expectOnceEach(clients);
  figure(
    "The primary away for 20 s, HAProxy killed and PgBouncer reloaded meanwhile, pooled",
    "only open transactions fail; who waits goes on waiting",
    `${clients.failures.length} of ${CLIENTS} failed; the longest waited ${seconds(Math.max(...clients.served.map(({ took }) => took)))}`,
  );
  await healthy();
});

test("kill -9 of PgBouncer: its clients connect again to the one that is started in its place", async () => {
  const { cluster } = shared;
  const clients = comers(cluster, "write", CLIENTS, "shop");
  await goOn(clients);
  const pooler = processOf("pgbouncer/write.process.json");
  const at = performance.now();
  process.kill(pooler, "SIGKILL");
  await goOn(clients);
  await clients.stop();
  const refused = clients.failures.filter((failure) => failure.at > at).map((failure) => failure.at - at);
  figure(
    `kill -9 of PgBouncer, ${CLIENTS} clients that connect anew for each transaction`,
    "another one serves them",
    `refused for ${seconds(Math.max(0, ...refused))}`,
  );
  expect(processOf("pgbouncer/write.process.json")).not.toBe(pooler);
});
