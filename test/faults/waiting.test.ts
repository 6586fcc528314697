import { beforeAll, describe, expect, test } from "vitest";
import { childrenOf } from "./node-processes.ts";
import { comers, type Comers } from "./comers.ts";
import { figure, seconds } from "./figures.ts";
import { scenario, type Scenario } from "./scenario.ts";
import { waitFor } from "../support/wait.ts";

const CLIENTS = 8;

let shared: Scenario;
beforeAll(async () => {
  shared = await scenario({ parameters: { max_connections: "30", checkpoint_timeout: "30min" } });
}, 120_000);

/** Until every one of them has been served that came after now. */
async function goOn({ served }: Comers, count = CLIENTS): Promise<void> {
  const now = performance.now();
  await waitFor(
    "every client to be served",
    () => new Set(served.filter(({ at }) => at >= now).map(({ client }) => client)).size === count,
    { timeout: 60_000 },
  );
}

/** Until the agent has looked at the primary so many times: at the second it has told HAProxy what it saw at the first. */
async function agentLooks(times: number): Promise<void> {
  const session = await shared.cluster.session("pg1");
  const looks = new Set<unknown>();
  await waitFor("the agent to look", async () => {
    looks.add(
      await session.value(
        "SELECT max(query_start)::text FROM pg_stat_activity WHERE application_name = 'odoo-pg agent'",
      ),
    );
    return looks.size > times;
  });
  await session.close();
}

/**
 * What happens to the primary is seen only by those who are connected, or just being connected, when it happens: each
 * client is cut once at most, and comes back without a refusal.
 */
async function outage(title: string, happen: (postmaster: number) => void): Promise<void> {
  const { cluster, node, healthy } = shared;
  const clients = comers(cluster, "write", CLIENTS);
  await goOn(clients);
  happen(node("pg1").pid());
  await goOn(clients);
  await goOn(clients);
  await clients.stop();
  const { failures, served } = clients;
  const each = new Set(failures.map(({ client }) => client));
  expect(failures, JSON.stringify(failures)).toHaveLength(each.size);
  expect(failures.filter(({ code }) => ["53300", "ECONNREFUSED", "08001"].includes(code))).toEqual([]);
  figure(
    title,
    "each client is cut once at most, and comes back without a refusal",
    `${failures.length} of ${CLIENTS} clients cut; the longest waited ${seconds(Math.max(...served.map(({ took }) => took)))}`,
  );
  await healthy();
}

const CONNECT_ANEW = `${CLIENTS} clients that connect anew for each transaction`;

describe("the primary is not there for a while", () => {
  test("kill -9 of its postmaster", async () => {
    await outage(`kill -9 of the primary's postmaster, ${CONNECT_ANEW}`, (pid) =>
      process.kill(pid, "SIGKILL"),
    );
  });

  test("immediate stop by somebody else", async () => {
    await outage(`Immediate stop of the primary, ${CONNECT_ANEW}`, (pid) => process.kill(pid, "SIGQUIT"));
  });

  test("fast stop by somebody else", async () => {
    await outage(`Fast stop of the primary, ${CONNECT_ANEW}`, (pid) => process.kill(pid, "SIGINT"));
  });

  test("kill -9 of one of its processes, as for want of memory: all restart", async () => {
    await outage(`kill -9 of one process of the primary, ${CONNECT_ANEW}`, (pid) => {
      const [first] = childrenOf(pid);
      if (first === undefined) throw new Error("The primary has no processes");
      process.kill(first, "SIGKILL");
    });
  });

  test("a long recovery", async () => {
    const session = await shared.cluster.session("pg1");
    await session.rows("CREATE TABLE much AS SELECT i, repeat('x', 100) FROM generate_series(1, 1500000) i");
    await session.rows("DROP TABLE much");
    await session.close();
    await outage(`kill -9 with 200 MB of WAL to recover, ${CONNECT_ANEW}`, (pid) =>
      process.kill(pid, "SIGKILL"),
    );
  });
});

test("with more clients than the server takes nobody is refused, and status shows the line", async () => {
  const { cluster, until, warned } = shared;
  const clients = comers(cluster, "write", 5);
  const held = await Promise.all(
    Array.from({ length: 20 }, async () => await cluster.session("write", "odoo")),
  );
  await until(
    "status shows who waits",
    async () => (await cluster.status()).endpoints.write.waiting?.clients === 5,
  );
  await warned("clients_waiting", null);
  for (const session of held) await session.close();
  await goOn(clients, 5);
  await clients.stop();
  expect(clients.failures).toEqual([]);
});

test("nobody is refused while direct sessions hold all connections but those of superusers", async () => {
  const { cluster, until, warned, healthy } = shared;
  const held: Awaited<ReturnType<typeof cluster.session>>[] = [];
  const isFull = (error: unknown): boolean => Reflect.get(Object(error), "code") === "53300";
  for (;;) {
    const session = await cluster.session("pg1", "odoo").catch((error: unknown) => {
      if (isFull(error)) return undefined;
      throw error;
    });
    if (!session) break;
    held.push(session);
  }
  await warned("connections_nearly_used", "pg1");
  await agentLooks(2);
  const clients = comers(cluster, "write", CLIENTS);
  await until("they wait", async () => (await cluster.status()).endpoints.write.waiting?.clients === CLIENTS);
  for (const session of held.splice(0, 8)) await session.close();
  await goOn(clients);
  for (const session of held) await session.close();
  await goOn(clients);
  await clients.stop();
  expect(clients.failures).toEqual([]);
  await healthy();
});

test("who waits when HAProxy is reloaded is served by the new one, and who is connected stays so", async () => {
  const { cluster, until, succeeds, healthy } = shared;
  const held = await Promise.all(
    Array.from({ length: 20 }, async () => await cluster.session("write", "odoo")),
  );
  const clients = comers(cluster, "write", 5);
  await until("they wait", async () => (await cluster.status()).endpoints.write.waiting?.clients === 5);
  cluster.configure({ endpoints: { wait_seconds: 50 } });
  await succeeds("up");
  for (const session of held) expect(await session.value("SELECT 1")).toBe(1);
  // The new one counts what the old one still carries.
  await until("they wait on", async () => (await cluster.status()).endpoints.write.waiting?.clients === 5);
  for (const session of held) await session.close();
  await goOn(clients, 5);
  await clients.stop();
  expect(clients.failures).toEqual([]);
  await healthy();
});
