import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type ClusterTarget, type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { setServerState } from "../../src/endpoints/orders.ts";
import { writeServer } from "../../src/endpoints/servers.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: {
      endpoints: { read: { max_lag: "1MB" } },
      // What a server that is stopped holds up is noticed sooner.
      postgres: { parameters: { wal_sender_timeout: "5s" } },
    },
  });
  await cluster.up();
  const odoo = await cluster.session("write", "odoo");
  await odoo.rows("CREATE DATABASE shop TEMPLATE odoo_template");
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows("CREATE TABLE sale (id bigint PRIMARY KEY, filler text)");
});

beforeEach(async () => {
  await cluster.healthy();
});

const haproxy = (): number => {
  const record: unknown = JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"));
  return typeof record === "object" && record !== null && "pid" in record ? Number(record.pid) : 0;
};

function childrenOf(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent;
      } catch {
        return false;
      }
    })
    .map(Number);
}

/** The node that answers on an endpoint. */
async function answering(endpoint: "read" | "write"): Promise<unknown> {
  const session = await cluster.session(endpoint, "odoo");
  const name = await session.value("SHOW cluster_name");
  await session.close();
  return name;
}

/** As `answering` for reads; undefined when the session was cut meanwhile. That no session can be had is an error. */
async function tryReading(): Promise<unknown> {
  const session = await cluster.session("read", "odoo");
  try {
    return await session.value("SHOW cluster_name");
  } catch (error) {
    if (session.isCut()) return undefined;
    throw error;
  } finally {
    await session.close();
  }
}

/** Does something again and again until `stop`; it counts what succeeded and keeps what failed. */
function repeatedly(act: (round: number) => Promise<void>, every: number) {
  const seen = { done: 0, errors: [] as unknown[] };
  const end = new AbortController();
  const loop = (async () => {
    for (let round = 1; !end.signal.aborted; round += 1) {
      try {
        await act(round);
        seen.done += 1;
      } catch (error) {
        seen.errors.push(error);
      }
      await pause(every);
    }
  })();
  const stop = async (): Promise<typeof seen> => {
    end.abort();
    await loop;
    return seen;
  };
  atEnd(async () => void (await stop()));
  return { seen, stop };
}

/** Inserts one row after another through the write endpoint and keeps what was acknowledged. */
function writing(from: number) {
  const acknowledged: number[] = [];
  let session: Awaited<ReturnType<typeof cluster.session>> | undefined;
  const runs = repeatedly(async (round) => {
    if (!session || session.isCut()) session = await cluster.session("write", "odoo", "shop");
    await session.rows("INSERT INTO sale (id) VALUES ($1)", [from + round]);
    acknowledged.push(from + round);
  }, 1);
  return { acknowledged, stop: runs.stop };
}

const timeline = async (): Promise<unknown> =>
  await (await cluster.session("pg1")).value("SELECT timeline_id FROM pg_control_checkpoint()");

async function startOf(node: ClusterTarget): Promise<unknown> {
  return await (await cluster.session(node)).value("SELECT pg_postmaster_start_time()::text");
}

describe("kill -9 of a postmaster", () => {
  test("of the primary: it runs again on the same timeline, and nothing acknowledged is lost", async () => {
    const pid = cluster.postmaster("pg1");
    const before = await timeline();
    const writer = writing(1_000_000);
    await waitFor("some writes", () => writer.acknowledged.length > 20);
    process.kill(pid, "SIGKILL");
    const atKill = writer.acknowledged.length;
    await waitFor("writes to go on", () => writer.acknowledged.length > atKill + 20, { timeout: 20_000 });
    await writer.stop();
    expect(cluster.postmaster("pg1")).not.toBe(pid);
    expect(await timeline()).toBe(before);
    const shop = await cluster.session("write", "odoo", "shop");
    const rows = await shop.rows<{ id: string }>("SELECT id::text FROM sale WHERE id > 1000000");
    const present = new Set(rows.map(({ id }) => Number(id)));
    expect(writer.acknowledged.filter((id) => !present.has(id))).toEqual([]);
  });

  test("of the replica: reads go on, and it is back in the pool", async () => {
    const pid = cluster.postmaster("pg2");
    const primary = await startOf("pg1");
    const reads = repeatedly(async () => void (await tryReading()), 10);
    process.kill(pid, "SIGKILL");
    await waitFor("the replica to run again", () => !isAlive(pid) && cluster.postmaster("pg2") !== pid);
    await cluster.healthy();
    await waitFor("the replica to answer reads", async () => (await answering("read")) === "test/pg2");
    expect(await startOf("pg1")).toBe(primary);
    const { done, errors } = await reads.stop();
    // It is back within a second or so.
    expect(done).toBeGreaterThan(3);
    expect(errors.filter((error) => /ECONNREFUSED/.test(String(error)))).toEqual([]);
  });
});

