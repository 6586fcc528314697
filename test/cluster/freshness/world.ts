import {
  asked,
  decided,
  type Keeper,
  type KeeperOrders,
  newKeeper,
  SETTLED,
  serving,
} from "../../../src/cluster/freshness/keeper.ts";
import { CUT, type Grant, type Held, leased, renewed } from "../../../src/cluster/freshness/lease.ts";

const REPLICAS = ["h2", "h3"] as const;
const ASKERS = ["h1", "app"] as const;
/** Milliseconds that the right to keep the pool outlives its last renewal. */
const RIGHT = 10_000;

type Replica = (typeof REPLICAS)[number];

interface Standby {
  received: bigint;
  replayed: bigint;
  /** Its replay hangs, or it was stopped. */
  hangs: boolean;
  streams: boolean;
}

/** One who reigns over the pool, or believes to. */
interface Reign {
  keeper: Keeper;
  orders: KeeperOrders;
  /** By its own reckoning. */
  rightUntil: number;
  /** L as the server has it, and from where each is waited for. */
  readonly inForce: Map<string, bigint>;
  readonly silentSince: Map<string, number>;
  look: { eligible: ReadonlySet<string>; replayed: ReadonlyMap<string, bigint> };
  sync: { members: ReadonlySet<string>; at: number } | undefined;
}

interface Balancer {
  held: Held | undefined;
  applied: { term: number; version: number } | undefined;
  question: { readonly at: number; readonly applied: Balancer["applied"] } | undefined;
  /** On their way to it; they may come late and in any order, or never. */
  readonly answers: { readonly grant: Grant; readonly at: number }[];
  /** Until when it may have sessions on a replica, unless they are cut before. */
  readonly open: Map<string, number>;
  frozen: boolean;
}

/** What may happen next; `which` chooses among replicas, balancers or answers. */
export type Happening =
  /** All that happens again and again while nothing is wrong. */
  | "round"
  /** One thing of the round, for one or for all, is left out from now on, or comes back. */
  | "upset"
  | "time"
  | "commit"
  | "receive"
  | "replay"
  | "hang"
  | "recover"
  | "look"
  | "decide"
  | "enforce"
  | "renew"
  | "read sync"
  | "patroni sees"
  | "patroni writes"
  | "ask"
  | "question arrives"
  | "answer arrives"
  | "lead"
  | "freeze"
  | "thaw"
  | "failover"
  | "take over";

const ROUND: readonly Happening[] = [
  ...(["time", "renew", "commit", "receive", "replay", "look", "read sync", "decide", "enforce"] as const),
  ...(["patroni sees", "patroni writes", "ask", "question arrives", "answer arrives", "lead"] as const),
];
/** What each replica or balancer does. */
const ALL_OF = new Set<Happening>(["receive", "replay", "ask", "question arrives", "answer arrives", "lead"]);

/**
 * A cluster on paper: time, WAL, replicas, Patroni's list, the pool's keeper, and balancers that ask it over a network
 * that may do everything but lie. After each thing that happens it can be asked whether a promise is broken.
 */
export class World {
  now = 100_000;
  /** End of WAL of the present primary, and the last position of which a client knows that it is committed. */
  #wal = 1n;
  acknowledged = 0n;
  #reign: Reign;
  /** Who reigned before and may not know yet that it is over. */
  #former: Reign | undefined;
  /** When the right of the present reign ends in the store. */
  #rightEnds: number;
  #primary: Replica | "h1" = "h1";
  /** Whether the primary's writes are led to it: after a failover only once the right is taken over. */
  #writes = true;
  readonly #standbys = new Map<Replica, Standby>();
  readonly #balancers = new Map<string, Balancer>();
  #sync = new Set<string>();
  #seen: { members: ReadonlySet<string>; at: number } | undefined;
  readonly #leftOut = new Set<string>();
  readsPossible = 0;
  failovers = 0;
  releases = 0;

