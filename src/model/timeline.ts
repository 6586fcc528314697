/** What is known of one change of the primary. */
interface Change {
  /** ISO 8601. */
  readonly at: string;
  readonly timeline: number | null;
}

/**
 * The timelines on which a moment may lie, the likeliest first: the one of then, as the cluster's own history has it, and the
 * present one. They differ where a promotion has lost something: only the old one has it.
 * @param at milliseconds since the epoch; undefined: no moment, but all that there is
 */
export function timelinesFor(history: readonly Change[], at: number | undefined, present: number): number[] {
  if (at === undefined) return [present];
  const then = history.findLast(
    (change) => change.timeline !== null && Date.parse(change.at) <= at,
  )?.timeline;
  return then === undefined || then === null || then >= present ? [present] : [then, present];
}
