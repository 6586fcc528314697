/**
 * Reads that are never stale although the pool is spread over hosts.
 *
 * The keeper of the pool, on the primary's host, never tells other hosts unasked which replicas serve reads: they ask,
 * and an answer holds for a short time from the moment of the question. An answer that was under way for long grants
 * nothing, and a host that gets no more answers lets go by itself. So the keeper knows for every replica when the last
 * read can have reached it, without a report from any host; if one reports all sessions cut, it need not wait.
 */

/** Milliseconds that an answer holds after the question was sent, by the clock of the host that asked. */
export const LEASE = 1500;

/**
 * Milliseconds from the end of a lease until no session is left on the replica, also where the agent that had it was
 * stopped: two of HAProxy's checks, 500 ms apart and each unanswered for 500 ms, have it cut.
 */
export const CUT = 2500;

/** An answer of the keeper of the pool. */
export interface Grant {
  /** The reign over the pool: a later one has a higher number. */
  readonly term: number;
  /** The pool's version in this reign: each change has a higher number. */
  readonly version: number;
  readonly pool: readonly string[];
}

/** What an asking agent holds. */
export interface Held {
  readonly grant: Grant;
  /** Until when (own monotonic clock, milliseconds). */
  readonly until: number;
}

/**
 * Takes up an answer. One older than the answer already held belongs to a question that was overtaken: it would bring
 * back a replica whose cut was already reported.
 * @param askedAt when the question was sent (own monotonic clock)
 */
export function renewed(held: Held | undefined, grant: Grant, askedAt: number): Held {
  const isOlder =
    held !== undefined &&
    (grant.term < held.grant.term || (grant.term === held.grant.term && grant.version < held.grant.version));
  if (isOlder) return held;
  return { grant, until: askedAt + LEASE };
}

/** Replicas that may serve reads now. */
export function leased(held: Held | undefined, now: number): readonly string[] {
  return held !== undefined && now < held.until ? held.grant.pool : [];
}