  constructor() {
    this.#reign = this.#begin(1);
    this.#rightEnds = this.now + RIGHT;
    for (const name of REPLICAS)
      this.#standbys.set(name, { received: 1n, replayed: 1n, hangs: false, streams: true });
    for (const name of ASKERS)
      this.#balancers.set(name, {
        held: undefined,
        applied: undefined,
        question: undefined,
        answers: [],
        open: new Map(),
        frozen: false,
      });
  }

  #begin(term: number): Reign {
    return {
      keeper: newKeeper(term, []),
      orders: { list: [], refused: [] },
      rightUntil: this.now + RIGHT,
      inForce: new Map(),
      silentSince: new Map(),
      look: { eligible: new Set(), replayed: new Map() },
      sync: undefined,
    };
  }

  /** @returns what is broken */
  happens(what: Happening, which: number, time: number): string | undefined {
    if (what === "upset") this.#upset(which);
    if (what !== "round") return this.#happens(what, which, time);
    for (const one of ROUND) {
      for (const each of ALL_OF.has(one) ? [0, 1] : [which]) {
        if (this.#leftOut.has(`${one} ${ALL_OF.has(one) ? each : 0}`)) continue;
        const broken = this.#happens(one, each, one === "time" ? time : 0);
        if (broken !== undefined) return broken;
      }
    }
    return undefined;
  }

  #upset(which: number): void {
    const one = ROUND[which % ROUND.length] ?? "time";
    const key = `${one} ${ALL_OF.has(one) ? which % 2 : 0}`;
    if (!this.#leftOut.delete(key)) this.#leftOut.add(key);
  }

  #happens(what: Happening, which: number, time: number): string | undefined {
    this.now += time;
    const name = REPLICAS[which % REPLICAS.length] ?? "h2";
    const standby = this.#standbys.get(name);
    const balancer = this.#balancers.get(ASKERS[which % ASKERS.length] ?? "h1");
    const from = ASKERS[which % ASKERS.length] ?? "h1";
    const isReplica = standby !== undefined && name !== this.#primary;
    switch (what) {
      case "round":
      case "upset":
      case "time":
        break;
      case "commit":
        if (this.#writes) this.#wal += 1n;
        break;
      case "receive":
        if (isReplica && standby.streams) standby.received = this.#wal;
        break;
      case "replay":
        if (isReplica && !standby.hangs) standby.replayed = standby.received;
        break;
      case "hang":
        if (isReplica) standby.hangs = true;
        break;
      case "recover":
        if (isReplica) standby.hangs = false;
        break;
      case "look":
        this.#look();
        break;
      case "decide":
        this.#decide();
        break;
      case "enforce":
        this.#enforce();
        break;
      case "renew":
        // The store counts from when it hears, which is later than when it was said.
        this.#reign.rightUntil = this.now - time + RIGHT;
        this.#rightEnds = this.now + RIGHT;
        break;
      case "read sync":
        this.#reign.sync = { members: new Set(this.#sync), at: this.now };
        break;
      case "patroni sees":
        this.#seen = { members: this.#synchronous(), at: this.now };
        break;
      case "patroni writes":
        if (this.#seen && this.now - this.#seen.at < SETTLED) this.#sync = new Set(this.#seen.members);
        break;
      case "ask":
        if (balancer && !balancer.frozen) balancer.question = { at: this.now, applied: balancer.applied };
        break;
      case "question arrives":
        if (balancer) this.#answer(from, balancer);
        break;
      case "answer arrives":
        if (balancer && !balancer.frozen) this.#take(balancer, which);
        break;
      case "lead":
        if (balancer && !balancer.frozen) this.#lead(balancer);
        break;
      case "freeze":
        if (balancer) balancer.frozen = true;
        break;
      case "thaw":
        if (balancer) balancer.frozen = false;
        break;
      case "failover":
        return this.#failover();
      case "take over":
        this.#takeOver();
        break;
    }
    this.#acknowledge();
    return this.#broken();
  }

  #look(): void {
    const replicas = [...this.#standbys].filter(([name]) => name !== this.#primary);
    const fit = replicas.filter(([, { streams, hangs }]) => streams && !hangs).map(([name]) => name);
    this.#reign.look = {
      eligible: new Set(fit),
      replayed: new Map(replicas.map(([name, { replayed }]) => [name, replayed])),
    };
  }

  #decide(): void {
    const reign = this.#reign;
    const { inForce, silentSince, sync } = reign;
    const before = reign.orders.list.length;
    const look = { ...reign.look, inForce, silentSince, sync };
    const { keeper, orders } = decided(reign.keeper, look, this.now);
    Object.assign(reign, { keeper, orders });
    if (orders.list.length < before) this.releases += 1;
  }

  /** The server is brought to what was ordered last: refusals first, so that nobody leaves the list while it streams. */
  #enforce(): void {
    const { orders, inForce, silentSince } = this.#reign;
    for (const [name, standby] of this.#standbys) {
      if (name === this.#primary) continue;
      standby.streams = !orders.refused.includes(name);
      if (standby.streams) silentSince.delete(name);
      else if (!silentSince.has(name)) silentSince.set(name, this.now);
    }
    for (const name of inForce.keys()) if (!orders.list.includes(name)) inForce.delete(name);
    for (const name of orders.list) if (!inForce.has(name)) inForce.set(name, this.#wal);
  }

  /** Whom Patroni would take for synchronous: waited for, streaming, and with all that was written before it was. */
  #synchronous(): ReadonlySet<string> {
    return new Set(
      [...this.#reign.inForce]
        .filter(([name, from]) => {
          const standby = this.#standbys.get(asReplica(name));
          return standby?.streams === true && standby.received >= from;
        })
        .map(([name]) => name),
    );
  }

  #answer(from: string, balancer: Balancer): void {
    const { question } = balancer;
    if (!question) return;
    balancer.question = undefined;
    // It may be the former one who hears it.
    for (const reign of this.#former ? [this.#former, this.#reign] : [this.#reign]) {
      const heard = { from, applied: question.applied };
      const { keeper, grant } = asked(reign.keeper, heard, this.now, reign.rightUntil);
      reign.keeper = keeper;
      balancer.answers.push({ grant, at: question.at });
    }
  }

  #take(balancer: Balancer, which: number): void {
    const [answer] = balancer.answers.splice(which % Math.max(1, balancer.answers.length), 1);
    if (!answer) return;
    balancer.held = renewed(balancer.held, answer.grant, answer.at);
    const { held } = balancer;
    for (const name of leased(held, this.now))
      balancer.open.set(name, Math.max(balancer.open.get(name) ?? 0, held.until + CUT));
  }

  #lead(balancer: Balancer): void {
    const { held, open } = balancer;
    const pool = leased(held, this.now);
    for (const name of open.keys()) if (!pool.includes(name)) open.delete(name);
    balancer.applied = held?.grant;
  }

  #failover(): string | undefined {
    const name = [...this.#sync].map(asReplica).find((one) => one !== this.#primary);
    const standby = name && this.#standbys.get(name);
    if (!standby) return undefined;
    if (standby.received < this.acknowledged)
      return `${name} is promoted and lacks rows that were acknowledged`;
    this.failovers += 1;
    this.#primary = name;
    this.#wal = standby.received;
    standby.replayed = standby.received;
    for (const other of this.#standbys.values()) {
      other.streams = true;
      other.received = other.received < this.#wal ? other.received : this.#wal;
      other.replayed = other.replayed < this.#wal ? other.replayed : this.#wal;
    }
    this.#writes = false;
    this.#sync = new Set();
    this.#seen = undefined;
    this.#former = this.#reign;
    // Nobody keeps its pool before the right is free.
    this.#reign = { ...this.#begin(this.#former.keeper.term + 1), rightUntil: 0 };
    return this.#broken();
  }

  #takeOver(): void {
    if (this.#writes || this.now < this.#rightEnds) return;
    this.#writes = true;
    this.#reign.rightUntil = this.now + RIGHT;
    this.#rightEnds = this.now + RIGHT;
  }

  #acknowledge(): void {
    // What the former primary had not acknowledged is told to nobody before writes are led to the new one.
    if (!this.#writes) return;
    const { inForce } = this.#reign;
    const waited = [...inForce.keys()].map((name) => this.#standbys.get(asReplica(name))?.replayed ?? 0n);
    const done = waited.reduce((least, replayed) => (replayed < least ? replayed : least), this.#wal);
    if (done > this.acknowledged) this.acknowledged = done;
  }

  #broken(): string | undefined {
    const { inForce, keeper } = this.#reign;
    for (const name of serving(keeper)) if (!inForce.has(name)) return `${name} serves and is not waited for`;
    for (const [balancer, { open }] of this.#balancers) {
      for (const [name, until] of open) {
        if (this.now >= until) continue;
        this.readsPossible += 1;
        const replayed = this.#standbys.get(asReplica(name))?.replayed ?? 0n;
        if (replayed < this.acknowledged)
          return `${balancer} reads from ${name}, which has ${replayed} of ${this.acknowledged}`;
      }
    }
    return undefined;
  }
}

function asReplica(name: string): Replica {
  return name === "h3" ? "h3" : "h2";
}