describe("kill -9 of HAProxy", () => {
  test("of its master: both endpoints answer again within seconds", async () => {
    const pid = haproxy();
    process.kill(pid, "SIGKILL");
    await waitFor("another HAProxy", () => haproxy() !== pid && isAlive(haproxy()), { timeout: 10_000 });
    await waitFor("writes", async () => (await answering("write")) === "test/pg1", { timeout: 10_000 });
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2", {
      timeout: 10_000,
    });
  });

  test("of its worker: both endpoints answer again within seconds", async () => {
    const workers = childrenOf(haproxy());
    expect(workers.length).toBeGreaterThan(0);
    for (const worker of workers) process.kill(worker, "SIGKILL");
    await waitFor("writes", async () => (await answering("write")) === "test/pg1", { timeout: 10_000 });
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2", {
      timeout: 10_000,
    });
    await waitFor("the worker to be another one", () => workers.every((worker) => !isAlive(worker)));
  });
});

describe("a HAProxy that hangs", () => {
  test.each([
    ["master", () => haproxy()],
    ["worker", () => childrenOf(haproxy())[0] ?? 0],
  ] as const)("(its %s): it is ended after 10 s and restarted, and the log says so", async (_, which) => {
    const hung = which();
    process.kill(hung, "SIGSTOP");
    atEnd(() => {
      if (isAlive(hung)) process.kill(hung, "SIGCONT");
    });
    await waitFor("it to be ended", () => !isAlive(hung), { timeout: 30_000 });
    await waitFor("writes", async () => (await answering("write")) === "test/pg1", { timeout: 10_000 });
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2", {
      timeout: 10_000,
    });
    await cluster.healthy();
    expect(readFileSync(join(cluster.stateDir, "agent.log"), "utf8")).toMatch(
      new RegExp(`haproxy did not answer for 10 s: killed process(es)? .*\\b${hung}\\b`),
    );
  });

  test("while the agent is dead: the next up ends it and starts it anew", async () => {
    const [hung, agent] = [haproxy(), cluster.agent()];
    process.kill(agent, "SIGKILL");
    await waitFor("the agent to be gone", () => !isAlive(agent));
    process.kill(hung, "SIGSTOP");
    atEnd(() => {
      if (isAlive(hung)) process.kill(hung, "SIGCONT");
    });
    await cluster.up();
    expect(haproxy()).not.toBe(hung);
    await waitFor("it to be gone", () => !isAlive(hung));
    await cluster.healthy();
    expect(await answering("write")).toBe("test/pg1");
  });
});

