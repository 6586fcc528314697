import * as z from "zod";
import type { Lsn } from "../../../model/lsn.ts";
import { factsOf, isPrimary, silenceIn, type NodeObservation } from "../../../model/observation.ts";
import type { Endpoints } from "../../../services/endpoints.ts";
import type { PoolSight } from "../../../services/pool-keeper.ts";
import { PoolMembership } from "../../../services/pool-membership.ts";
import type { Routing } from "../../../services/read-pool.ts";
import { monotonic, now } from "../../../system/clock.ts";
import { writeFileIfChanged } from "../../../system/files/files.ts";
import { inspectJsonFile } from "../../../system/files/json-file.ts";
import { askTls } from "../../../system/network/mutual-tls.ts";
import { rightAtStart, rightByAgreement, rightByPatroni, type Right } from "../../decisions/primary/right.ts";
import { readsFrom, writesTo, type RoutingInput } from "../../decisions/primary/routing.ts";
import { API_PORT } from "../../documents/places.ts";
import type { HostPool } from "./host-pool.ts";
import type { OneHost } from "../host.ts";
import type { Servers } from "../servers.ts";
import type { StoreWatch } from "../store-watch.ts";

/** Milliseconds before the end of a right at which it is asked about, and for an answer. */
const ASK_BEFORE = 8000;
const CONFIRM_TIMEOUT = 1500;

const routingSchema = z.object({ writes: z.string().nullable(), reads: z.string().array() });

/** Where this host's endpoints lead, and the pool of replicas where this host's server is the primary. */
export class HostRouting {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #servers: Servers;
  readonly #hostPool: HostPool;
  readonly #standings: PoolMembership;
  readonly #pool = new Set<string>();
  #writes: string | undefined;
  /** What the record of it holds, once it was looked at. */
  #remembered = "";
  /** Where writes last went. */
  #lastWrites: string | undefined;
  /** Of a primary that only the store does not reach. */
  #agreed: Right | undefined;

  constructor(host: OneHost, store: StoreWatch, servers: Servers, hostPool: HostPool) {
    this.#host = host;
    this.#store = store;
    this.#servers = servers;
    this.#hostPool = hostPool;
    this.#standings = new PoolMembership(host.log);
  }

  /** Where writes go; undefined while they wait for a primary. */
  get writes(): string | undefined {
    return this.#writes;
  }

