import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { describe, expect, test } from "vitest";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { figure, seconds } from "./figures.ts";
import { scenario } from "./scenario.ts";

/**
 * Milliseconds within which commits must go on: below PostgreSQL's own timeouts of 10 s, so that nothing but the agent
 * can have released them. What is promised is 3 s; the figure says what it was.
 */
const RELEASED = 8000;
/** Pairs on one connection of the reader; then it connects anew, so that it comes back to a replica that is back. */
const PAIRS_PER_CONNECTION = 10;

/** Clients that write through the write endpoint and look for what they wrote through the read endpoint. */
async function pairs(cluster: ThrowawayCluster, clients: number) {
  const seen = { pairs: 0, stale: 0, byReplica: 0 };
  const ending = new AbortController();
  const open = async (port: number): Promise<Client> => {
    const client = new Client({
      host: "127.0.0.1",
      port,
      user: "odoo",
      password: cluster.password("odoo"),
      database: "pairs",
      query_timeout: 20_000,
    });
    client.on("error", () => {});
    await client.connect();
    return client;
  };
  const admin = await cluster.session("write", "odoo");
  await admin.rows("CREATE DATABASE pairs");
  await admin.close();
  const maker = await cluster.session("write", "odoo", "pairs");
  await maker.rows("CREATE TABLE pair AS SELECT id, 0 AS n FROM generate_series(1, 100) AS id");
  await maker.close();
  const client = async (id: number): Promise<void> => {
    let writer: Client | undefined;
    let reader: Client | undefined;
    for (let round = 1; !ending.signal.aborted; round += 1) {
      try {
        writer ??= await open(cluster.ports.write);
        const { rows } = await writer.query<{ n: number }>(
          "UPDATE pair SET n = n + 1 WHERE id = $1 RETURNING n",
          [id],
        );
        const written = rows[0]?.n ?? 0;
        reader ??= await open(cluster.ports.read);
        const answer = await reader.query<{ n: number; replica: boolean }>(
          "SELECT n, pg_is_in_recovery() AS replica FROM pair WHERE id = $1",
          [id],
        );
        seen.pairs += 1;
        if ((answer.rows[0]?.n ?? -1) < written) seen.stale += 1;
        if (answer.rows[0]?.replica === true) seen.byReplica += 1;
        if (round % PAIRS_PER_CONNECTION === 0) {
          await reader.end();
          reader = undefined;
        }
      } catch {
        for (const one of [writer, reader]) void one?.end().catch(() => {});
        writer = undefined;
        reader = undefined;
        await pause(10);
      }
    }
    for (const one of [writer, reader]) void one?.end().catch(() => {});
  };
  const loops = Array.from({ length: clients }, async (_, index) => await client(index + 1));
  const stop = async (): Promise<typeof seen> => {
    ending.abort();
    await Promise.all(loops);
    return seen;
  };
  atEnd(async () => void (await stop()));
  return { seen, stop };
}

/** kill -9 of a session: the postmaster ends all other processes and recovers, without an end of its own. */
async function crashSession(cluster: ThrowawayCluster): Promise<void> {
  const victim = await cluster.session("pg1", "odoo");
  process.kill(Number(await victim.value("SELECT pg_backend_pid()")), "SIGKILL");
}

