/**
 * How many reads miss a write that was acknowledged before: write on the write endpoint, then read on the read endpoint,
 * by several clients, while the replicas are killed, stopped and paused and brought back.
 */
import { readFileSync, readdirSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";

export interface Endpoint {
  readonly port: number;
  readonly password: string;
}

export interface StaleReads {
  readonly pairs: number;
  readonly stale: number;
  /** Reads that a replica answered; the others were answered by the primary. */
  readonly byReplica: number;
  /** Connections that were cut or refused; the client connects again and repeats the pair. */
  readonly errors: number;
  /** Longest time that one acknowledged write took, in milliseconds. */
  readonly longestWrite: number;
}

async function open(port: number, password: string): Promise<Client> {
  const client = new Client({ host: "127.0.0.1", port, user: "odoo", password, database: "stale" });
  client.on("error", () => {});
  await client.connect();
  return client;
}

/** Makes the table in a database of its own, through the write endpoint. */
export async function prepareStaleReads(write: Endpoint, clients: number): Promise<void> {
  const admin = new Client({ host: "127.0.0.1", port: write.port, user: "odoo", password: write.password, database: "postgres" });
  await admin.connect();
  await admin.query("DROP DATABASE IF EXISTS stale");
  await admin.query("CREATE DATABASE stale");
  await admin.end();
  const client = await open(write.port, write.password);
  await client.query("CREATE TABLE counter (id int PRIMARY KEY, n int NOT NULL)");
  await client.query("INSERT INTO counter SELECT id, 0 FROM generate_series(1, $1) id", [clients]);
  await client.end();
}

/** Runs `pairs` writes, each followed by a read, spread over `clients`. `done` is told each finished pair. */
export async function countStaleReads(
  read: Endpoint,
  write: Endpoint,
  pairs: number,
  clients: number,
): Promise<StaleReads> {
  let left = pairs;
  const sum = { stale: 0, byReplica: 0, errors: 0, longestWrite: 0 };
  const worker = async (id: number): Promise<void> => {
    let writer: Client | undefined;
    let reader: Client | undefined;
    while (left > 0) {
      left -= 1;
      for (;;) {
        try {
          writer ??= await open(write.port, write.password);
          const start = performance.now();
          const written = await writer.query<{ n: number }>("UPDATE counter SET n = n + 1 WHERE id = $1 RETURNING n", [id]);
          sum.longestWrite = Math.max(sum.longestWrite, performance.now() - start);
          const n = written.rows[0]?.n ?? 0;
          for (;;) {
            try {
              reader ??= await open(read.port, read.password);
              const answer = await reader.query<{ n: number; replica: boolean }>(
                "SELECT n, pg_is_in_recovery() AS replica FROM counter WHERE id = $1",
                [id],
              );
              const row = answer.rows[0];
              if ((row?.n ?? -1) < n) sum.stale += 1;
              if (row?.replica) sum.byReplica += 1;
              break;
            } catch {
              sum.errors += 1;
              await reader?.end().catch(() => {});
              reader = undefined;
              await pause(10);
            }
          }
          break;
        } catch {
          sum.errors += 1;
          await writer?.end().catch(() => {});
          writer = undefined;
          await pause(10);
        }
      }
    }
    await writer?.end().catch(() => {});
    await reader?.end().catch(() => {});
  };
  await Promise.all(Array.from({ length: clients }, async (_, index) => await worker(index + 1)));
  return { pairs, ...sum };
}

/** The postmaster of a data directory with all its children: what a stopped or killed machine takes along. */
export function processesOf(dataDir: string): number[] {
  const postmaster = Number(readFileSync(`${dataDir}/postmaster.pid`, "utf8").split("\n")[0]);
  const children = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
        return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === postmaster;
      } catch {
        return false;
      }
    })
    .map(Number);
  return [postmaster, ...children];
}