  /** Whether the server that writes go to answers as a primary. */
  get isPrimaryUp(): boolean {
    return isPrimary(this.#servers.of(this.#writes));
  }

  /** Replicas that reads go to, sorted. */
  get reads(): string[] {
    return [...this.#pool].sort();
  }

  get present(): Routing {
    return { primary: this.#writes, pool: this.reads };
  }

  /** Where the endpoints were led before this agent was started: it cuts nobody before it knows better. */
  async recall(): Promise<void> {
    const kept = await inspectJsonFile(this.#host.files.routing, routingSchema);
    if (kept?.ok !== true) return;
    this.#writes = kept.value.writes ?? undefined;
    if (this.#writes !== undefined) this.#store.believe(rightAtStart(this.#writes, monotonic()));
    for (const name of kept.value.reads) this.#pool.add(name);
  }

  async remember(): Promise<void> {
    const { primary, pool } = this.present;
    const known: z.input<typeof routingSchema> = { writes: primary ?? null, reads: [...pool] };
    const text = `${JSON.stringify(known)}\n`;
    if (text === this.#remembered) return;
    await writeFileIfChanged(this.#host.files.routing, text);
    this.#remembered = text;
  }

  decide(): void {
    const input = {
      store: this.#store.view,
      storeAnswers: this.#store.answers,
      observations: this.#servers.observations,
      last: this.#writes,
      rightful: this.#store.rightful,
      agreed: this.#agreed && monotonic() < this.#agreed.until ? this.#agreed.host : undefined,
    };
    const writes = this.#onceUnread(writesTo(input));
    if (writes !== this.#writes)
      this.#host.log("info", writes === undefined ? "writes wait for a primary" : `writes go to ${writes}`);
    this.#writes = writes;
    this.#lastWrites = writes ?? this.#lastWrites;
    const pool = this.#isFresh ? this.#hostPool.pool().names : this.#nearEnough(input);
    this.#pool.clear();
    for (const name of pool) this.#pool.add(name);
  }

  /**
   * While the store is silent the primary's Patroni is asked, before the right is over; and while the store says that
   * nobody holds the key.
   */
  async confirm(): Promise<void> {
    const host = this.#store.document.hosts.find(({ name }) => name === this.#lastWrites);
    // Patroni lets no host in that has endpoints alone: it is told by others.
    if (this.#store.record.role === "endpoints") return;
    const { answers, view, rightLasts } = this.#store;
    const isUnheld = answers && view?.founded === true && view.leader === undefined;
    if (!isUnheld) this.#agreed = undefined;
    if (!host || (!isUnheld && (answers || rightLasts > ASK_BEFORE))) return;
    const askedAt = monotonic();
    const answer = await askTls({
      host: host.address,
      port: API_PORT,
      method: "GET",
      path: "/patroni",
      trust: this.#host.identity,
      timeout: CONFIRM_TIMEOUT,
    }).catch(() => undefined);
    const text = answer?.text ?? "";
    if (isUnheld) {
      this.#agreed = rightByAgreement(host.name, text, askedAt);
      return;
    }
    const right = rightByPatroni(host.name, text, askedAt, now());
    if (right) this.#store.believe(right);
  }

  mayBeRead(node: string): boolean {
    return this.#isFresh ? this.#hostPool.serves(node) : this.#pool.has(node);
  }

  async lead(endpoints: Endpoints): Promise<void> {
    const held = this.#hostPool.pool();
    const pool = this.#isFresh ? [...held.names].sort() : this.present.pool;
    await endpoints.route({ primary: this.#writes, pool });
    this.#hostPool.led(held);
  }

  /** Keeps the pool where this host's server is the primary, as far as that is known. */
  async keepPool(): Promise<void> {
    if (!this.#isFresh) return;
    const { name } = this.#store.record;
    const own = this.#servers.of(name);
    const facts = factsOf(own);
    const leads = this.#store.answers && this.#store.view?.leader === name;
    // Nothing is acknowledged by it any more: whoever takes over need not wait for the store to say so.
    const isDown = silenceIn(own)?.kind === "not_running";
    if (leads && own && facts && isPrimary(own))
      await this.#hostPool.keep(this.#sightFrom(own, `${facts.started_at} ${facts.processes_since}`));
    else if (facts?.in_recovery === true || isDown || (this.#store.answers && !leads))
      await this.#hostPool.keep(undefined);
  }

  /** Whether the cluster promises that no read lacks what was acknowledged. */
  get #isFresh(): boolean {
    return this.#store.document.config.endpoints.read.consistency === "read-your-writes";
  }

  /**
   * A new primary is written to only when nobody can be read from any more whom the one before granted: its commits do
   * not wait for them.
   */
  #onceUnread(writes: string | undefined): string | undefined {
    const isNew = this.#isFresh && writes !== undefined && writes !== this.#writes;
    const { answers, poolOf } = this.#store;
    return isNew && answers && poolOf !== undefined && poolOf !== writes ? undefined : writes;
  }

  #sightFrom(primary: NodeObservation, start: string): PoolSight {
    const replicas = this.#servers.observations.filter(({ name }) => name !== primary.name);
    const members = new Set(this.#hostPool.pool().names);
    const { read } = this.#store.document.config.endpoints;
    const standings = this.#standings.decide(read, { primary, replicas, members });
    const replayed = replicas.flatMap((replica): [string, Lsn][] => {
      const lsn = factsOf(replica)?.replay_lsn;
      return lsn === undefined || lsn === null ? [] : [[replica.name, lsn]];
    });
    return {
      eligible: new Set(standings.filter(({ eligible }) => eligible).map(({ name }) => name)),
      replayed: new Map(replayed),
      start,
    };
  }

  /** Where reads are not promised to be fresh: who is near enough. */
  #nearEnough(input: RoutingInput): readonly string[] {
    const primary = this.#servers.of(this.#writes);
    const { read } = this.#store.document.config.endpoints;
    const standings = this.#standings.decide(read, {
      primary: isPrimary(primary) ? primary : undefined,
      replicas: this.#servers.observations.filter(({ name }) => name !== this.#writes),
      members: this.#pool,
    });
    const eligible = standings.filter((standing) => standing.eligible).map(({ name }) => name);
    return read.consistency === "eventual" ? eligible : readsFrom(eligible, this.#pool, input);
  }
}
