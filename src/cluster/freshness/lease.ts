/**
 * Reads that are never stale although the pool is spread over hosts.
 *
 * Who keeps the pool, on the primary's host, never tells others who serves reads: they ask, and what they are told holds
 * for a short time from the moment they asked. An answer that was on its way for long grants nothing, and one who hears
 * nothing any more lets go by itself. So the keeper knows, of every replica, when the last read can have been led to it,
 * without hearing from anybody; where it does hear that all sessions are cut, it need not wait for that.
 */

/** Milliseconds that an answer holds, by the clock of who asked, from when it was sent for. */
export const LEASE = 1500;

/**
 * Milliseconds from the end of a lease until no session is left on the replica, also where the agent that had it was
 * stopped: two of HAProxy's checks, 500 ms apart and each unanswered for 500 ms, have it cut.
 */
export const CUT = 2500;

/** What the keeper of the pool answers. */
export interface Grant {
  /** Which reign over the pool: a later one has a higher number. */
  readonly term: number;
  /** Which pool of this reign: each change has a higher number. */
  readonly version: number;
  readonly pool: readonly string[];
}

/** What an agent holds that asks. */
export interface Held {
  readonly grant: Grant;
  /** Until when (own monotonic clock, milliseconds). */
  readonly until: number;
}

/**
 * Takes an answer up. One that is older than what is held already is of a question that was overtaken: it would bring
 * back a replica whose cut was already told.
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
