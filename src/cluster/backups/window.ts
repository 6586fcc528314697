import * as z from "zod";
import type { Archiving, ArchiveStatus, BaseBackup, Gap } from "../../model/backups/archive-status.ts";
import type { ServerFacts } from "../../model/observation.ts";
import { showSeconds } from "../../model/quantities.ts";

/** The seconds that can be brought back. */
export const windowSchema = z.strictObject({
  /** ISO 8601. Null while there is no base backup whose WAL is whole. */
  from: z.string().nullable(),
  /** What the repository holds: everything up to here is there also when this host's data is lost. */
  to: z.string().nullable(),
  /** Times in between that cannot be brought back. */
  gaps: z.array(z.strictObject({ from: z.string(), to: z.string() })),
  /** Whether WAL is taken into the repository now. */
  archiving: z.boolean(),
  base_backups: z.number(),
});
export type Window = z.output<typeof windowSchema>;

/** As one line, without its end. @param now milliseconds since the epoch */
export function windowWords({ from, to, gaps, archiving }: Window, now: number): string {
  if (from === null || to === null) return archiving ? "none yet: a base backup is made first" : "none";
  const age = showSeconds(Math.max(0, Math.round((now - Date.parse(to)) / 1000)));
  const days = ((Date.parse(to) - Date.parse(from)) / 86_400_000).toFixed(1);
  const lacking = gaps.length ? gaps.map((gap) => `${told(gap.from)} to ${told(gap.to)}`).join(", ") : "none";
  return `any second from ${told(from)} to ${told(to)} UTC (${age} ago) · ${days} d · gaps: ${lacking}`;
}

function told(at: string): string {
  return at.slice(0, 19).replace("T", " ");
}

/**
 * A random moment of a window, in milliseconds since the epoch; undefined while there is none. What is older than the
 * window is there as long as its base backup is, without the attachments that it alone names: it is left out. Pure.
 * @param milliseconds that are promised, counted from the end
 * @param random from 0 to 1, 1 excluded
 */
export function momentByChance(
  { from, to, gaps }: Window,
  milliseconds: number,
  random: number,
): number | undefined {
  if (from === null || to === null) return undefined;
  const end = Date.parse(to);
  const begin = Math.max(Date.parse(from), end - milliseconds);
  // Between gaps, each without its begin: at the end of a base backup, or of a gap, there is no moment yet.
  const starts = [begin, ...gaps.map((gap) => Date.parse(gap.to))];
  const ends = [...gaps.map((gap) => Date.parse(gap.from)), end];
  const spans = starts.flatMap((start, index) => {
    const span = { from: Math.max(start, begin), to: ends[index] ?? end };
    return span.to > span.from ? [span] : [];
  });
  let left = Math.floor(random * spans.reduce((sum, span) => sum + span.to - span.from, 0)) + 1;
  for (const span of spans) {
    if (left <= span.to - span.from) return span.from + left;
    left -= span.to - span.from;
  }
  return undefined;
}

interface Span {
  readonly from: number;
  readonly to: number;
}

/** The base backups, and how far the WAL between and after them is archived. Times are ISO 8601. */
export interface Kept {
  readonly bases: readonly BaseBackup[];
  readonly archiving: Pick<Archiving, "archiving" | "since" | "gaps" | "timelines"> | undefined;
  /** Milliseconds since the epoch up to which WAL is in the repository. */
  readonly end: number;
}

export function windowOf(kept: Kept): Window {
  const spans = spansOf(kept);
  const [first] = spans;
  const last = spans.at(-1);
  const gaps = spans
    .slice(1)
    .map((span, index) => ({ from: iso(spans[index]?.to ?? 0), to: iso(span.from) }));
  return {
    from: first === undefined ? null : iso(first.from),
    to: last === undefined ? null : iso(last.to),
    gaps,
    archiving: kept.archiving?.archiving ?? false,
    base_backups: kept.bases.length,
  };
}

/** The base backups from which a moment can be made, the newest first: none, where it lies outside of the window. */
export function basesFor(kept: Kept, at: number): BaseBackup[] {
  return kept.bases
    .filter((base) => {
      const span = reachOf(base, kept);
      return span.from < at && at <= span.to;
    })
    .toReversed();
}

/**
 * Since when there is no base backup that begins what is archived, in milliseconds since the epoch: after the last gap, or ever
 * (-Infinity). Undefined: there is one. Pure.
 */
export function baseLackedFrom(
  gaps: readonly Gap[],
  bases: readonly Pick<BaseBackup, "started_at">[],
): number | undefined {
  const from = gaps.reduce((last, { to }) => Math.max(last, Date.parse(to)), -Infinity);
  return bases.some(({ started_at }) => Date.parse(started_at) >= from) ? undefined : from;
}

/** The base backups whose WAL is whole up to the end, the newest first; all, where WAL is missing at the end. */
export function basesToEnd(kept: Kept): BaseBackup[] {
  const whole = kept.bases.filter((base) => reachOf(base, kept).to >= kept.end);
  return (whole.length ? whole : kept.bases).toReversed();
}