describe("read-your-writes", () => {
  test("no read is stale while the agent, the replica and the primary fail in turn", async () => {
    const { cluster, node, step, until, succeeds, healthy, value } = await scenario({
      consistency: "read-your-writes",
    });
    const { seen, stop } = await pairs(cluster, 4);
    const more = async (): Promise<void> => {
      const { pairs: before } = seen;
      await until("more pairs", () => seen.pairs > before + 50);
    };
    const fromReplica = async (): Promise<void> => {
      const { byReplica: before } = seen;
      await until("reads from the replica", () => seen.byReplica > before + 20);
    };
    await fromReplica();
    await step("kill -9 of the agent", async () => {
      const agent = cluster.agent();
      process.kill(agent, "SIGKILL");
      await until("it to be gone", () => !isAlive(agent));
      await more();
      const session = await cluster.session("read", "odoo");
      await until("reads from the primary", async () => {
        const again = await cluster.session("read", "odoo");
        const name = await again.value("SHOW cluster_name");
        await again.close();
        return name === "test/pg1";
      });
      await session.close();
      await more();
      await succeeds("up");
      await healthy();
      await fromReplica();
    });
    for (const [what, act, undo] of [
      ["freeze", () => node("pg2").freeze(), () => node("pg2").thaw()],
      ["cut the link", () => node("pg2").cutLink(), () => node("pg2").mendLink()],
      [
        "pause replay",
        async () => await value("pg2", "SELECT pg_wal_replay_pause()"),
        async () => await value("pg2", "SELECT pg_wal_replay_resume()"),
      ],
      ["kill -9", async () => await node("pg2").killPostmaster(), () => {}],
      ["kill -9 of the primary", async () => await node("pg1").killPostmaster(), () => {}],
      ["crash of a session on the primary", async () => await crashSession(cluster), () => {}],
    ] as const) {
      await step(what, async () => {
        await act();
        await more();
        await undo();
        await healthy();
        await fromReplica();
      });
    }
    const result = await stop();
    expect(result.stale).toBe(0);
    figure(
      "Reads after writes while agent and replica fail (read-your-writes)",
      "0 stale reads",
      `0 of ${result.pairs} stale, ${result.byReplica} of them read from the replica`,
    );
  });

  test("a dead replica holds up commits for less than the bound, and a dead agent changes nothing", async () => {
    const { cluster, node, writing, step, until, succeeds, healthy } = await scenario({
      consistency: "read-your-writes",
    });
    const ledger = await writing();
    await step("the replica is frozen", () => node("pg2").freeze());
    await step("writes go on", async () => await ledger.goesOn(RELEASED));
    const gap = ledger.longestGap();
    await step("the replica goes on", () => node("pg2").thaw());
    await healthy();
    await step("kill -9 of the agent", async () => {
      const agent = cluster.agent();
      process.kill(agent, "SIGKILL");
      await until("it to be gone", () => !isAlive(agent));
      await ledger.goesOn();
    });
    await succeeds("up");
    await healthy();
    await ledger.proveNothingLost();
    figure(
      "A replica frozen under load (read-your-writes)",
      "commits wait less than 3 s",
      `${seconds(gap)} at most`,
    );
  });

  test("without an agent a dead replica stalls writes, status says so, and the next up releases them", async () => {
    const { cluster, node, writing, step, until, succeeds, warned, healthy } = await scenario({
      consistency: "read-your-writes",
    });
    const ledger = await writing();
    const agent = cluster.agent();
    await step("kill -9 of the agent", async () => {
      process.kill(agent, "SIGKILL");
      await until("it to be gone", () => !isAlive(agent));
    });
    await step("the replica is frozen", () => node("pg2").freeze());
    await warned("agent_not_running", null);
    const stalled = ledger.commits.length;
    const up = cluster.start(["up"]);
    await step("writes go on", async () => await ledger.goesOn());
    expect(ledger.commits.length).toBeGreaterThan(stalled);
    await step("the replica goes on", () => node("pg2").thaw());
    await step("up names the replica", async () =>
      expect((await up.ended).stderr).toContain("Node pg2 does not answer"),
    );
    await succeeds("up");
    await healthy();
    await ledger.proveNothingLost();
  });
});

