import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "pg";
import { processesOf, signalAll, withReplicated, type Replicated } from "./replicated.ts";
import { type Benchmark, table } from "./table.ts";

const PAIRS = 20_000;
const PLAIN_PAIRS = 2000;
const CLIENTS = 8;
/** A reader reconnects after so many pairs, so that most reads come from replicas although these come and go. */
const PAIRS_PER_CONNECTION = 25;
/** Milliseconds between two pairs of a client while replicas fail: the pairs spread over all failures. */
const BETWEEN_PAIRS = 20;
/** Milliseconds that a replica is left in its state. */
const FAILING = 4000;

interface Count {
  pairs: number;
  stale: number;
  byReplica: number;
  /** Connections that were cut or refused: the client connects again and repeats. */
  errors: number;
  /** Milliseconds. */
  longestWrite: number;
}

/**
 * Writes through the write endpoint, each followed by a read through the read endpoint: how many reads miss their
 * write.
 */
async function countStaleReads(cluster: Replicated, pairs: number, between: number): Promise<Count> {
  const { read, write } = cluster.ports;
  const admin = await cluster.connect(write);
  await admin.query("CREATE DATABASE stale");
  await admin.end();
  const maker = await cluster.connect(write, "odoo", "stale");
  await maker.query("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)");
  await maker.query("INSERT INTO counter SELECT id, 0 FROM generate_series(1, $1) id", [CLIENTS]);
  await maker.end();
  await cluster.healthy();

  const sum: Count = { pairs: 0, stale: 0, byReplica: 0, errors: 0, longestWrite: 0 };
  let left = pairs;
  const client = async (id: number): Promise<void> => {
    let writer: Client | undefined;
    let reader: Client | undefined;
    const again = async (session: Client | undefined): Promise<undefined> => {
      sum.errors += 1;
      await session?.end().catch(() => {});
      await pause(10);
      return undefined;
    };
    const update = async (): Promise<number> => {
      for (;;) {
        try {
          writer ??= await cluster.connect(write, "odoo", "stale");
          const start = performance.now();
          const { rows } = await writer.query<{ n: number }>(
            "UPDATE counter SET n = n + 1 WHERE id = $1 RETURNING n",
            [id],
          );
          sum.longestWrite = Math.max(sum.longestWrite, performance.now() - start);
          return rows[0]?.n ?? 0;
        } catch {
          writer = await again(writer);
        }
      }
    };
    const select = async (): Promise<{ n: number; replica: boolean }> => {
      for (;;) {
        try {
          reader ??= await cluster.connect(read, "odoo", "stale");
          const { rows } = await reader.query<{ n: number; replica: boolean }>(
            "SELECT n, pg_is_in_recovery() AS replica FROM counter WHERE id = $1",
            [id],
          );
          return rows[0] ?? { n: -1, replica: false };
        } catch {
          reader = await again(reader);
        }
      }
    };
    for (let round = 1; left > 0; round += 1) {
      left -= 1;
      const written = await update();
      const { n, replica } = await select();
      sum.pairs += 1;
      if (n < written) sum.stale += 1;
      if (replica) sum.byReplica += 1;
      if (round % PAIRS_PER_CONNECTION === 0) {
        await reader?.end().catch(() => {});
        reader = undefined;
      }
      if (between > 0) await pause(between);
    }
    await writer?.end().catch(() => {});
    await reader?.end().catch(() => {});
  };
  await Promise.all(Array.from({ length: CLIENTS }, async (_, index) => await client(index + 1)));
  return sum;
}

type Failure = (cluster: Replicated, node: "pg2" | "pg3") => Promise<void>;

const failures: readonly Failure[] = [
  // eslint-disable-next-line require-await
  async (cluster, node) => signalAll([cluster.postmaster(node)], "SIGKILL"),
  async (cluster, node) => {
    const all = processesOf(cluster.postmaster(node));
    signalAll(all, "SIGSTOP");
    await pause(FAILING);
    signalAll(all, "SIGCONT");
  },
  async (cluster, node) => {
    await cluster.value(node, "SELECT pg_wal_replay_pause()");
    await pause(FAILING);
    await cluster.value(node, "SELECT pg_wal_replay_resume()");
  },
];

/** Lets the replicas fail, one after another in each way, until `over`; returns how often. */
async function letReplicasFail(cluster: Replicated, over: () => boolean): Promise<number> {
  let count = 0;
  while (!over()) {
    const node = count % 2 === 0 ? "pg2" : "pg3";
    await failures[Math.floor(count / 2) % failures.length]?.(cluster, node);
    count += 1;
    await pause(1000);
    await cluster.healthy();
  }
  return count;
}

export const staleReads: Benchmark = {
  name: "stale-reads",
  title: "Reads that miss an acknowledged write",
  async measure(program) {
    const plain = await withReplicated(
      program,
      { nodes: 3, consistency: "eventual" },
      async (cluster) => await countStaleReads(cluster, PLAIN_PAIRS, 0),
    );
    let failed = 0;
    const ours = await withReplicated(
      program,
      { nodes: 3, consistency: "read-your-writes" },
      async (cluster) => {
        let finished = false;
        const [count, times] = await Promise.all([
          countStaleReads(cluster, PAIRS, BETWEEN_PAIRS).finally(() => {
            finished = true;
          }),
          letReplicasFail(cluster, () => finished),
        ]);
        failed = times;
        return count;
      },
    );
    const row = (name: string, count: Count): string[] => [
      name,
      String(count.pairs),
      String(count.stale),
      String(count.byReplica),
      String(count.errors),
      `${(count.longestWrite / 1000).toFixed(2)} s`,
    ];
    return [
      `${CLIENTS} clients write through the write endpoint, then read the same row through the read endpoint, with two replicas. The plain`,
      `recipe (consistency \`eventual\`) ran undisturbed. With \`read-your-writes\` replicas were killed, stopped (SIGSTOP), had`,
      `their replay paused, and were brought back: ${failed} times.`,
      "",
      table(
        ["", "pairs", "stale reads", "read from a replica", "cut connections", "longest write"],
        [row("eventual, undisturbed", plain), row("read-your-writes, with failing replicas", ours)],
      ),
    ].join("\n");
  },
};
