import { setTimeout as pause } from "node:timers/promises";
import { Client } from "pg";
import { expect } from "vitest";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { overlapsOf, type Term, termsOf } from "./terms.ts";

/** An insert that was acknowledged. Times in milliseconds of our own clock. */
interface Commit {
  readonly client: number;
  readonly n: number;
  /** cluster_name of the server that committed it. */
  readonly node: string;
  readonly timeline: number;
  readonly sent: number;
  readonly acknowledged: number;
}

/** Milliseconds after which a client gives up an insert: whether it was committed stays unknown. */
const ANSWER_TIMEOUT = 20_000;
/** Clients with ids from here on go past the endpoint, straight to the nodes. */
const FIRST_DIRECT = 100;

const INSERT = `INSERT INTO ledger (client, n) VALUES ($1, $2)
  RETURNING current_setting('cluster_name') AS node,
    ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int AS timeline`;

/**
 * The continuous checker. Clients insert numbered rows through the write endpoint; one more for each node tries to write
 * there directly, all the time, as a client would that holds an old address. Every acknowledged insert is kept.
 */
export class Ledger {
  readonly commits: Commit[] = [];
  /** Inserts that failed or got no answer: they may have been committed or not. */
  unknown = 0;
  readonly #cluster: ThrowawayCluster;
  readonly #loops: Promise<void>[] = [];
  readonly #sessions = new Set<Client>();
  #ending = false;

  constructor(cluster: ThrowawayCluster) {
    this.#cluster = cluster;
  }

  /** Makes the table and starts the clients. Returns when all of the endpoint have committed something. */
  async open(clients: number): Promise<void> {
    const { ports } = this.#cluster;
    const admin = await this.#cluster.session("write", "odoo");
    await admin.rows("CREATE DATABASE ledger");
    await admin.close();
    const session = await this.#cluster.session("write", "odoo", "ledger");
    await session.rows("CREATE TABLE ledger (client int, n int, PRIMARY KEY (client, n))");
    await session.close();
    for (let client = 0; client < clients; client += 1) this.#loops.push(this.#write(client, ports.write, 8));
    ports.nodes.forEach((port, index) => this.#loops.push(this.#write(FIRST_DIRECT + index, port, 25)));
    atEnd(async () => await this.close());
    await this.goesOn();
  }

  /** Waits until every client of the endpoint has committed something that it sent from now on. */
  async goesOn(timeout = 30_000): Promise<void> {
    const now = performance.now();
    const clients = this.#loops.length - this.#cluster.ports.nodes.length;
    await waitFor(
      "every client to commit",
      () => {
        const since = this.commits.filter(({ client, sent }) => sent >= now && client < FIRST_DIRECT);
        return new Set(since.map(({ client }) => client)).size === clients;
      },
      { timeout },
    );
  }

  /** Ends the clients. */
  async close(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#loops);
  }

  async #write(client: number, port: number, every: number): Promise<void> {
    let session: Client | undefined;
    for (let n = 1; !this.#ending; n += 1) {
      try {
        session ??= await this.#connect(port);
        const sent = performance.now();
        const { rows } = await session.query<{ node: string; timeline: number }>(INSERT, [client, n]);
        const [row] = rows;
        if (row) this.commits.push({ client, n, ...row, sent, acknowledged: performance.now() });
      } catch (error) {
        const refused = error instanceof Error && "code" in error && error.code === "25006";
        if (!refused) {
          this.unknown += 1;
          if (session) this.#drop(session);
          session = undefined;
        }
        await pause(10);
      }
      await pause(every);
    }
    if (session) this.#drop(session);
  }

  async #connect(port: number): Promise<Client> {
    const client = new Client({
      host: "127.0.0.1",
      port,
      user: "odoo",
      password: this.#cluster.password("odoo"),
      database: "ledger",
      connectionTimeoutMillis: ANSWER_TIMEOUT,
      query_timeout: ANSWER_TIMEOUT,
    });
    client.on("error", () => {});
    try {
      await client.connect();
    } catch (error) {
      this.#drop(client);
      throw error;
    }
    this.#sessions.add(client);
    return client;
  }

  /** Without waiting for a server that may be stopped. */
  #drop(client: Client): void {
    this.#sessions.delete(client);
    void client.end().catch(() => {});
  }

  /** The stretches, oldest timeline first. */
  terms(): readonly Term[] {
    return termsOf(this.commits);
  }

  /**
   * Milliseconds of the longest time between two acknowledged commits of the endpoint's clients.
   * @param since number of commits before those that count
   */
  longestGap(since = 0): number {
    const times = this.commits
      .slice(since)
      .filter(({ client }) => client < FIRST_DIRECT)
      .map(({ acknowledged }) => acknowledged)
      .sort((a, b) => a - b);
    return times.reduce((longest, time, index) => Math.max(longest, time - (times[index - 1] ?? time)), 0);
  }

  /** Acknowledged inserts that are not there. */
  async missing(): Promise<readonly Commit[]> {
    const session = await this.#cluster.session("write", "odoo", "ledger");
    const rows = await session.rows<{ client: number; n: number }>("SELECT client, n FROM ledger");
    await session.close();
    const present = new Set(rows.map(({ client, n }) => `${client} ${n}`));
    return this.commits.filter(({ client, n }) => !present.has(`${client} ${n}`));
  }

  /** Ends the clients and proves that every acknowledged row is there, and that no two nodes accepted commits at once. */
  async proveNothingLost(): Promise<void> {
    await this.close();
    expect(this.commits.length).toBeGreaterThan(0);
    expect(await this.missing(), "acknowledged rows that are missing").toEqual([]);
    this.proveOnePrimary();
  }

  /** Each timeline was written by one node, and it had ended before the next began. */
  proveOnePrimary(): void {
    expect(overlapsOf(this.terms()), "two nodes accepted commits at once").toEqual([]);
  }
}
