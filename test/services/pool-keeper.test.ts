import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parseLsn } from "../../src/model/lsn.ts";
import { PoolHolder } from "../../src/services/pool-holder.ts";
import { PoolKeeper, type PoolSight } from "../../src/services/pool-keeper.ts";
import { connect, type Session } from "../../src/system/sql/sql.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { isAlive } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;

beforeAll(async () => {
  cluster = await throwawayCluster({
    config: { postgres: { parameters: { synchronous_commit: "remote_apply" } } },
  });
  await cluster.up();
  await cluster.healthy();
  // Its servers alone are needed: the agent has a pool of its own.
  const agent = cluster.agent();
  process.kill(agent, "SIGTERM");
  await waitFor("the agent to end", () => !isAlive(agent));
});

async function use<T>(act: (session: Session) => Promise<T>): Promise<T> {
  const session = await connect(cluster.superuser());
  try {
    return await act(session);
  } finally {
    await session.close();
  }
}

async function value(statement: string): Promise<string> {
  return await use(async (session) => String(Object.values((await session.query(statement))[0] ?? {})[0]));
}

/** Has the primary refuse replication to all: the one replica comes from where all come from. */
async function refuse(names: readonly string[]): Promise<void> {
  const file = join(cluster.stateDir, "nodes/pg1/pg_hba.conf");
  const line = "host replication replicator all reject\nlocal replication replicator reject\n";
  const rules = readFileSync(file, "utf8").replace(line, "");
  writeFileSync(file, names.length ? line + rules : rules);
  await use(async (session) => await session.query("SELECT pg_reload_conf()"));
}

async function sight(eligible: readonly string[]): Promise<PoolSight> {
  const replayed = await value(
    "SELECT coalesce(max(replay_lsn)::text, '0/0') FROM pg_stat_replication WHERE application_name = 'pg2'",
  );
  return {
    eligible: new Set(eligible),
    replayed: new Map([["pg2", parseLsn(replayed)]]),
    start: await value("SELECT pg_postmaster_start_time()"),
  };
}

test("a replica comes onto the list, into the pool, out of it, and off the list when nobody reads from it any more", async () => {
  let promotable = new Set(["pg2"]);
  const keeper = new PoolKeeper(
    {
      name: "pg1",
      dataDir: join(cluster.stateDir, "nodes/pg1/data"),
      use,
      refuse,
      promotable: async () => await Promise.resolve(promotable),
    },
    () => {},
  );
  const holder = new PoolHolder();
  const ask = (): void => {
    const grant = keeper.answer({ ...holder.question, from: "app" });
    if (grant) holder.take(grant, performance.now());
  };
  const list = async (): Promise<string> => await value("SHOW synchronous_standby_names");

  ask();
  expect(holder.pool().names).toEqual([]);

  await keeper.begin(1);
  keeper.mayReign(Number.MAX_SAFE_INTEGER);
  await waitFor("pg2 to be granted", async () => {
    await keeper.step(await sight(["pg2"]));
    ask();
    return holder.serves("pg2");
  });
  expect(await list()).toBe('1 ("pg2")');

  // It is unfit from now on: commits wait for it until its readers are gone, and Patroni has let go of it.
  await keeper.step(await sight([]));
  expect(await list()).toBe('1 ("pg2")');
  expect(await value("SELECT count(*) FROM pg_stat_replication")).toBe("0");
  ask();
  expect(holder.serves("pg2")).toBe(false);
  holder.led(holder.pool());
  ask();
  const until = performance.now() + 3000;
  while (performance.now() < until) {
    await keeper.step(await sight([]));
    expect(await list(), "Patroni may still promote it").toBe('1 ("pg2")');
  }
  // Something lets it in again while it leaves: it is ended again, as it could be waited for by nobody and promoted.
  const senders = async (): Promise<string> => await value("SELECT count(*) FROM pg_stat_replication");
  await refuse([]);
  await waitFor("pg2 to stream while it leaves", async () => (await senders()) === "1");
  await refuse(["pg2"]);
  await keeper.step(await sight([]));
  expect(await senders()).toBe("0");
  promotable = new Set();
  await waitFor("commits to be released", async () => {
    await keeper.step(await sight([]));
    return (await list()) === "";
  });
  await use(async (session) => await session.query("CREATE TABLE released ()"));

  // It replicates again, and comes back.
  await waitFor(
    "pg2 to stream",
    async () => (await value("SELECT count(*) FROM pg_stat_replication")) === "1",
  );
  await waitFor("pg2 to be granted again", async () => {
    await keeper.step(await sight(["pg2"]));
    ask();
    return holder.serves("pg2");
  });

  keeper.end();
  expect(keeper.answer({ from: "app", applied: undefined })).toBeUndefined();
  await use(async (session) => {
    await session.query("ALTER SYSTEM RESET synchronous_standby_names");
    await session.query("SELECT pg_reload_conf()");
  });
});
