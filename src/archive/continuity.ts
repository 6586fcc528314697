import { parseLsn, type Lsn } from "../model/lsn.ts";
import { leadsTo, leftAt, segmentName, segmentOf, timelinesBefore } from "../model/timeline.ts";
import type { BaseBackup, Gap, TimelineChange } from "../model/backups/archive-status.ts";

/** A primary's own timeline, and how far it has written there. */
export interface Writing {
  readonly timeline: number;
  /** Where it writes: its segment is not finished. */
  readonly at: Lsn;
  readonly segmentBytes: number;
  /** Of the timeline, as PostgreSQL writes it; undefined: it has none before it. */
  readonly history: string | undefined;
}

/** Segments that are looked for one by one: 16 TB of 16 MB each. More is no history of a cluster that goes on from a base. */
const MOST_SEGMENTS = 1_000_000;

/**
 * The segments that a repository must hold for a base backup to lead to where a primary writes: of earlier timelines, and
 * of its own, which it may not have archived from the beginning. It is the newest base backup that is older than a time up to
 * which everything was there, so that what came after that time is among them. Pure.
 * @param bases the oldest first
 * @param whole milliseconds since the epoch up to which everything was there
 * @returns their names, in the order in which they are replayed; undefined where no base backup is known to lead there
 */
export function segmentsSince(
  bases: readonly BaseBackup[],
  whole: number,
  writing: Writing,
): string[] | undefined {
  const base = baseSince(bases, whole, writing);
  return base && segmentsOf(base, writing.at / BigInt(writing.segmentBytes), writing);
}

/** The base backup with which these begin. Pure. */
export function baseSince(
  bases: readonly BaseBackup[],
  whole: number,
  writing: Writing,
): BaseBackup | undefined {
  return baseOf(leading(bases, writing), whole);
}

/** What lies between a base backup and the next one, or where the next one does not begin: each second is made from the first. */
export interface Stretch {
  readonly base: BaseBackup;
  readonly next: BaseBackup;
  /** Names of the segments that have to be there. */
  readonly segments: readonly string[];
}

/** What a repository holds of them. */
export interface HeldBefore {
  readonly stretches: readonly Stretch[];
  readonly held: ReadonlySet<string>;
}

/**
 * What the older base backups need for each second up to the next one: that is before what `segmentsSince` tells of. Pure.
 * @param bases the oldest first
 * @param whole as there
 */
export function stretchesBefore(bases: readonly BaseBackup[], whole: number, writing: Writing): Stretch[] {
  const all = leading(bases, writing);
  const last = baseOf(all, whole);
  const older = last ? all.slice(0, all.indexOf(last)) : [];
  const size = BigInt(writing.segmentBytes);
  return older.flatMap((base, index) => {
    const next = all[index + 1];
    const segments = next && segmentsOf(base, parseLsn(next.stop_lsn) / size + 1n, writing);
    return next && segments ? [{ base, next, segments }] : [];
  });
}

/**
 * The gaps of a record, with one for each two base backups between which WAL is missing that no gap tells of: nothing of that
 * time counts then, as how far it goes only the missing WAL would tell. The next base backup counts from its end on. What an
 * earlier look has found counts as it is by now. Pure.
 */
export function withHoles(gaps: readonly Gap[], { stretches, held }: HeldBefore): Gap[] {
  const looked = stretches.map(({ base, next }) => ({ from: base.started_at, to: next.started_at }));
  const others = gaps.filter((gap) => !looked.some(({ from, to }) => from === gap.from && to === gap.to));
  const holes = stretches.flatMap(({ segments }, index) => {
    const { from = "", to = "" } = looked[index] ?? {};
    const told = others.filter((gap) => Date.parse(gap.to) > Date.parse(from) && gap.from < to);
    return runsMissing(segments, held) > told.length ? [{ from, to }] : [];
  });
  return [...others, ...holes].toSorted((a, b) => Date.parse(a.from) - Date.parse(b.from));
}

/** How often some of the segments are missing one after another: as often WAL was given up, or lost. */
function runsMissing(segments: readonly string[], held: ReadonlySet<string>): number {
  const isMissing = (name: string | undefined): boolean => name !== undefined && !held.has(name);
  return segments.filter((name, index) => isMissing(name) && !isMissing(segments[index - 1])).length;
}

function leading(bases: readonly BaseBackup[], { timeline, history }: Writing): BaseBackup[] {
  return bases.filter((one) => one.timeline !== null && leadsTo(one, timeline, history));
}

function baseOf(all: readonly BaseBackup[], whole: number): BaseBackup | undefined {
  return all.findLast(({ stopped_at }) => Date.parse(stopped_at) <= whole);
}

/** Segments from the first that a base backup needs, up to one by its number, which is not among them; undefined: too many. */
function segmentsOf(base: BaseBackup, until: bigint, writing: Writing): string[] | undefined {
  const { timeline, segmentBytes, history } = writing;
  const from = base.timeline ?? timeline;
  const size = BigInt(segmentBytes);
  // The segment in which a timeline was left is the first of the next one, which holds all of it up to there.
  const parts = [
    ...timelinesBefore(history).flatMap((before) => {
      const left = before < from ? undefined : leftAt(before, history);
      return left === undefined ? [] : [{ timeline: before, end: left / size }];
    }),
    { timeline, end: until },
  ];
  const begun = segmentOf(base.archive_start ?? "", segmentBytes)?.number;
  let next = begun ?? parseLsn(base.stop_lsn) / size;
  if (parts.some(({ end }) => end - next > BigInt(MOST_SEGMENTS))) return undefined;
  const names: string[] = [];
  for (const part of parts)
    for (; next < part.end && next < until; next += 1n)
      names.push(segmentName(part.timeline, next * size, segmentBytes));
  return names;
}

/**
 * Which files of a primary's WAL are finished segments of the history that it goes on from: those of a timeline after it was
 * left are of nobody, and later names are of segments that are kept to be written anew. Pure.
 * @param names of files in pg_wal
 * @returns the ones of earlier timelines first
 */
export function finishedSegments(
  names: readonly string[],
  { timeline, at, segmentBytes, history }: Writing,
): string[] {
  const size = BigInt(segmentBytes);
  const ends = new Map(
    timelinesBefore(history).map((before) => [before, (leftAt(before, history) ?? 0n) / size]),
  ).set(timeline, at / size);
  return names
    .filter((name) => {
      const of = segmentOf(name, segmentBytes);
      return of !== undefined && of.number < (ends.get(of.timeline) ?? 0n);
    })
    .toSorted();
}

/** Which changes of the primary are known, each timeline once, by what was noted of it first. Pure. */
export function mergedTimelines(
  known: readonly TimelineChange[],
  others: readonly { readonly at: string; readonly timeline: number | null }[],
): TimelineChange[] {
  const merged = new Map(known.map((change) => [change.timeline, change]));
  for (const { at, timeline } of others)
    if (timeline !== null && !merged.has(timeline)) merged.set(timeline, { at, timeline });
  return [...merged.values()].toSorted((a, b) => a.timeline - b.timeline);
}
