import type { Lsn } from "../../model/lsn.ts";
import { CUT, type Grant, LEASE } from "./lease.ts";

/**
 * What the keeper of the pool knows. It is a value: `asked` and `decided` return a new one.
 *
 * The promise: every acknowledged commit has waited for each replica that serves reads, and for each that Patroni may
 * promote. With P for the replicas that may serve reads, L for those that commits wait for: P ⊆ L and /sync ⊆ L.
 *
 * Coming: onto L, L proven in force, everything replayed that was acknowledged before, into P. Leaving: out of P; its
 * replication refused, so that Patroni takes it out of /sync; every session on it cut, or every lease expired; /sync
 * seen without it; only then off L, and commits go on.
 */
export interface Keeper {
  readonly term: number;
  readonly version: number;
  /** Of every replica on L, how far it has come; the others are out. */
  readonly members: ReadonlyMap<string, Phase>;
  /** What each host that asked was answered. */
  readonly askers: ReadonlyMap<string, Asker>;
}

type Phase =
  | { readonly kind: "joining" | "serving" }
  /** Since which version it is in no pool. */
  | { readonly kind: "leaving"; readonly since: number };

interface Asker {
  /** It has no session on a replica that is not in the pool of this version. */
  readonly applied: number;
  /** When an answer to it last named each replica (our monotonic clock, milliseconds). */
  readonly told: ReadonlyMap<string, number>;
}

/**
 * Milliseconds that a view of /sync must be younger than the end of a replica's replication: Patroni may just have been
 * about to write what it saw one loop ago.
 */
export const SETTLED = 2000;

/** What the keeper decides by. Names are those of replicas; times are of our monotonic clock, milliseconds. */
export interface KeeperLook {
  /** Replicas that are fit to serve. */
  readonly eligible: ReadonlySet<string>;
  /** From which position on commits provably wait for a replica, by the list that is in force. */
  readonly inForce: ReadonlyMap<string, Lsn>;
  readonly replayed: ReadonlyMap<string, Lsn>;
  /** Since when a replica's replication is refused, and seen to have ended. */
  readonly silentSince: ReadonlyMap<string, number>;
  /** Patroni's /sync as a majority of the store has it, and when that was asked for; undefined where it does not answer. */
  readonly sync: { readonly members: ReadonlySet<string>; readonly at: number } | undefined;
}

/** What the cluster is to be brought to. */
export interface KeeperOrders {
  /** L: the replicas that commits wait for. Growing it may be retried; only this shrinks it. */
  readonly list: readonly string[];
  /** The replicas whose replication is to be refused. */
  readonly refused: readonly string[];
}

/**
 * A new reign. It has given no answer yet, and every lease of the reign before has expired.
 * @param listed L as the primary has it: commits wait for these already, and they leave like all others
 */
export function newKeeper(term: number, listed: readonly string[]): Keeper {
  return {
    term,
    version: 1,
    members: new Map(listed.map((name) => [name, { kind: "joining" }])),
    askers: new Map(),
  };
}

export function serving(keeper: Keeper): readonly string[] {
  return [...keeper.members].filter(([, { kind }]) => kind === "serving").map(([name]) => name);
}

export interface Question {
  /** The host that asks: a name for its HAProxy. */
  readonly from: string;
  /** The pool that its HAProxy serves: that of the previous answer, as soon as all other sessions are cut. */
  readonly applied: { readonly term: number; readonly version: number } | undefined;
}

/**
 * Answers which replicas may serve reads.
 * @param rightUntil until when no other host can have begun a reign (our clock): no lease and no cut is to end later
 */
export function asked(
  keeper: Keeper,
  question: Question,
  now: number,
  rightUntil: number,
): { readonly keeper: Keeper; readonly grant: Grant } {
  const { term, version } = keeper;
  const pool = now + LEASE + CUT <= rightUntil ? serving(keeper) : [];
  const before = keeper.askers.get(question.from);
  const applied = question.applied?.term === term ? question.applied.version : 0;
  const asker: Asker = {
    applied: Math.max(before?.applied ?? 0, applied),
    told: new Map([...(before?.told ?? []), ...pool.map((name): [string, number] => [name, now])]),
  };
  return {
    keeper: { ...keeper, askers: new Map([...keeper.askers, [question.from, asker]]) },
    grant: { term, version, pool },
  };
}

/** One decision by the newest observations. */
export function decided(
  keeper: Keeper,
  look: KeeperLook,
  now: number,
): { readonly keeper: Keeper; readonly orders: KeeperOrders } {
  const version = keeper.version + 1;
  const members = new Map<string, Phase>();
  for (const [name, phase] of keeper.members) {
    const next = nextPhase(keeper, name, phase, look, now);
    if (next) members.set(name, next);
  }
  for (const name of look.eligible) if (!keeper.members.has(name)) members.set(name, { kind: "joining" });
  const hasChanged = [...new Set([...members.keys(), ...keeper.members.keys()])].some(
    (name) => (members.get(name)?.kind === "serving") !== (keeper.members.get(name)?.kind === "serving"),
  );
  const next = { ...keeper, members, version: hasChanged ? version : keeper.version };
  const refused = [...members].filter(([, { kind }]) => kind === "leaving").map(([name]) => name);
  return { keeper: next, orders: { list: [...members.keys()].sort(), refused: refused.sort() } };
}

/** @returns undefined where it is out */
function nextPhase(
  keeper: Keeper,
  name: string,
  phase: Phase,
  look: KeeperLook,
  now: number,
): Phase | undefined {
  if (phase.kind === "leaving") return mayGo(keeper, name, phase.since, look, now) ? undefined : phase;
  const from = look.inForce.get(name);
  // A host that was answered with this replica has heard of a version without it once it knows the next one.
  const leaving: Phase = { kind: "leaving", since: keeper.version + (phase.kind === "serving" ? 1 : 0) };
  if (!look.eligible.has(name)) return leaving;
  if (phase.kind === "serving") return from === undefined ? leaving : phase;
  const replayed = look.replayed.get(name);
  const hasAll = from !== undefined && replayed !== undefined && replayed >= from;
  return hasAll ? { kind: "serving" } : phase;
}

/** The end of a reign: all replicas leave the pool, and none joins. Commits go on waiting for the same replicas. */
export function closed(keeper: Keeper): Keeper {
  const since = keeper.version + 1;
  const members = [...keeper.members.keys()].map((name): [string, Phase] => [
    name,
    { kind: "leaving", since },
  ]);
  return { ...keeper, version: since, members: new Map(members) };
}

/** Whether replicas that left with this version or before can no longer serve any read. */
export function isUnread({ askers, version }: Keeper, now: number): boolean {
  return [...askers.values()].every(({ applied, told }) =>
    [...told.values()].every((at) => applied >= version || now >= at + LEASE + CUT),
  );
}

/** Whether commits need no longer wait for a replica that has left the pool. */
function mayGo(keeper: Keeper, name: string, since: number, look: KeeperLook, now: number): boolean {
  const isRead = [...keeper.askers.values()].some(({ applied, told }) => {
    const at = told.get(name);
    return at !== undefined && applied < since && now < at + LEASE + CUT;
  });
  const silent = look.silentSince.get(name);
  if (isRead || silent === undefined || look.sync === undefined) return false;
  return look.sync.at >= silent + SETTLED && !look.sync.members.has(name);
}
