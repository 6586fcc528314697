import type { Lsn } from "../model/lsn.ts";
import { factsOf } from "../model/observation.ts";
import { whereSet } from "../cluster/commit-rules.ts";
import type { Eligibility } from "../cluster/pool.ts";
import {
  type CommitOverride,
  commitOverrides,
  configurationLoadedAt,
  writeMark,
} from "../postgres/sql/operations.ts";
import { waitedForFrom } from "../postgres/waited-for.ts";
import { reloadAndWait } from "../postgres/reload.ts";
import { awaitedNames, quotedNames, renderSynchronous, synchronousNames } from "../postgres/render.ts";
import { now, within } from "../system/clock.ts";
import { Mutex } from "../system/mutex.ts";
import { readableBy, readTextIfAny, writeFileIfChanged } from "../system/files/files.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { PoolMembership } from "./pool-membership.ts";
import {
  ownPrimary,
  primaryName,
  primaryOf,
  replicasOf,
  requireOwnPrimary,
  type Runtime,
} from "../members/runtime.ts";

/** Where the endpoints send sessions. */
export interface Routing {
  /** The node of the write endpoint, also the fallback of the read endpoint. */
  readonly primary: string | undefined;
  readonly pool: readonly string[];
}

/** Brings HAProxy to a routing and returns only when the sessions of what left are gone. A HAProxy that is not running has none. */
export type Route = (routing: Routing) => Promise<void>;

/** Milliseconds between two checks of what ALTER ROLE and ALTER DATABASE have set: nothing tells when that changes. */
const OVERRIDES_EVERY = 60_000;
/** Milliseconds for such a check. */
const OVERRIDES_TIMEOUT = 1000;
/** Milliseconds for the primary to take another list: one whose disk hangs takes none, and must not hold up what comes next. */
const LIST_TIMEOUT = 10_000;

/**
 * Keeps the pool of the read endpoint: decides by each new observation, then acts in the order that the promise needs.
 *
 * read-your-writes, for each replica: leaving is out of the pool, sessions confirmed cut, only then off the list that
 * commits wait for. Coming back is the opposite: on the list, the list proven in force, everything that was
 * acknowledged before then replayed, only then into the pool.
 */
export class ReadPool {
  /** The members of the pool, as HAProxy's health checks are answered; a replica that is not in here gets no session. */
  readonly members = new Set<string>();
  /** How often each node left the pool and its sessions were cut, since the agent was started. */
  readonly leaves = new Map<string, number>();
  /** Where reads were last led. */
  #routed: readonly string[] = [];
  /** Where writes are led from the next step on. */
  #writes: string | undefined;
  readonly #membership: PoolMembership;
  /** Settings by which commits do not wait for the pool, although its consistency is read-your-writes. */
  overrides: readonly CommitOverride[] = [];
  readonly #runtime: Runtime;
  readonly #route: Route;
  /** Replicas that the primary's file lists; undefined before the file was read. */
  #listed: Set<string> | undefined;
  /** From which position on commits provably wait for a listed replica. */
  readonly #inForce = new Map<string, Lsn>();
  /** Which start of which primary the above was proven for. */
  #provenFor = "";
  /** When the server last read its configuration, as of the first proof under this start (its clock, milliseconds). */
  #ruleSince: number | undefined;
  /** Which reading of which primary's configuration `overrides` is of, and when it was looked at (our clock). */
  #overridesOf = { configuration: "", at: 0 };
  #enlisting = false;
  /** Grows when the pool is closed or emptied: what is being put on the list by then does not come on it. */
  #emptied = 0;
  #closed = false;
  /** One step at a time: the agent's loop and an operation may ask at once. */
  readonly #mutex = new Mutex();
  readonly #listTurns = new Mutex();
  /** Whether sessions may be left on a replica that is no member: at the start, and after an unconfirmed cut. */
  #cutPending = true;

  constructor(runtime: Runtime, route: Route) {
    this.#runtime = runtime;
    this.#route = route;
    this.#membership = new PoolMembership(runtime.log, runtime);
    this.#writes = primaryName(runtime);
  }

  get eligibilities(): readonly Eligibility[] {
    return this.#membership.now;
  }

  /** Where the write endpoint is led, and the read endpoint where no replica may serve: the primary, or nowhere while it changes. */
  get writes(): string | undefined {
    return this.#writes;
  }

  /** Routes writes to a node, or nowhere; the next step does it. */
  leadWrites(node: string | undefined): void {
    this.#writes = node;
  }

  /**
   * Decides once by the newest observations, and acts. @throws what HAProxy or the primary answer; the next step goes
   * on from there
   */
  async step(): Promise<void> {
    await this.#mutex.run(async () => await this.#step());
  }

