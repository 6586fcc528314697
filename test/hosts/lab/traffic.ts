import { setTimeout as pause } from "node:timers/promises";
import type { Client, ClientConfig } from "pg";
import type { Acknowledged } from "../../faults/terms.ts";
import { waitFor } from "../../support/wait.ts";
import { close, insertInto, open, type Placed } from "./client.ts";

/** A row that was acknowledged. */
interface Commit extends Acknowledged {
  readonly n: number;
}

export interface Read {
  readonly sent: number;
  /** Rows that were acknowledged before it was sent, and that it did not see. */
  readonly missed: number;
  readonly byReplica: boolean;
}

/** Milliseconds between two inserts, and between two reads of one reader. */
const BETWEEN = 10;

/**
 * Clients as Odoo's: one inserts numbered rows, readers ask for the newest. What was acknowledged is kept, and of each
 * read whether it lacks a row that was acknowledged before it was sent.
 */
export class Traffic {
  readonly commits: Commit[] = [];
  readonly reads: Read[] = [];
  /** What clients were told in place of an answer. */
  readonly errors: { readonly at: number; readonly of: "write" | "read"; readonly text: string }[] = [];
  readonly #write: ClientConfig;
  readonly #loops: Promise<void>[] = [];
  #newest = 0;
  #ending = false;

  private constructor(write: ClientConfig) {
    this.#write = write;
  }

  /** Makes the table and starts the clients; returns when rows are acknowledged. Half of the readers connect anew for each read. */
  static async start(write: ClientConfig, read: ClientConfig | undefined, readers = 4): Promise<Traffic> {
    const traffic = new Traffic(write);
    await waitFor("a table to be made", async () => {
      const maker = await open(write);
      try {
        await maker.query("CREATE TABLE IF NOT EXISTS ledger (n int PRIMARY KEY)");
        // Others may have written before.
        const { rows } = await maker.query<{ n: number }>("SELECT coalesce(max(n), 0) AS n FROM ledger");
        traffic.#newest = rows[0]?.n ?? 0;
        return true;
      } finally {
        close(maker);
      }
    });
    traffic.#loops.push(traffic.#writing());
    if (read)
      for (let id = 0; id < readers; id += 1) traffic.#loops.push(traffic.#reading(read, id % 2 === 0));
    await traffic.goesOn();
    return traffic;
  }

  /** Waits until a row is acknowledged that is sent from now on. @param limit milliseconds */
  async goesOn(timeout = 60_000): Promise<void> {
    const before = this.#newest;
    // The one that is on its way may have been sent before.
    await waitFor("a row to be acknowledged", () => this.#newest > before + 1, { timeout });
  }

  /** Milliseconds of the longest time between two acknowledged rows since a moment, until now. */
  longestGap(since: number): number {
    const times = this.commits.map(({ acknowledged }) => acknowledged);
    const before = times.findLast((at) => at < since) ?? since;
    const counted = [before, ...times.filter((at) => at >= since), performance.now()];
    return Math.max(...counted.slice(1).map((at, index) => at - (counted[index] ?? at)));
  }

  /** What clients were told who were refused: they should have waited. */
  get refused(): readonly string[] {
    return this.errors.flatMap(({ text }) =>
      /refused|No server took|starting up|shutting down$/.test(text) ? [text] : [],
    );
  }

  readsSince(since: number): { readonly all: number; readonly stale: number; readonly byReplica: number } {
    const reads = this.reads.filter(({ sent }) => sent >= since);
    return {
      all: reads.length,
      stale: reads.filter(({ missed }) => missed > 0).length,
      byReplica: reads.filter(({ byReplica }) => byReplica).length,
    };
  }

  /** Ends the clients. @returns acknowledged rows that are not there */
  async stop(): Promise<readonly number[]> {
    this.#ending = true;
    await Promise.all(this.#loops);
    const reader = await open(this.#write);
    const { rows } = await reader.query<{ n: number }>("SELECT n FROM ledger");
    close(reader);
    const present = new Set(rows.map(({ n }) => n));
    return this.commits.map(({ n }) => n).filter((n) => !present.has(n));
  }

  async #writing(): Promise<void> {
    let session: Client | undefined;
    for (let n = this.#newest + 1; !this.#ending; n += 1) {
      try {
        session ??= await open(this.#write);
        const sent = performance.now();
        const { rows } = await session.query<Placed>(insertInto("ledger"), [n]);
        const [row] = rows;
        if (row) this.commits.push({ n, ...row, sent, acknowledged: performance.now() });
        this.#newest = n;
      } catch (error) {
        session = this.#failed("write", error, session);
        await pause(BETWEEN);
      }
      await pause(BETWEEN);
    }
    close(session);
  }

  async #reading(read: ClientConfig, anew: boolean): Promise<void> {
    let session: Client | undefined;
    while (!this.#ending) {
      try {
        session ??= await open(read);
        const [sent, newest] = [performance.now(), this.#newest];
        const { rows } = await session.query<{ n: number; replica: boolean }>(
          "SELECT coalesce(max(n), 0) AS n, pg_is_in_recovery() AS replica FROM ledger",
        );
        const [row] = rows;
        if (row) this.reads.push({ sent, missed: Math.max(0, newest - row.n), byReplica: row.replica });
      } catch (error) {
        session = this.#failed("read", error, session);
      }
      if (anew) {
        close(session);
        session = undefined;
      }
      await pause(BETWEEN);
    }
    close(session);
  }

  #failed(of: "write" | "read", error: unknown, session: Client | undefined): undefined {
    const text = error instanceof Error ? error.message : String(error);
    this.errors.push({ at: performance.now(), of, text });
    close(session);
    return undefined;
  }
}
