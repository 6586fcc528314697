import {
  countsStatements,
  readActivity,
  slowestStatements,
  tableName,
  type ActiveSession,
  type ServerActivity,
  type StatementRow,
} from "../../postgres/sql/observing/activity.ts";
import { now } from "../../system/clock.ts";
import { Cached } from "../../system/cached.ts";
import type { Activity } from "../../cluster/documents/console.ts";
import { blockingOf, longTransactionsOf } from "./activity.ts";
import type { PrimarySession } from "./primary-session.ts";

/** Milliseconds between two reads: a little less than two ticks of a second. `timeout`: nothing waits longer. */
const ACTIVITY = { every: 1900, timeout: 300 };
const STATEMENTS = { every: 15_000, timeout: 300 };

/** Milliseconds after which a read is out of date. */
const TOO_OLD = 10_000;

/**
 * Databases that are searched for pg_stat_statements, milliseconds until the next search, and statements that are
 * shown.
 */
const READ_THROUGH = 50;
const READ_THROUGH_EVERY = 60_000;
const STATEMENTS_SHOWN = 10;

/** Names of tables that are cached. */
const NAMES_KEPT = 1000;

interface Reading {
  readonly at: number;
  readonly server: ServerActivity;
}

export const NO_ACTIVITY: Activity = {
  at: null,
  connections: null,
  max_connections: null,
  blocking: [],
  long_transactions: [],
  slowest_statements: null,
  statements_missing: null,
};

/** The activity of the primary, read every two seconds while a client asks. */
export class ActivityReader {
  readonly #session: PrimarySession;
  readonly #read: Cached<Reading>;
  readonly #statements: Cached<readonly StatementRow[] | "library" | "extension" | undefined>;
  /** By database and OID. */
  readonly #names = new Map<string, string>();
  /** The database that has pg_stat_statements, and when it was searched for (our clock). */
  #statementsIn: { readonly database: string | undefined; readonly at: number } | undefined;
  #databases: readonly string[] = [];

  constructor(session: PrimarySession) {
    this.#session = session;
    this.#read = new Cached({ ...ACTIVITY, read: async () => await this.#readNow() });
    this.#statements = new Cached({ ...STATEMENTS, read: async () => await this.#readStatements() });
  }

  /** The activity; an old reading rather than none, where the primary does not answer at once. Never throws. */
  async activity(): Promise<Activity> {
    const reading = (await this.#read.now()) ?? this.#read.last();
    if (!reading || now() - reading.at > TOO_OLD) return NO_ACTIVITY;
    const { connections, max_connections, sessions } = reading.server;
    return {
      at: new Date(reading.at).toISOString(),
      connections,
      max_connections,
      blocking: blockingOf(sessions, (database, oid) => this.#names.get(`${oid} ${database}`)),
      long_transactions: longTransactionsOf(sessions),
      ...statementsOf(this.#statements.last()),
    };
  }

  /** Databases that accept connections, as last seen. */
  databases(): readonly string[] {
    return this.#databases;
  }

  async #readNow(): Promise<Reading> {
    const server = await this.#session.ask(readActivity);
    this.#databases = server.databases;
    await this.#nameTables(server.sessions);
    return { at: now(), server };
  }

  /** Names can only be read in their own database: done once for each table that a session waits for. */
  async #nameTables(sessions: readonly ActiveSession[]): Promise<void> {
    const unknown = new Map<string, Set<number>>();
    for (const { wanted, database } of sessions) {
      const oid = wanted?.relation ?? null;
      if (oid === null || database === "" || this.#names.has(`${oid} ${database}`)) continue;
      unknown.set(database, (unknown.get(database) ?? new Set()).add(oid));
    }
    if (this.#names.size > NAMES_KEPT) this.#names.clear();
    for (const [database, oids] of unknown) {
      const named = this.#session.askIn(database, async (session) => {
        for (const oid of oids) {
          const name = await tableName(session, oid);
          if (name !== undefined) this.#names.set(`${oid} ${database}`, name);
        }
      });
      // Without a name the sentence says less.
      await named.catch(() => {});
    }
  }

  async #readStatements(): Promise<readonly StatementRow[] | "library" | "extension" | undefined> {
    if (!(await this.#session.ask(countsStatements))) return "library";
    const known = this.#statementsIn;
    const due = !known || now() - known.at > READ_THROUGH_EVERY;
    const places = due
      ? ["postgres", ...this.#databases.filter((name) => name !== "postgres")].slice(0, READ_THROUGH)
      : known.database === undefined
        ? []
        : [known.database];
    for (const database of places) {
      const found = await this.#session
        .askIn(database, async (session) => await slowestStatements(session, STATEMENTS_SHOWN))
        .catch(() => undefined);
      if (!found) continue;
      this.#statementsIn = { database, at: due ? now() : known.at };
      return found;
    }
    // Before the databases are known nothing is settled.
    if (!this.#databases.length) return undefined;
    if (due) this.#statementsIn = { database: undefined, at: now() };
    return "extension";
  }
}

function statementsOf(
  seen: readonly StatementRow[] | "library" | "extension" | undefined,
): Pick<Activity, "slowest_statements" | "statements_missing"> {
  return typeof seen === "string"
    ? { slowest_statements: null, statements_missing: seen }
    : { slowest_statements: seen ?? null, statements_missing: null };
}
