import {
  asked,
  closed,
  decided,
  isUnread,
  type Keeper,
  newKeeper,
  type Question,
  serving,
} from "../cluster/freshness/keeper.ts";
import type { Grant } from "../cluster/freshness/lease.ts";
import type { Lsn } from "../model/lsn.ts";
import { reloadAndWait } from "../postgres/reload.ts";
import { listedStandbys, streamingOf, writeStandbys } from "../postgres/sql/commit-list.ts";
import { configurationLoadedAt, endSenders, writeMark } from "../postgres/sql/operations.ts";
import { waitedForFrom } from "../postgres/waited-for.ts";
import { monotonic, waitUntil } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import type { Session } from "../system/sql/sql.ts";

/** Milliseconds for a WAL sender to end once told to; one that has not ended is told again at the next step. */
const SENDER_TIMEOUT = 2000;

/** The primary of several hosts, which this host runs. */
export interface KeptPrimary {
  readonly name: string;
  readonly dataDir: string;
  /** Runs something in a session of the superuser. @throws SqlError */
  readonly use: <T>(act: (session: Session) => Promise<T>) => Promise<T>;
  /** Has the server refuse replication to these alone; returns when it has read that configuration. */
  readonly refuse: (names: readonly string[]) => Promise<void>;
  /**
   * The members that Patroni may promote, as a majority of the store has it. @throws Error where the store does not
   * answer
   */
  readonly promotable: () => Promise<ReadonlySet<string>>;
}

/** The newest observations of the replicas, and of the primary. */
export interface PoolSight {
  readonly eligible: ReadonlySet<string>;
  readonly replayed: ReadonlyMap<string, Lsn>;
  /** Identifies the present start of the primary's processes: proofs made under another start are void. */
  readonly start: string;
}

/**
 * Keeps the read pool of several hosts, on the primary's host: writes the list of replicas that commits wait for, refuses
 * replication to a replica that leaves, and grants other agents a pool to read from. cluster/freshness decides; it calls the
 * time in which one host does this a reign, numbered by a term.
 */
export class PoolKeeper {
  readonly #primary: KeptPrimary;
  readonly #log: Log;
  #keeper: Keeper | undefined;
  #closing = false;
  #rightUntil = -Infinity;
  /** The list of standbys as this reign has last written it; undefined before, and where a write may have failed. */
  #listed: readonly string[] | undefined;
  readonly #inForce = new Map<string, Lsn>();
  #refused: readonly string[] = [];
  readonly #silentSince = new Map<string, number>();
  #start = "";
  /** When the server last read its configuration, as of the first proof under this start (its clock, milliseconds). */
  #ruleSince: number | undefined;
  #proving: Promise<void> | undefined;

  constructor(primary: KeptPrimary, log: Log) {
    this.#primary = primary;
    this.#log = log;
  }

  /** The term of its reign; undefined where it does not reign. */
  get term(): number | undefined {
    return this.#keeper?.term;
  }

  /** Whether it no longer grants anything, and only waits until its grants have expired. */
  get isClosing(): boolean {
    return this.#closing;
  }

  /** Begins to reign, with a term that is higher than all before. @throws SqlError */
  async begin(term: number): Promise<void> {
    const listed = await this.#primary.use(listedStandbys);
    // The list may be Patroni's, which may change it: the same names are written again as this reign's own.
    this.#listed = undefined;
    this.#inForce.clear();
    this.#silentSince.clear();
    // An earlier reign may have ended while it refused a replica.
    await this.#primary.refuse([]);
    this.#refused = [];
    this.#keeper = newKeeper(term, listed);
  }

