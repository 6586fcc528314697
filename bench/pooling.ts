import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "pg";
import {
  pgbenchWith,
  preparePgbench,
  processesOf,
  withReplicated,
  type Encryption,
  type Replicated,
} from "./replicated.ts";
import { type Benchmark, median, table } from "./table.ts";

const ROUNDS = 5;
/** Seconds of a run, and of one with more clients than ever work at once: connecting takes some of them. */
const SECONDS = 6;
const MANY_SECONDS = 30;
const FEW = 32;
const MANY = 300;
/** At least as many branches as clients: few wait for each other's rows. */
const SCALE = 50;
const IDLE = 300;
const CLIENTS = 8;
const SWITCHOVERS = 20;

/** More than the clients of any round: without pooling each is a session of the server. */
const PARAMETERS = { max_connections: "400" };

/** Private memory of processes in bytes, with their share of shared memory. */
function memoryOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      const kilobytes = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
      return sum + Number(kilobytes ?? 0) * 1024;
    } catch {
      return sum;
    }
  }, 0);
}

function poolersOf({ stateDir }: Replicated): readonly number[] {
  const folder = join(stateDir, "pgbouncer");
  try {
    return readdirSync(folder)
      .filter((name) => name.endsWith(".process.json"))
      .map((name): unknown => JSON.parse(readFileSync(join(folder, name), "utf8")))
      .map((record) => Number(Reflect.get(Object(record), "pid")));
  } catch {
    return [];
  }
}

/** The cost of sessions that have run one statement and idle since, as Odoo's do. */
async function idleSessions(cluster: Replicated): Promise<readonly string[]> {
  const before = memoryOf([...processesOf(cluster.postmaster("pg1")), ...poolersOf(cluster)]);
  const clients: Client[] = [];
  for (let count = 0; count < IDLE; count += 1) {
    const client = await cluster.connect(cluster.ports.write, "odoo", "pgbench");
    await client.query("SELECT count(*) FROM pgbench_branches");
    clients.push(client);
  }
  const sessions = await cluster.value(
    "pg1",
    "SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'odoo' AND backend_type = 'client backend'",
  );
  const after = memoryOf([...processesOf(cluster.postmaster("pg1")), ...poolersOf(cluster)]);
  await Promise.all(clients.map(async (client) => await client.end()));
  return [String(sessions), `${((after - before) / 1024 / 1024).toFixed(0)} MB`];
}

/** Clients in short transactions while the primary switches over and back. */
async function switchovers(cluster: Replicated): Promise<readonly string[]> {
  const maker = await cluster.connect(cluster.ports.write, "odoo", "pgbench");
  await maker.query("CREATE TABLE ledger (client int, n int, PRIMARY KEY (client, n))");
  await maker.end();
  const ending = new AbortController();
  let [done, failed, longest] = [0, 0, 0];
  const loops = Array.from({ length: CLIENTS }, async (_, client) => {
    let session: Client | undefined;
    for (let n = 1; !ending.signal.aborted; n += 1) {
      const start = performance.now();
      try {
        session ??= await cluster.connect(cluster.ports.write, "odoo", "pgbench");
        await session.query("BEGIN");
        await session.query("INSERT INTO ledger VALUES ($1, $2)", [client, n]);
        await session.query("SELECT count(*) FROM ledger WHERE client = $1 AND n > $2", [client, n - 10]);
        await session.query("COMMIT");
        done += 1;
      } catch {
        failed += 1;
        await session?.end().catch(() => {});
        session = undefined;
      }
      longest = Math.max(longest, performance.now() - start);
      await pause(2);
    }
    await session?.end();
  });
  for (let time = 0; time < SWITCHOVERS; time += 1) {
    await pause(500);
    await cluster.run("switchover", "--to", time % 2 === 0 ? "pg2" : "pg1");
    await cluster.healthy();
  }
  ending.abort();
  await Promise.all(loops);
  return [`${failed} of ${done + failed}`, `${(longest / 1000).toFixed(2)} s`];
}

const SCRIPTS = {
  "tpcb-like": "five statements and a commit",
  "simple-update": "three statements and a commit",
  "select-only": "one statement that reads",
} as const;

