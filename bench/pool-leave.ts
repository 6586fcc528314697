import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { withReplicated, type Replicated } from "./replicated.ts";
import { type Benchmark, table } from "./table.ts";

const TIMES = 5;
const MAX_LAG = 4 * 1024 * 1024;
/** Milliseconds between two new clients. */
const EVERY = 10;

/** Clients of the read endpoint: each asks which node answers, and leaves. */
function visitors(cluster: Replicated) {
  const answers: { at: number; node: string }[] = [];
  const errors: unknown[] = [];
  const under = new Set<Promise<void>>();
  const password = cluster.password("odoo");
  const visit = async (): Promise<void> => {
    const client = new Client({
      host: "127.0.0.1",
      port: cluster.ports.read,
      user: "odoo",
      password,
      database: "postgres",
    });
    client.on("error", () => {});
    try {
      await client.connect();
      const { rows } = await client.query<{ cluster_name: string }>("SHOW cluster_name");
      answers.push({ at: performance.now(), node: rows[0]?.cluster_name ?? "" });
    } catch (error) {
      errors.push(error);
    }
    await client.end().catch(() => {});
  };
  const timer = setInterval(() => {
    if (under.size >= 50) return;
    const one = visit().finally(() => under.delete(one));
    under.add(one);
  }, EVERY);
  return {
    answers,
    errors,
    async stop() {
      clearInterval(timer);
      await Promise.all(under);
    },
  };
}

/** How soon the read endpoint no longer routes to a replica that is too far behind. */
export const poolLeave: Benchmark = {
  name: "pool",
  title: "A replica that falls behind leaves the read endpoint",
  measure: async (program) =>
    await withReplicated(program, { nodes: 2, consistency: "bounded", maxLag: "4MB" }, async (cluster) => {
      await cluster.value("pg1", "CREATE TABLE filler (text text)");
      await cluster.healthy();
      const writer = await cluster.connect(cluster.ports.node("pg1"), "postgres");
      const clients = visitors(cluster);
      const left: number[] = [];
      const cut: number[] = [];
      for (let time = 0; time < TIMES; time += 1) {
        const session = await cluster.connect(cluster.ports.read);
        let ended: number | undefined;
        session.on("end", () => {
          ended ??= performance.now();
        });
        await cluster.value("pg2", "SELECT pg_wal_replay_pause()");
        const { rows } = await writer.query<{ lsn: string }>("SELECT pg_current_wal_lsn()::text AS lsn");
        let behind = 0;
        while (behind <= MAX_LAG) {
          await writer.query(
            "INSERT INTO filler SELECT repeat(md5(id::text), 60) FROM generate_series(1, 300) id",
          );
          const now = await writer.query<{ behind: string }>(
            "SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::text AS behind",
            [rows[0]?.lsn],
          );
          behind = Number(now.rows[0]?.behind);
        }
        const exceeded = performance.now();
        await pause(4000);
        const last = clients.answers.findLast(({ node }) => node === "bench/pg2")?.at ?? exceeded;
        left.push(Math.max(0, last - exceeded));
        cut.push((ended ?? Number.POSITIVE_INFINITY) - exceeded);
        await cluster.value("pg2", "SELECT pg_wal_replay_resume()");
        await cluster.healthy();
        await session.end().catch(() => {});
      }
      await clients.stop();
      await writer.end();
      const cells = (times: readonly number[]): string[] => [
        times.map((value) => `${(value / 1000).toFixed(2)} s`).join(", "),
        `${(Math.max(...times) / 1000).toFixed(2)} s`,
      ];
      return [
        "Replay is paused on the only replica, and more than `max_lag` (4 MB) is written. Times count from the moment at which",
        `the limit is exceeded. Meanwhile a new client connects every ${EVERY} ms.`,
        "",
        table(
          [`${TIMES} times`, "each", "worst"],
          [
            ["last new session on the replica", ...cells(left)],
            ["open session on the replica cut", ...cells(cut)],
            ["connections refused or broken", `${clients.errors.length} of ${clients.answers.length}`, ""],
          ],
        ),
      ].join("\n");
    }),
};