  /**
   * Grants nothing any more, but goes on answering, so that agents can report that they no longer use earlier grants.
   * @returns whether none of them does
   */
  close(): boolean {
    if (!this.#keeper) return true;
    if (!this.#closing) this.#keeper = closed(this.#keeper);
    this.#closing = true;
    return isUnread(this.#keeper, monotonic());
  }

  /** Ends the reign. Grants that were not closed expire before another host may begin one. */
  end(): void {
    this.#keeper = undefined;
    this.#closing = false;
    this.#rightUntil = -Infinity;
  }

  /** @param until when the right to reign ends unless it is renewed (monotonic clock) */
  mayReign(until: number): void {
    this.#rightUntil = until;
  }

  /** Answers an agent that asks for the pool. @returns undefined where it does not reign */
  answer(question: Question): Grant | undefined {
    if (!this.#keeper) return undefined;
    const { keeper, grant } = asked(this.#keeper, question, monotonic(), this.#rightUntil);
    this.#keeper = keeper;
    return grant;
  }

  /**
   * Decides once by the newest observations, and acts. @throws SqlError, OdooPgError timed_out; the next step goes on
   * from there
   */
  async step(sight: PoolSight): Promise<void> {
    if (!this.#keeper || this.#closing) return;
    if (sight.start !== this.#start) {
      this.#inForce.clear();
      this.#ruleSince = undefined;
      this.#start = sight.start;
    }
    const sync = await this.#sync();
    // The reign may have ended meanwhile.
    if (!this.#keeper || this.#closing) return;
    const before = serving(this.#keeper);
    const look = { ...sight, inForce: this.#inForce, silentSince: this.#silentSince, sync };
    const { keeper, orders } = decided(this.#keeper, look, monotonic());
    this.#keeper = keeper;
    this.#tell(before, serving(keeper));
    await this.#refuse([...new Set([...orders.refused, ...this.#refused])]);
    if (this.#listed === undefined || !same(orders.list, this.#listed)) await this.#list(orders.list);
    // A replica may replicate again only once it is off the list.
    await this.#refuse(orders.refused);
    this.#prove();
  }

  /** The store is asked only while a refused replica is silent: nothing else depends on its answer. */
  async #sync() {
    if (this.#silentSince.size === 0) return undefined;
    const at = monotonic();
    const members = await this.#primary.promotable().catch(() => undefined);
    return members && { members, at };
  }

  async #refuse(names: readonly string[]): Promise<void> {
    if (!same(names, this.#refused)) {
      await this.#primary.refuse(names);
      this.#refused = [...names].sort();
      for (const name of this.#silentSince.keys()) if (!names.includes(name)) this.#silentSince.delete(name);
    }
    // One that replicates again all the same is not silent, whatever let it in.
    const silent = names.filter((name) => this.#silentSince.has(name));
    if (silent.length > 0) {
      const back = await this.#primary.use(async (session) => await streamingOf(session, silent));
      for (const name of back) this.#silentSince.delete(name);
    }
    const waiting = names.filter((name) => !this.#silentSince.has(name));
    if (waiting.length === 0) return;
    await this.#primary.use(async (session) => {
      await endSenders(session, waiting);
      await waitUntil(async () => (await streamingOf(session, waiting)).length === 0, {
        what: `the end of replication to ${waiting.join(", ")}`,
        timeout: SENDER_TIMEOUT,
      });
    });
    for (const name of waiting) this.#silentSince.set(name, monotonic());
  }

  async #list(names: readonly string[]): Promise<void> {
    for (const name of this.#inForce.keys()) if (!names.includes(name)) this.#inForce.delete(name);
    // A write that fails may have happened all the same.
    this.#listed = undefined;
    await this.#primary.use(async (session) => {
      await writeStandbys(session, names);
      await reloadAndWait(session, this.#primary.dataDir, this.#primary.name);
      // Commits that still wait under the old list are released by the next answer of a standby: this makes one come.
      await writeMark(session);
    });
    this.#listed = names;
    this.#log("info", `commits wait for: ${names.join(", ") || "no replica"}`);
  }

  /** Proves that commits wait for the replicas on the list. What fails is tried again at the next step. */
  #prove(): void {
    if (this.#proving) return;
    const names = (this.#listed ?? []).filter(
      (name) => !this.#inForce.has(name) && !this.#refused.includes(name),
    );
    if (names.length === 0) return;
    this.#proving = this.#proveNow(names)
      .catch((error: unknown) =>
        this.#log("warn", `${names.join(", ")} not in the pool yet: ${String(error)}`),
      )
      .finally(() => {
        this.#proving = undefined;
      });
  }

  async #proveNow(names: readonly string[]): Promise<void> {
    const { term } = this;
    const start = this.#start;
    await this.#primary.use(async (session) => {
      // Nothing is proven under this start yet: whether all processes have read the list that was found is not known.
      if (this.#inForce.size === 0) this.#ruleSince ??= await configurationLoadedAt(session);
      const streaming = (): string[] => (this.#listed ?? []).filter((name) => !this.#refused.includes(name));
      const since = this.#inForce.size === 0 ? this.#ruleSince : undefined;
      const from = await waitedForFrom(session, streaming, since);
      if (this.term !== term || this.#start !== start) return;
      for (const name of names) if (this.#listed?.includes(name) === true) this.#inForce.set(name, from);
    });
  }

  #tell(before: readonly string[], after: readonly string[]): void {
    if (!same(before, after))
      this.#log("info", `replicas that may be read from: ${after.join(", ") || "none"}`);
  }
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return [...one].sort().join() === [...other].sort().join();
}