describe("kill -9 of the agent", () => {
  test("stops neither endpoint nor a session of the write endpoint; the next up adopts what runs", async () => {
    const session = await cluster.session("write", "odoo");
    const pids = (): readonly number[] => [cluster.postmaster("pg1"), cluster.postmaster("pg2"), haproxy()];
    const before = pids();
    const agent = cluster.agent();
    process.kill(agent, "SIGKILL");
    await waitFor("the agent to be gone", () => !isAlive(agent));
    // Nobody vouches for the replica now: reads come to the primary.
    await waitFor("reads from the primary", async () => (await answering("read")) === "test/pg1");
    expect(await answering("write")).toBe("test/pg1");
    expect(await session.value("SELECT 1")).toBe(1);
    const status = await cluster.status();
    expect(status.verdict).not.toBe("ok");
    expect(status.agent.running).toBe(false);

    await cluster.up();
    expect(pids()).toEqual(before);
    expect(cluster.agent()).not.toBe(agent);
    expect(await session.value("SELECT 1")).toBe(1);
    await cluster.healthy();
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2");
  });

  test("with the write endpoint closed: clients that wait are served before a changed configuration is loaded", async () => {
    const agent = cluster.agent();
    process.kill(agent, "SIGKILL");
    await waitFor("the agent to be gone", () => !isAlive(agent));
    // As when it died in the middle of a switchover.
    await setServerState(join(cluster.stateDir, "run", "haproxy.sock"), writeServer("pg1"), "maint");
    const waiting = cluster.session("write", "odoo");
    cluster.configure({ endpoints: { read: { port: cluster.ports.spare } } });
    await cluster.up();
    expect(await (await waiting).value("SHOW cluster_name")).toBe("test/pg1");
    cluster.configure({});
    await cluster.up();
  });

  test("and of everything at once: the next up brings all back with the same data", async () => {
    const identifier = async (): Promise<unknown> =>
      await (await cluster.session("pg1")).value("SELECT system_identifier::text FROM pg_control_system()");
    const rows = async (): Promise<unknown> =>
      await (await cluster.session("pg1", "postgres", "shop")).value("SELECT count(*)::int FROM sale");
    const [before, count] = [await identifier(), await rows()];
    const all = [cluster.agent(), haproxy(), cluster.postmaster("pg2"), cluster.postmaster("pg1")];
    for (const pid of all) process.kill(pid, "SIGKILL");
    await waitFor("all to be gone", () => all.every((pid) => !isAlive(pid)));
    await cluster.up();
    await cluster.healthy();
    expect(await identifier()).toBe(before);
    expect(await rows()).toBe(count);
    expect(await (await cluster.session("pg2")).value("SELECT pg_is_in_recovery()")).toBe(true);
  });
});

describe("a replica that stops", () => {
  test("by SIGSTOP: reads go to the primary, and come back with it", async () => {
    const postmaster = cluster.postmaster("pg2");
    const stopped = [postmaster, ...childrenOf(postmaster)];
    atEnd(() => {
      for (const pid of stopped) if (isAlive(pid)) process.kill(pid, "SIGCONT");
    });
    for (const pid of stopped) process.kill(pid, "SIGSTOP");
    await waitFor("reads from the primary", async () => (await answering("read")) === "test/pg1", {
      timeout: 15_000,
    });
    const status = await cluster.status();
    expect(status.nodes.find(({ name }) => name === "pg2")?.state).toContain("unreachable");
    expect(status.verdict).not.toBe("ok");
    expect(await answering("write")).toBe("test/pg1");
    for (const pid of stopped) if (isAlive(pid)) process.kill(pid, "SIGCONT");
    await cluster.healthy();
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2");
    expect(cluster.postmaster("pg2")).toBe(postmaster);
  });

  test("replaying: it leaves beyond max_lag, its sessions are cut, it comes back, and no connection is refused", async () => {
    const replica = await cluster.session("pg2");
    const onReplica = await cluster.session("read", "odoo");
    expect(await onReplica.value("SHOW cluster_name")).toBe("test/pg2");
    const answers = { "test/pg1": 0, "test/pg2": 0 };
    const reads = repeatedly(async () => {
      const name = await tryReading();
      if (name === "test/pg1" || name === "test/pg2") answers[name] += 1;
    }, 10);
    await replica.rows("SELECT pg_wal_replay_pause()");
    atEnd(async () => void (await replica.rows("SELECT pg_wal_replay_resume()").catch(() => {})));
    const shop = await cluster.session("write", "odoo", "shop");
    await shop.rows(
      "INSERT INTO sale SELECT id, repeat(md5(id::text), 60) FROM generate_series(1, 3000) AS id",
    );
    await waitFor("the session on the replica to be cut", () => onReplica.isCut(), { timeout: 15_000 });
    await waitFor("reads from the primary", async () => (await answering("read")) === "test/pg1");
    const { nodes } = await cluster.status();
    expect(nodes.find(({ name }) => name === "pg2")).toMatchObject({ in_pool: false });
    await replica.rows("SELECT pg_wal_replay_resume()");
    await cluster.healthy();
    await waitFor("reads from the replica", async () => (await answering("read")) === "test/pg2");
    const { errors } = await reads.stop();
    expect(errors).toEqual([]);
    expect(answers["test/pg1"]).toBeGreaterThan(0);
    expect(answers["test/pg2"]).toBeGreaterThan(0);
  });
});
