import { monotonic, now } from "../system/clock.ts";
import type { RoleAccess } from "../postgres/sql/role-access.ts";
import { odooFactsSettings, readOdooFacts, type OdooFacts } from "./facts.ts";

/** Facts that are older are looked at again when somebody asks: who asks every 30 s sees none older than 60 s. */
const FRESH = 30_000;
/** A look that is dear is repeated less often: it takes at most a fiftieth of the time. */
const SHARE = 50;
/** Sessions at once, and milliseconds for each. */
const AT_ONCE = 4;
const CONNECT_TIMEOUT = 1000;
const STATEMENT_TIMEOUT = 6000;

export interface KnownFacts {
  /** When it was looked (our clock, milliseconds). */
  readonly at: number;
  /** Undefined for a database that is not Odoo's. */
  readonly facts: OdooFacts | undefined;
}

/** What is known of Odoo's databases. Looks only while somebody asks, and never lets who asks wait. */
export class OdooFactsCache {
  readonly #owner: () => RoleAccess;
  readonly #known = new Map<string, KnownFacts>();
  /** When a database may be looked at again (monotonic, milliseconds). */
  readonly #next = new Map<string, number>();
  readonly #waiting = new Set<string>();
  readonly #reading = new Map<string, Promise<void>>();

  /** @param owner the way of the databases' owner to the primary of this moment; its database is not looked at */
  constructor(owner: () => RoleAccess) {
    this.#owner = owner;
  }

  /**
   * The last known facts of these databases, and a look at those that were not looked at lately. One that has never
   * answered is absent; one that answers no more keeps its last facts. Others are forgotten.
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

  /** When the looks that were asked for have ended. */
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
