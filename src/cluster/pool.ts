import { slotName } from "../config/layout.ts";
import { showBytes } from "../model/quantities.ts";
import { sayOf } from "../model/silence.ts";
import type { Consistency } from "../config/schema.ts";
import type { Lsn } from "../model/lsn.ts";
import { factsOf, fullFactsOf, identityOf, lagOf, type NodeObservation } from "../model/observation.ts";

/** A past position of the primary's end of WAL, by our own clock (milliseconds). */
export interface PrimaryMark {
  readonly at: number;
  readonly lsn: Lsn;
}

export interface PoolInput {
  readonly consistency: Consistency;
  /** Bytes. */
  readonly maxLag: number;
  readonly maxLagSeconds: number | undefined;
  /** Milliseconds that a commit may wait for a replica, in read-your-writes. */
  readonly maxCommitWait: number;
  readonly primary: NodeObservation | undefined;
  readonly replicas: readonly NodeObservation[];
  /** Nodes in the pool until now. */
  readonly members: ReadonlySet<string>;
  /** Looks at the primary of the last seconds, oldest first. */
  readonly marks: readonly PrimaryMark[];
  /** Our clock, milliseconds. */
  readonly now: number;
}

/** One replica's standing: whether it may serve reads, and the reason when it may not. */
export interface Eligibility {
  readonly name: string;
  readonly eligible: boolean;
  readonly reason: string | undefined;
}

/**
 * Milliseconds from when a replica is too late until commits no longer wait for it: two turns of the loop, and the cut
 * of its sessions.
 */
const LETTING_GO = 1500;

/**
 * In read-your-writes a commit waits for every member: one that has not replayed what the primary had this many
 * milliseconds ago holds up all writes and is let go, so that the whole stays below the stated bound.
 */
export function lateAfter(maxCommitWait: number): number {
  return Math.max(500, maxCommitWait - LETTING_GO);
}

/**
 * Decides which replicas may serve reads. Pure: the same observations always give the same answer.
 * A replica that left because of its lag comes back only below half the bound, so that it does not flap.
 */
export function decidePool(input: PoolInput): Eligibility[] {
  const eligibilities = input.replicas.map((replica) => eligibilityOf(replica, input));
  const primaryGone = identityOf(input.primary) === undefined;
  if (!primaryGone || input.consistency === "eventual") return eligibilities;
  if (input.consistency === "read-your-writes") {
    // Without the primary nothing new is acknowledged: members still have all that ever was, others may not.
    return eligibilities.map((eligibility) =>
      input.members.has(eligibility.name) && isReplica(eligibility.name, input)
        ? { ...eligibility, eligible: true, reason: undefined }
        : eligibility,
    );
  }
  if (eligibilities.some((eligibility) => eligibility.eligible)) return eligibilities;
  // The primary cannot answer: a replica that can is better than a refused connection.
  return eligibilities.map((eligibility) =>
    isReplica(eligibility.name, input)
      ? { name: eligibility.name, eligible: true, reason: undefined }
      : eligibility,
  );
}

/** Whether a node answers as a replica: one that was promoted by hand may have data that no other has. */
function isReplica(name: string, input: PoolInput): boolean {
  return factsOf(input.replicas.find((replica) => replica.name === name))?.in_recovery === true;
}

function eligibilityOf(replica: NodeObservation, input: PoolInput): Eligibility {
  const reason = whyNot(replica, input);
  return { name: replica.name, eligible: reason === undefined, reason };
}

function whyNot(replica: NodeObservation, input: PoolInput): string | undefined {
  const facts = factsOf(replica);
  if (!facts) return replica.answer.kind === "none" ? sayOf(replica.answer.silence) : "does not answer";
  if (!facts.in_recovery) return "is not a replica";
  if (input.consistency === "eventual") return undefined;
  if (facts.receiver_status !== "streaming") return "does not stream";
  const primary = identityOf(input.primary);
  if (!primary) return input.members.has(replica.name) ? undefined : "the primary does not answer";
  if (facts.timeline !== primary.timeline) {
    return `is on timeline ${facts.timeline}, the primary on ${primary.timeline}`;
  }
  const slot = fullFactsOf(input.primary)?.slots.find(
    (candidate) => candidate.slot_name === slotName(replica.name),
  );
  if (slot?.wal_status === "lost") return "its slot is lost: the WAL that it needs is gone";
  const lag = lagOf(facts, primary);
  if (lag.bytes === undefined) return "its lag is unknown";
  const share = input.members.has(replica.name) ? 1 : 0.5;
  if (lag.bytes > input.maxLag * share)
    return `is ${showBytes(lag.bytes)} behind (limit ${showBytes(input.maxLag)})`;
  const late = lateness(facts.replay_lsn, input);
  if (input.maxLagSeconds !== undefined && late > input.maxLagSeconds * 1000 * share) {
    return `is more than ${Math.round(late / 100) / 10} s behind (limit ${input.maxLagSeconds} s)`;
  }
  if (input.consistency === "read-your-writes") {
    if (facts.replay_paused) return "its replay is paused";
    if (late > lateAfter(input.maxCommitWait))
      return `has not replayed what the primary wrote ${Math.round(late / 100) / 10} s ago`;
  }
  return undefined;
}

/** Milliseconds since the oldest position of the primary that the replica has not replayed yet; 0 when it has all. */
function lateness(replayed: Lsn | null, input: PoolInput): number {
  const missing = input.marks.find((mark) => replayed === null || mark.lsn > replayed);
  return missing ? Math.max(0, input.now - missing.at) : 0;
}

/** Keeps the positions of the primary that still matter: those of the last `span` milliseconds. */
export function rememberMark(marks: readonly PrimaryMark[], mark: PrimaryMark, span: number): PrimaryMark[] {
  return [...marks.filter((old) => mark.at - old.at <= span && old.lsn <= mark.lsn), mark];
}
