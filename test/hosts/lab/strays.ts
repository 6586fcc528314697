import { setTimeout as pause } from "node:timers/promises";
import type { Client, ClientConfig } from "pg";
import type { Acknowledged } from "../../faults/terms.ts";
import { close, insertInto, open, type Placed } from "./client.ts";

/** Milliseconds between two tries of one. */
const BETWEEN = 50;

/** A row of a stray that was acknowledged. */
export interface Stray extends Acknowledged {
  readonly n: number;
}

/** The server of a host, as a client reaches it that goes past the endpoints. */
export interface OwnServer {
  readonly address: string;
  readonly config: ClientConfig;
}

/**
 * Clients that hold an old address: one on each host tries to write to the host's own server, all the time. What is
 * acknowledged to them counts like everything else.
 */
export class Strays {
  readonly commits: Stray[] = [];
  readonly #loops: Promise<void>[];
  readonly #sessions = new Map<string, Client>();
  #newest = 0;
  #ending = false;

  private constructor(servers: readonly OwnServer[], newest: number) {
    this.#newest = newest;
    this.#loops = servers.map(async (server) => await this.#writing(server));
  }

  /** @param write how the primary is reached, where their table is made */
  static async start(write: ClientConfig, servers: readonly OwnServer[]): Promise<Strays> {
    const maker = await open(write);
    try {
      await maker.query("CREATE TABLE IF NOT EXISTS strays (n int PRIMARY KEY)");
      const { rows } = await maker.query<{ n: number }>("SELECT coalesce(max(n), 0) AS n FROM strays");
      return new Strays(servers, rows[0]?.n ?? 0);
    } finally {
      close(maker);
    }
  }

  /** Ends them; one whose server hangs waits for it no longer. @returns acknowledged rows that are not there */
  async stop(write: ClientConfig): Promise<readonly Stray[]> {
    this.#ending = true;
    for (const session of this.#sessions.values()) close(session);
    await Promise.all(this.#loops);
    const reader = await open(write);
    const { rows } = await reader.query<{ n: number }>("SELECT n FROM strays");
    close(reader);
    const present = new Set(rows.map(({ n }) => n));
    return this.commits.filter(({ n }) => !present.has(n));
  }

  async #writing({ address, config }: OwnServer): Promise<void> {
    while (!this.#ending) {
      try {
        const session = this.#sessions.get(address) ?? (await open(config));
        this.#sessions.set(address, session);
        this.#newest += 1;
        const n = this.#newest;
        const sent = performance.now();
        const { rows } = await session.query<Placed>(insertInto("strays"), [n]);
        for (const { timeline } of rows)
          this.commits.push({ n, node: address, timeline, sent, acknowledged: performance.now() });
      } catch (error) {
        // A replica says that it is one.
        if (!(error instanceof Error && "code" in error && error.code === "25006")) {
          close(this.#sessions.get(address));
          this.#sessions.delete(address);
        }
      }
      await pause(BETWEEN);
    }
    close(this.#sessions.get(address));
  }
}
