import { setTimeout as pause } from "node:timers/promises";
import type { Client } from "pg";
import { expect } from "vitest";
import * as z from "zod";
import { windowSchema } from "../../../src/cluster/backups/window.ts";
import { figure } from "../../faults/figures.ts";
import { waitFor } from "../../support/wait.ts";
import type { SeveralHosts } from "../several-hosts.ts";
import { close, open } from "./client.ts";
import type { Host } from "./host.ts";

/** What a host's file says to have any second, and neither backups nor drills that would disturb. */
export const ANY_SECOND = {
  backup: { enabled: false, any_second: { enabled: true, drill_schedule: "off" } },
};

/** The repository, as a host sees its own disk; below `Host.folder` it is the same without the first part. */
export const REPOSITORY = "s.archive";

const windowDocument = windowSchema.extend({
  version: z.literal(1),
  copies: z.object({ name: z.string(), copied_at: z.string().nullable() }).array().default([]),
  proven: z.unknown(),
});

/** Milliseconds between two marks. */
const BETWEEN = 200;

/** A client that commits a mark five times a second, wherever the endpoint of its host leads. */
export class Marks {
  #isEnding = false;
  #written: Promise<void> = Promise.resolve();

  static start(config: Parameters<typeof open>[0]): Marks {
    const marks = new Marks();
    marks.#written = marks.#write(config);
    return marks;
  }

  async #write(config: Parameters<typeof open>[0]): Promise<void> {
    let session: Client | undefined;
    while (!this.#isEnding) {
      try {
        session ??= await open(config);
        await session.query(
          "CREATE TABLE IF NOT EXISTS marks (id serial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp())",
        );
        await session.query("INSERT INTO marks DEFAULT VALUES");
      } catch {
        close(session);
        session = undefined;
      }
      await pause(BETWEEN);
    }
    close(session);
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    await this.#written;
  }
}

/** A moment between two marks, and how many there were by then. */
interface Moment {
  readonly at: string;
  readonly marks: number;
}

/** Any second of several hosts: what they say of it, and whether it is true. */
export class AnySecond {
  readonly #several: SeveralHosts;

  constructor(several: SeveralHosts) {
    this.#several = several;
  }

  /** Asks a database of the primary. */
  async #ask(host: Host, database: string, statement: string): Promise<Record<string, unknown>[]> {
    const session = await open({ ...this.#several.ownServer(host).config, database });
    try {
      return (await session.query<Record<string, unknown>>(statement)).rows;
    } finally {
      close(session);
    }
  }

  async windowOn(host: Host): Promise<z.output<typeof windowDocument>> {
    return windowDocument.parse(JSON.parse(await this.#several.do(host, "backup", "window", "--json")));
  }

  /** Waits until what was written until now is in the primary's repository, and in the copies of `others`. */
  async copied(primary: Host, others: number): Promise<void> {
    const since = Date.now();
    // Else it is finished within a minute.
    await this.#several.value(primary, "SELECT pg_switch_wal()");
    await waitFor(
      `what was written to be on ${others + 1} hosts`,
      async () => {
        const { to, copies } = await this.windowOn(primary);
        const isThere = [to, ...copies.map(({ copied_at: at }) => at)].every(
          (at) => at !== null && Date.parse(at) >= since,
        );
        if (isThere && copies.length === others) return true;
        throw new Error(JSON.stringify({ to, copies }));
      },
      { timeout: 150_000 },
    );
  }

  /** A moment after one of these marks, counted by time, and before the next one; by chance. */
  async momentOf(primary: Host, which: string): Promise<Moment> {
    const [row] = await this.#ask(
      primary,
      "ledger",
      `SELECT (at + (next - at) / 2)::text AS at, marks::int FROM (
         SELECT at, lead(at) OVER w AS next, row_number() OVER w AS marks FROM marks WINDOW w AS (ORDER BY at)) pairs
       WHERE next - at BETWEEN '100 ms' AND '2 s' AND ${which} ORDER BY random() LIMIT 1`,
    );
    if (!row) throw new Error(`no mark where ${which}`);
    return { at: String(row["at"]), marks: Number(row["marks"]) };
  }

  /** Brings a moment back and compares: nothing missing, nothing too many. */
  async isExact(primary: Host, { at, marks: wanted }: Moment, name: string): Promise<void> {
    await this.#several.do(primary, "restore", "ledger", "--at", at, "--as", name);
    const [row] = await this.#ask(primary, name, "SELECT count(*)::int AS marks FROM marks");
    figure(
      `Hosts: a second is brought back (${name})`,
      "0 marks missing, 0 too many",
      `${Math.max(0, wanted - Number(row?.["marks"]))} missing, ${Math.max(0, Number(row?.["marks"]) - wanted)} too many of ${wanted}`,
    );
    expect(row?.["marks"]).toBe(wanted);
    await this.#several.do(primary, "db", "drop", name, "--confirm", name);
  }

  /** How many marks there are. */
  async count(primary: Host): Promise<number> {
    const [row] = await this.#ask(primary, "ledger", "SELECT count(*)::int AS marks FROM marks");
    return Number(row?.["marks"]);
  }

  /** Waits until there are so many more. */
  async more(primary: Host, marks: number): Promise<void> {
    const before = await this.count(primary);
    await waitFor(`${marks} more marks`, async () => (await this.count(primary)) > before + marks, {
      timeout: 90_000,
    });
  }
}