  async #step(): Promise<void> {
    const runtime = this.#runtime;
    const { read } = runtime.config.endpoints;
    await this.#readOverrides(ownPrimary(runtime));
    const overruled = this.overrides.find(({ file }) => file !== null);
    const observations = {
      primary: primaryOf(runtime).observation,
      replicas: replicasOf(runtime).map((handle) => handle.observation),
      members: this.members,
    };
    const eligibilities = this.#membership.decide(read, observations, (eligibility) => {
      if (runtime.held.has(eligibility.name))
        return { ...eligibility, eligible: false, reason: "is being worked on" };
      if (!overruled || !eligibility.eligible) return eligibility;
      const reason = `is not waited for: ${whereSet(overruled)} sets ${overruled.setting}`;
      return { ...eligibility, eligible: false, reason };
    });
    if (this.#closed) {
      this.members.clear();
      await this.#routeNow();
      return;
    }
    const eligible = new Set(
      eligibilities.filter((eligibility) => eligibility.eligible).map(({ name }) => name),
    );
    if (read.consistency === "read-your-writes") await this.#stepReadYourWrites(eligible);
    else await this.#stepPlain(eligible);
  }

  /**
   * Whether somebody has overruled how commits wait: at once when the primary has read its files again, else once a
   * minute. In another consistency nothing is promised.
   */
  async #readOverrides(primary: NodeHandle | undefined): Promise<void> {
    const facts = factsOf(primary?.observation);
    const ryw = this.#runtime.config.endpoints.read.consistency === "read-your-writes";
    if (!ryw) this.overrides = [];
    if (!ryw || !primary || !facts || facts.in_recovery) return;
    const configuration = `${primary.node.name} ${facts.configuration_read_at}`;
    const { configuration: before, at } = this.#overridesOf;
    if (configuration === before && now() - at < OVERRIDES_EVERY) return;
    const overrides = primary.use(
      async (session) => await commitOverrides(session, primary.files.synchronousFile),
    );
    // A hung primary must not hold up what comes next: the next step asks again.
    const found = await within(OVERRIDES_TIMEOUT, primary.node.name, overrides).catch(() => undefined);
    if (!found) return;
    for (const one of found) {
      if (this.overrides.some((known) => JSON.stringify(known) === JSON.stringify(one))) continue;
      this.#runtime.log("warn", `commits may not wait for the pool: ${whereSet(one)} sets ${one.setting}`);
    }
    this.overrides = found;
    this.#overridesOf = { configuration, at: now() };
  }

  /**
   * Takes every replica out of the pool and off the list, in that order: before the primary changes. Who calls holds
   * them, so that none comes back meanwhile.
   */
  async empty(): Promise<void> {
    this.#emptied++;
    await this.#mutex.run(async () => {
      await this.#leave([...this.members]);
      await this.#list(() => []);
    });
  }

  /**
   * Takes every replica out of the pool until `reopen`, and leaves the list that commits wait for as it is: while a
   * primary is given up, nothing may be acknowledged that the replica lacks which is to be promoted.
   */
  async close(): Promise<void> {
    this.#closed = true;
    this.#emptied++;
    await this.#mutex.run(async () => await this.#step());
  }

  reopen(): void {
    this.#closed = false;
  }

  /**
   * The position from which on commits on the present primary provably waited for this node, until now: once it has
   * that, it has all that was ever acknowledged. Undefined when there is no such proof.
   */
  provenFrom(name: string): Lsn | undefined {
    if (this.overrides.length) return undefined;
    return this.#listed?.has(name) === true ? this.#inForce.get(name) : undefined;
  }

  async #stepPlain(eligible: ReadonlySet<string>): Promise<void> {
    this.#ruleSince = undefined;
    this.members.clear();
    for (const name of eligible) this.members.add(name);
    await this.#routeNow();
    const primary = ownPrimary(this.#runtime);
    if (!primary) return;
    const facts = factsOf(primary.observation);
    // Only after a change of consistency is there something to shorten: no promise was still in force.
    if ((await this.#readListed()).size || quotedNames(facts?.synchronous_standby_names ?? "").length) {
      await this.#list(() => []);
    }
  }

  async #stepReadYourWrites(eligible: ReadonlySet<string>): Promise<void> {
    const facts = factsOf(primaryOf(this.#runtime).observation);
    if (facts) {
      const proof = `${primaryName(this.#runtime)} ${facts.started_at} ${facts.processes_since}`;
      // A primary that was restarted, be it by the crash of a session, began with another shared memory and other WAL
      // senders than the proof is of; another primary has a list of its own.
      if (proof !== this.#provenFor) {
        this.#inForce.clear();
        this.#listed = undefined;
        this.#ruleSince = undefined;
      }
      this.#provenFor = proof;
    }
    const inForce = new Set(facts ? awaitedNames(facts.synchronous_standby_names) : []);
    // Somebody may have overruled the list under which they came in.
    const unlisted = facts ? [...this.members].filter((name) => !inForce.has(name)) : [];
    for (const name of unlisted) this.#inForce.delete(name);
    await this.#leave([...this.members].filter((name) => !eligible.has(name) || !this.#inForce.has(name)));
    const listed = await this.#readListed();
    // Also where the file says what it should, but the primary has not reloaded it: an agent may have died in between.
    const told = this.overrides.some(({ setting }) => setting === "synchronous_standby_names")
      ? []
      : quotedNames(facts?.synchronous_standby_names ?? "");
    const dead = [...listed, ...told].some((name) => !eligible.has(name));
    if (dead) await this.#list((names) => names.filter((name) => eligible.has(name)));
    const unproven = [...eligible].filter((name) => !this.#inForce.has(name));
    if (facts && unproven.length && !this.#enlisting) {
      this.#enlisting = true;
      void this.#enlist(unproven)
        .catch((error: unknown) =>
          this.#runtime.log("warn", `${unproven.join(", ")} not in the pool yet: ${String(error)}`),
        )
        .finally(() => {
          this.#enlisting = false;
        });
    }
    for (const name of eligible) {
      const from = this.#inForce.get(name);
      const replayed = factsOf(this.#runtime.nodes.get(name)?.observation)?.replay_lsn;
      if (from === undefined || replayed === null || replayed === undefined || replayed < from) continue;
      if (inForce.has(name)) this.members.add(name);
    }
    await this.#routeNow();
  }

  /**
   * Returns when the sessions of all that left are confirmed gone. An error keeps them on the list; the next step tries
   * again.
   */
  async #leave(names: readonly string[]): Promise<void> {
    for (const name of names) this.members.delete(name);
    if (names.length) this.#cutPending = true;
    if (!this.#cutPending) return;
    await this.#routeNow();
    this.#cutPending = false;
  }

  async #routeNow(): Promise<void> {
    const pool = [...this.members].sort();
    await this.#route({ primary: this.#writes, pool });
    for (const name of this.#routed)
      if (!pool.includes(name)) this.leaves.set(name, (this.leaves.get(name) ?? 0) + 1);
    this.#routed = pool;
  }

  async #readListed(): Promise<Set<string>> {
    if (this.#listed) return this.#listed;
    const text = await readTextIfAny(requireOwnPrimary(this.#runtime).files.synchronousFile);
    this.#listed = new Set(synchronousNames(text ?? ""));
    return this.#listed;
  }

  /**
   * Writes the list that commits wait for and has the primary read it. Commits that wait under the old list are released.
   * One that comes to no end is waited for by the next, so that there is one of them.
   * @throws LateError
   */
  async #list(change: (names: readonly string[]) => readonly string[]): Promise<void> {
    const turn = this.#listTurns.run(async () => await this.#listNow(change));
    await within(LIST_TIMEOUT, primaryName(this.#runtime), turn);
  }

  async #listNow(change: (names: readonly string[]) => readonly string[]): Promise<void> {
    const runtime = this.#runtime;
    const primary = requireOwnPrimary(runtime);
    const names = new Set(change([...(await this.#readListed())]));
    for (const name of this.#inForce.keys()) if (!names.has(name)) this.#inForce.delete(name);
    const ryw = runtime.config.endpoints.read.consistency === "read-your-writes";
    const text = renderSynchronous(ryw, [...names]);
    // A write that fails may have happened all the same: then the file is read again.
    this.#listed = undefined;
    const changed = await writeFileIfChanged(primary.files.synchronousFile, text, readableBy(runtime.owner));
    this.#listed = names;
    if (changed) runtime.log("info", `commits wait for: ${[...names].sort().join(", ") || "no replica"}`);
    await primary.use(async (session) => {
      await reloadAndWait(session, primary.files.dataDir, primary.node.name);
      await writeMark(session);
    });
  }

  /**
   * Puts replicas on the list and proves it in force. What was acknowledged before lies below the position taken then;
   * what comes after waits for the replica.
   */
  async #enlist(names: readonly string[]): Promise<void> {
    const primary = requireOwnPrimary(this.#runtime);
    const listed = await this.#readListed();
    const alreadyProven = [...listed].some((name) => this.#inForce.has(name));
    const proof = this.#provenFor;
    const emptied = this.#emptied;
    await this.#list((before) => (emptied === this.#emptied ? [...before, ...names] : before));
    await primary.use(async (session) => {
      // Taken once for this start of the primary: a later reload does not change synchronous_commit again.
      if (!alreadyProven) this.#ruleSince ??= await configurationLoadedAt(session);
      const from = await waitedForFrom(
        session,
        () => [...(this.#listed ?? names)],
        alreadyProven ? undefined : this.#ruleSince,
      );
      if (this.#provenFor !== proof || this.#emptied !== emptied) return;
      for (const name of names) if (this.#listed?.has(name)) this.#inForce.set(name, from);
    });
  }
}