/** Two clusters side by side: one whose clients have sessions of their own, and one that pools. */
async function sideBySide(
  program: string,
  compare: (direct: Replicated, pooled: Replicated) => Promise<string>,
): Promise<string> {
  const shape = { nodes: 2, consistency: "bounded", parameters: PARAMETERS } as const;
  return await withReplicated(
    program,
    { ...shape, pooling: "none" },
    async (direct) =>
      await withReplicated(program, { ...shape, pooling: "transaction" }, async (pooled) => {
        for (const side of [direct, pooled]) await preparePgbench(side, SCALE);
        return await compare(direct, pooled);
      }),
  );
}

/** A row of transactions a second: own sessions, pooled, and their ratio. */
async function row(
  sides: readonly [Replicated, Replicated],
  clients: number,
  script: keyof typeof SCRIPTS,
  encryption: Encryption,
): Promise<string[]> {
  const measured: [number[], number[]] = [[], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, side] of sides.entries())
      measured[index]?.push(
        await pgbenchWith(
          clients,
          encryption,
          side,
          side.ports.write,
          clients === MANY ? MANY_SECONDS : SECONDS,
          `--builtin=${script}`,
        ),
      );
  }
  const [without, withPooling] = measured.map(median);
  return [
    `${clients} clients, ${SCRIPTS[script]}, ${encryption === "require" ? "TLS" : "no TLS"}`,
    without?.toFixed(0) ?? "",
    withPooling?.toFixed(0) ?? "",
    ((withPooling ?? 0) / (without ?? 1)).toFixed(2),
  ];
}

const COLUMNS = [
  `transactions a second, median of ${ROUNDS}`,
  "own sessions",
  "pooled",
  "pooled / own",
] as const;

/** The cost of pooling where clients are few, compared with HAProxy alone. */
export const pooling: Benchmark = {
  name: "pooling",
  title: "Pooled transactions against sessions of their own",
  measure: async (program) =>
    await sideBySide(program, async (...sides) => {
      const rows: string[][] = [];
      for (const encryption of ["require", "disable"] as const)
        for (const script of ["tpcb-like", "simple-update", "select-only"] as const)
          rows.push(await row(sides, FEW, script, encryption));
      return [
        `pgbench for ${SECONDS} s at scale ${SCALE} through the write endpoint, in turns. With TLS, as Odoo's driver connects by default: the server decrypts for its own sessions, PgBouncer for pooled ones; behind PgBouncer there are only sockets of this host. A pooled transaction makes two round trips more than the client's own: one resets what it may have set, one tells the server the next client's name. The shorter the transaction, the more they weigh; Odoo's have ten statements and more.`,
        "",
        table(COLUMNS, rows),
      ].join("\n");
    }),
};

/** The cost and the savings of pooling with more clients than ever work at once. */
export const poolingMany: Benchmark = {
  name: "pooling-many",
  title: "Many clients, pooled and with sessions of their own",
  measure: async (program) =>
    await sideBySide(program, async (...sides) => {
      const [direct, pooled] = sides;
      const rows: string[][] = [];
      for (const script of ["tpcb-like", "select-only"] as const)
        rows.push(await row(sides, MANY, script, "disable"));
      const idle = [await idleSessions(direct), await idleSessions(pooled)];
      const changes = [await switchovers(direct), await switchovers(pooled)];
      return [
        `pgbench for ${MANY_SECONDS} s at scale ${SCALE} through the write endpoint, in turns.`,
        "",
        table(COLUMNS, rows),
        "",
        `${IDLE} clients that asked once and are idle since; the memory is how much the primary's processes and PgBouncer grew (PSS). Then ${CLIENTS} clients ran transactions of two statements during ${SWITCHOVERS} switchovers.`,
        "",
        table(
          ["", "sessions of the server", "memory", "transactions that failed", "longest transaction"],
          [
            ["own sessions", ...(idle[0] ?? []), ...(changes[0] ?? [])],
            ["pooled", ...(idle[1] ?? []), ...(changes[1] ?? [])],
          ],
        ),
      ].join("\n");
    }),
};
