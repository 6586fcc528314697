import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { isAlive, processesNaming } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    nodes: 1,
    config: { endpoints: { write: { pooling: "transaction" } } },
  });
  await cluster.up();
}, 60_000);

const withSecond = (parameters: Record<string, string> = {}): Record<string, unknown> => ({
  nodes: [
    { name: "pg1", port: cluster.ports.nodes[0] },
    { name: "pg2", port: cluster.ports.spare },
  ],
  postgres: { parameters },
});

async function slots(): Promise<readonly unknown[]> {
  const session = await cluster.onPrimary();
  const rows = await session.rows("SELECT slot_name FROM pg_replication_slots");
  await session.close();
  return rows;
}

const second = (): string => join(cluster.stateDir, "nodes", "pg2");

/** A setting with which no server starts. */
const BROKEN = { shared_preload_libraries: "no_such_library" };

describe("An up that is refused", () => {
  test("leaves neither a server nor a slot of a node that it has begun", async () => {
    cluster.configure(withSecond(BROKEN));
    const refused = await cluster.run(["up"], { timeout: 120_000 });
    expect(refused.exitCode).not.toBe(0);
    expect(await slots()).toEqual([]);
    await waitFor("its server to be gone", () => !existsSync(join(second(), "data", "postmaster.pid")));
    const { nodes } = await cluster.status();
    expect(nodes.map(({ name }) => name)).toEqual(["pg1"]);
  });

  test("is followed by one that takes up the node that was begun", async () => {
    cluster.configure(withSecond());
    await cluster.up();
    await cluster.healthy();
    expect(await slots()).toEqual([{ slot_name: "pg2" }]);
  });

  test("that was cut off while it began a node is followed by one that knows of it", async () => {
    cluster.configure({});
    await cluster.up();
    expect(existsSync(second())).toBe(false);
    cluster.configure(withSecond());
    const cut = cluster.start(["up"]);
    await waitFor("its slot", async () => (await slots()).length > 0);
    process.kill(cluster.agent(), "SIGKILL");
    await cut.ended;
    cluster.configure({});
    await cluster.up();
    expect(await slots()).toEqual([]);
    expect(existsSync(second())).toBe(false);
    expect(processesNaming(second())).toEqual([]);
  });

  test("stops no server of somebody else whose data directory it names, nor does its end", async () => {
    const other = await throwawayCluster({ nodes: 1 });
    await other.up();
    const theirs = other.postmaster("pg1");
    const nodes = [
      { name: "pg1", port: cluster.ports.nodes[0] },
      { name: "pg2", port: cluster.ports.spare, data_dir: join(other.stateDir, "nodes", "pg1", "data") },
    ];
    cluster.configure({ nodes });
    expect((await cluster.run(["up"])).exitCode).not.toBe(0);
    cluster.configure({});
    await cluster.up();
    expect(other.postmaster("pg1")).toBe(theirs);
    expect(isAlive(theirs)).toBe(true);
    await other.down();
  });

  test("and would pool no more leaves a PgBouncer that is started again when it ends", async () => {
    cluster.configure({ endpoints: { write: { pooling: "none" } }, postgres: { parameters: BROKEN } });
    expect((await cluster.run(["up"], { timeout: 120_000 })).exitCode).not.toBe(0);
    const poolers = (): readonly number[] =>
      processesNaming(join(cluster.stateDir, "pgbouncer", "write.ini")).map(({ pid }) => pid);
    await waitFor("PgBouncer to be there", () => poolers().length === 1);
    const [before] = poolers();
    if (before !== undefined) process.kill(before, "SIGKILL");
    await waitFor("another PgBouncer", () => poolers().some((pid) => pid !== before));
    await waitFor("the endpoint to answer", async () => {
      const session = await cluster.session("write", "odoo");
      const one = await session.value("SELECT 1");
      await session.close();
      return one === 1;
    });
    expect(readdirSync(join(cluster.stateDir, "pgbouncer"))).toContain("write.process.json");
  });
});
