import { monotonic, now } from "../system/clock.ts";
import type { RoleAccess } from "../postgres/sql/access/role-access.ts";
import { odooFactsSettings, readOdooFacts, type OdooFacts } from "./facts.ts";

/** Facts older than this are read again on request: a client that asks every 30 s sees none older than 60 s. */
const FRESH = 30_000;
/** An expensive read is repeated less often: reads take at most a fiftieth of the time. */
const SHARE = 50;
/** Sessions at once, and milliseconds for each. */
const AT_ONCE = 4;
const CONNECT_TIMEOUT = 1000;
const STATEMENT_TIMEOUT = 6000;

export interface KnownFacts {
  /** When it was read (our clock, milliseconds). */
  readonly at: number;
  /** Undefined for a database that is not Odoo's. */
  readonly facts: OdooFacts | undefined;
}

/** The known facts about Odoo's databases. Reads only on request, and never makes the caller wait. */
export class OdooFactsCache {
  readonly #owner: () => RoleAccess;
  readonly #known = new Map<string, KnownFacts>();
  /** When a database may be read again (monotonic, milliseconds). */
  readonly #next = new Map<string, number>();
  readonly #waiting = new Set<string>();
  readonly #reading = new Map<string, Promise<void>>();

  /** @param owner the connection of the databases' owner to the current primary; its database is not read */
  constructor(owner: () => RoleAccess) {
    this.#owner = owner;
  }

  /**
   * The last known facts of these databases; starts a read of those that were not read lately. A database that has
   * never answered is absent; one that no longer answers keeps its last facts. All others are forgotten.
   */
  ask(databases: readonly string[]): ReadonlyMap<string, KnownFacts> {
    const asked = new Set(databases);
    for (const database of this.#next.keys()) {
      if (asked.has(database)) continue;
      this.#known.delete(database);
      this.#next.delete(database);
      this.#waiting.delete(database);
    }
    for (const database of asked) {
      if ((this.#next.get(database) ?? 0) <= monotonic()) this.#waiting.add(database);
    }
    this.#readOn();
    return new Map([...this.#known].filter(([database]) => asked.has(database)));
  }

  /** Resolves when the requested reads have ended. */
  async settled(): Promise<void> {
    while (this.#reading.size > 0) await Promise.all(this.#reading.values());
  }

  #readOn(): void {
    for (const database of this.#waiting) {
      if (this.#reading.size >= AT_ONCE) return;
      if (this.#reading.has(database)) continue;
      this.#waiting.delete(database);
      const reading = this.#read(database).finally(() => {
        this.#reading.delete(database);
        this.#readOn();
      });
      this.#reading.set(database, reading);
    }
  }

  async #read(database: string): Promise<void> {
    const start = monotonic();
    this.#next.set(database, Infinity);
    try {
      const owner = this.#owner();
      const facts = await owner.in(database).use(readOdooFacts, {
        applicationName: "odoo-pg agent",
        connectTimeout: CONNECT_TIMEOUT,
        statementTimeout: STATEMENT_TIMEOUT,
        settings: odooFactsSettings,
      });
      if (this.#next.has(database)) this.#known.set(database, { at: now(), facts });
    } catch {
      // Locked by an upgrade, dropped, or the primary does not answer: the last facts stay, with their age.
    }
    if (this.#next.has(database))
      this.#next.set(database, Math.max(start + FRESH, monotonic() + SHARE * (monotonic() - start)));
  }
}
