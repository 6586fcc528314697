import { parseLsn, type Lsn } from "./lsn.ts";

/** One recorded change of the primary. */
interface Change {
  /** ISO 8601. */
  readonly at: string;
  readonly timeline: number | null;
}

/**
 * The newest timeline of a cluster whose primary is gone. Its history may lack the last change, where the agent was
 * killed before it was written. What the repository has proves nothing: a trial may have archived there.
 * @param seen on which the agent saw the primary last; undefined where it did not
 * @returns undefined where nothing is known
 */
export function newestTimeline(history: readonly Change[], seen: number | undefined): number | undefined {
  const known = [...history.map(({ timeline }) => timeline), seen].flatMap((timeline) => timeline ?? []);
  return known.length ? Math.max(...known) : undefined;
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

/**
 * Whether recovery from a base backup leads to a timeline: it does not where the base backup's own was left before it was
 * complete, as after a recovery to an earlier moment.
 * @param history the timeline's history as PostgreSQL writes it: a line for each before it, and where that was left;
 * undefined where there is none
 */
export function leadsTo(
  base: { readonly timeline: number | null; readonly stop_lsn: string },
  timeline: number,
  history: string | undefined,
): boolean {
  if (base.timeline === null || base.timeline === timeline) return true;
  const lsn = leftAt(base.timeline, history);
  return lsn !== undefined && parseLsn(base.stop_lsn) <= lsn;
}

/**
 * Where a timeline was left for the one whose history it is.
 * @param history as PostgreSQL writes it
 * @returns undefined where it is none of those before
 */
export function leftAt(timeline: number, history: string | undefined): Lsn | undefined {
  for (const line of (history ?? "").split("\n")) {
    const [, left, lsn] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/.exec(line) ?? [];
    if (lsn !== undefined && Number(left) === timeline) return parseLsn(lsn);
  }
  return undefined;
}

/** The timelines before one, the oldest first. @param history as PostgreSQL writes it */
export function timelinesBefore(history: string | undefined): number[] {
  return (history ?? "").split("\n").flatMap((line) => {
    const [, timeline] = /^\s*(\d+)\s+[0-9A-F]+\/[0-9A-F]+/.exec(line) ?? [];
    return timeline === undefined ? [] : [Number(timeline)];
  });
}

/** As PostgreSQL names the segment in which a byte of the WAL lies (xlog_internal.h, XLogFileName). */
export function segmentName(timeline: number, lsn: Lsn, segmentBytes: number): string {
  const number = lsn / BigInt(segmentBytes);
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  const hex = (value: bigint | number): string => value.toString(16).toUpperCase().padStart(8, "0");
  return `${hex(timeline)}${hex(number / perFile)}${hex(number % perFile)}`;
}

/** The timeline and the number of a segment, by its name; undefined for the name of something else. */
export function segmentOf(
  name: string,
  segmentBytes: number,
): { readonly timeline: number; readonly number: bigint } | undefined {
  const [, timeline, file, rest] = /^([0-9A-F]{8})([0-9A-F]{8})([0-9A-F]{8})$/.exec(name) ?? [];
  if (timeline === undefined || file === undefined || rest === undefined) return undefined;
  const perFile = 0x1_0000_0000n / BigInt(segmentBytes);
  return {
    timeline: Number.parseInt(timeline, 16),
    number: BigInt(`0x${file}`) * perFile + BigInt(`0x${rest}`),
  };
}

/** As PostgreSQL names the file with a timeline's history. */
export function historyFile(timeline: number): string {
  return `${timeline.toString(16).toUpperCase().padStart(8, "0")}.history`;
}