/** Spans without a gap in them, the oldest first. */
function spansOf(kept: Kept): Span[] {
  const spans: Span[] = [];
  for (const base of kept.bases) {
    const reach = reachOf(base, kept);
    if (reach.to < reach.from) continue;
    const last = spans.at(-1);
    if (last && reach.from <= last.to) spans[spans.length - 1] = { ...last, to: Math.max(last.to, reach.to) };
    else spans.push(reach);
  }
  return spans;
}

/** From the end of a base backup to the first gap after its begin. */
function reachOf({ started_at, stopped_at }: BaseBackup, { archiving, end }: Kept): Span {
  const started = Date.parse(started_at);
  const gaps: readonly Gap[] = archiving?.gaps ?? [];
  const open = archiving?.archiving === false ? [{ from: archiving.since, to: iso(end) }] : [];
  const first = [...gaps, ...open].find(({ to }) => Date.parse(to) > started);
  return {
    from: Date.parse(stopped_at),
    to: first === undefined ? end : Math.min(end, Date.parse(first.from)),
  };
}

function iso(at: number): string {
  return new Date(at).toISOString();
}

/** Segments that a primary has finished and not archived yet; 0 where that is unknown. */
export function segmentsWaiting(facts: ServerFacts | undefined): number {
  const { archiver, current_lsn, wal_segment_bytes, timeline } = facts ?? {};
  // The note that a base backup leaves is named for its first segment, and archived after that.
  const [name] = /^[0-9A-F]{24}(?=$|\.[0-9A-F]{8}\.backup$)/.exec(archiver?.last_archived_wal ?? "") ?? [];
  if (!name || !current_lsn || !wal_segment_bytes) return 0;
  if (Number.parseInt(name.slice(0, 8), 16) !== timeline) return 0;
  const perFile = 0x1_0000_0000 / wal_segment_bytes;
  const archived = Number.parseInt(name.slice(8, 16), 16) * perFile + Number.parseInt(name.slice(16), 16);
  const current = Number(current_lsn / BigInt(wal_segment_bytes));
  return Math.max(0, current - archived - 1);
}

/** Whether a primary's last attempt to archive failed. */
export function isArchivingFailing(facts: ServerFacts | undefined): boolean {
  const { last_failed_at = null, last_archived_at = null } = facts?.archiver ?? {};
  return last_failed_at !== null && last_failed_at > (last_archived_at ?? 0);
}

/**
 * Up to when a repository holds everything, by what its primary says. A finished segment waits no longer than a moment,
 * and one that is not full is finished after archive_timeout: where none waits, what is older is there.
 * @param timeoutSeconds archive_timeout
 */
export function archivedUpTo(
  facts: ServerFacts | undefined,
  status: Pick<ArchiveStatus, "bases"> | undefined,
  timeoutSeconds: number,
): number {
  const base = Date.parse(status?.bases.at(-1)?.stopped_at ?? "");
  const least = Number.isNaN(base) ? 0 : base;
  if (!facts?.archiver) return least;
  const archived = Math.max(least, facts.archiver.last_archived_at ?? 0);
  if (isArchivingFailing(facts) || segmentsWaiting(facts) > 0) return archived;
  return Math.max(archived, facts.now - timeoutSeconds * 1000);
}

/**
 * Up to when all is archived, where WAL waits that will never be archived. Nothing of it is younger than
 * archive_timeout when its segment is finished. Times are milliseconds since the epoch.
 * @param waiting when the oldest segment that waits was finished
 * @param timeoutSeconds archive_timeout
 */
export function archivedBefore(
  known: {
    /** Null after a crash, and on a primary that has archived nothing yet. */
    readonly lastArchivedAt: number | null;
    readonly waiting: number | undefined;
    readonly bases: readonly Pick<BaseBackup, "stopped_at">[];
    /** Since when WAL is archived at all. */
    readonly since: number;
    /** Up to when all was seen to be archived before. */
    readonly seen: number | undefined;
  },
  timeoutSeconds: number,
): number {
  const { lastArchivedAt, waiting, bases, since, seen } = known;
  const last = bases.at(-1);
  const least = Math.max(last === undefined ? since : Date.parse(last.stopped_at), seen ?? 0);
  const archived = Math.min(
    lastArchivedAt ?? Infinity,
    waiting === undefined ? Infinity : Math.floor(waiting) - timeoutSeconds * 1000,
  );
  return archived === Infinity ? least : Math.max(least, archived);
}

/**
 * Whether so much WAL waits that it has to be given up, before it fills the disk: more than a quarter of it, or more than
 * half of what would be free without it. Four segments may always wait.
 */
export function isQueueFull(
  waiting: { readonly segments: number; readonly segmentBytes: number },
  disk: { readonly totalBytes: number; readonly freeBytes: number },
): boolean {
  const bytes = waiting.segments * waiting.segmentBytes;
  if (waiting.segments <= 4) return false;
  return bytes > disk.totalBytes / 4 || bytes > (disk.freeBytes + bytes) / 2;
}