describe("What a replica's place in the pool was proven for", () => {
  test("ends with the crash of a session, which the server's start time does not tell", async () => {
    const { cluster, step, until, healthy, value, answering } = await scenario({
      consistency: "read-your-writes",
    });
    const started = await value("pg1", "SELECT pg_postmaster_start_time()::text");
    const loaded = await value("pg1", "SELECT pg_conf_load_time()::text");
    const agent = cluster.agent();
    await step("a session crashes while the agent does not look", async () => {
      process.kill(agent, "SIGSTOP");
      atEnd(() => {
        if (isAlive(agent)) process.kill(agent, "SIGCONT");
      });
      await crashSession(cluster);
      const streams = "SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming')";
      await until("the replica to stream again", async () => (await value("pg1", streams)) === true);
      process.kill(agent, "SIGCONT");
    });
    // The proof begins with the primary's reading its configuration.
    await until(
      "the proof to be made anew",
      async () => (await value("pg1", "SELECT pg_conf_load_time()::text")) !== loaded,
    );
    await healthy();
    await until("reads from the replica", async () => (await answering("read")) === "pg2");
    expect(await value("pg1", "SELECT pg_postmaster_start_time()::text")).toBe(started);
  });

  test("ends when somebody overrules what commits wait for, and status says how to take it back", async () => {
    const { cluster, step, until, succeeds, healthy, value, warned } = await scenario({
      consistency: "read-your-writes",
    });
    const undo = async (next: string): Promise<void> => {
      const statements = [...next.matchAll(/-c '([^']+)'/g)].flatMap(([, statement = ""]) => [
        "-c",
        statement,
      ]);
      await succeeds("psql", "--", ...statements);
    };
    for (const overrule of [
      "ALTER SYSTEM SET synchronous_commit = off",
      "ALTER SYSTEM SET synchronous_standby_names = ''",
    ]) {
      await step(overrule, async () => {
        await value("pg1", overrule);
        await value("pg1", "SELECT pg_reload_conf()");
        const { next } = await warned("commits_do_not_wait", null);
        await until("nobody in the pool", async () => !(await cluster.status()).endpoints.read.pool.length);
        await undo(next);
        await healthy();
      });
    }
    await step("ALTER ROLE", async () => {
      await value("pg1", "ALTER ROLE odoo SET synchronous_commit = local");
      // Looked at once a minute, or when the server has read its files.
      await value("pg1", "SELECT pg_reload_conf()");
      const { message, next } = await warned("commits_do_not_wait", null);
      expect(message).toContain('role "odoo"');
      expect((await cluster.status()).endpoints.read.pool).toEqual(["pg2"]);
      await undo(next);
      await value("pg1", "SELECT pg_reload_conf()");
      await healthy();
    });
  });
});

describe("11. The primary and its synchronous replica die together", () => {
  test("the survivor that lags is promoted only by a word that accepts the loss, which is named", async () => {
    const { node, writing, step, until, refuses, succeeds, value, cluster } = await scenario({
      nodes: 3,
      consistency: "read-your-writes",
    });
    const ledger = await writing();
    await step("pg3 falls behind", () => node("pg3").cutLink());
    await until("pg3 out of the pool", async () =>
      (await cluster.status()).endpoints.read.pool.every((name) => name !== "pg3"),
    );
    // What lies in the buffers of a link that is cut, its receiver still reads afterwards: more is written than they hold.
    const odoo = await cluster.session("write", "odoo");
    await odoo.rows("CREATE DATABASE shop");
    await odoo.close();
    const filler = await cluster.session("write", "odoo", "shop");
    await filler.rows("CREATE TABLE filler AS SELECT md5(id::text) FROM generate_series(1, 600000) AS id");
    await filler.close();
    // Rows that the survivor lacks in any case, some of them seen by the agent.
    const { length: before } = ledger.commits;
    await until("the agent to see how far pg3 is behind, and many more rows", async () => {
      await ledger.goesOn();
      const pg3 = (await cluster.status()).nodes.find(({ name }) => name === "pg3");
      return ledger.commits.length > before + 300 && (pg3?.lag_bytes ?? 0) > 32_000_000;
    });
    await step("pg1 and pg2 are gone with their disks", async () => {
      await Promise.all([node("pg1").lose(), node("pg2").lose()]);
    });
    await ledger.close();
    node("pg3").mendLink();
    const said = await step("promote", async () => await refuses("refused", "promote", "pg3"));
    expect(said).toMatch(/pg3 lacked [\d.]+ (kB|MB|B), about \d+ s of writes/);
    expect(await value("pg3", "SELECT pg_is_in_recovery()")).toBe(true);
    await refuses("confirmation_missing", "promote", "pg3", "--allow-data-loss");
    await succeeds("promote", "pg3", "--allow-data-loss", "--confirm", "test");
    expect(await value("pg3", "SELECT pg_is_in_recovery()")).toBe(false);
    const missing = await ledger.missing();
    expect(missing.length).toBeGreaterThan(0);
    const loss = /pg3 lacked ([\d.]+ \w+, about \d+ s of writes)/.exec(said)?.[1] ?? "?";
    figure(
      "11. Primary and synchronous replica die together, three nodes",
      "the lagging survivor is not promoted without --allow-data-loss --confirm, which names how much",
      `refused, naming ${loss}; promoted with it (${missing.length} of ${ledger.commits.length} rows lost)`,
    );
  });
});
