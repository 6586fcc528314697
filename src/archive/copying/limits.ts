import { leftAt, timelinesBefore } from "../../model/timeline.ts";
import type { Lsn } from "../../model/lsn.ts";
import type { WalFile } from "./names.ts";

/** Bytes by which a copy may be ahead of what this host's own server has received: that one may be slow, or stand still. */
const AHEAD = 16n * 1024n ** 3n;

/** Bytes of a segment at most: what PostgreSQL allows (initdb --wal-segsize). */
const LARGEST_SEGMENT = 1024 ** 3;

/** Bytes by which compression may make a segment of random bytes longer. */
const OVERHEAD = 1024 * 1024;

/** Bytes of a history, or of a note of a base backup, at most: a history has a line for each timeline. */
const LARGEST_NOTE = 1024 * 1024;

/** Which WAL of another host may be taken: what one names of the future would stand in the way of the true one. */
export interface WalLimits {
  readonly segmentBytes: number;
  /** The newest timeline of which something is taken. */
  readonly timeline: number;
  /** Where timelines were left. */
  readonly left: ReadonlyMap<number, Lsn>;
  /** Up to which position anything is taken, of whichever timeline. */
  readonly end: Lsn;
}

/**
 * What a new primary takes: WAL of before its own timeline. That it writes itself, as the `.partial` with which it began.
 * @param history of its timeline, as PostgreSQL writes it; undefined: there is none before it, or it is lost
 */
export function limitsOfPrimary(
  timeline: number,
  history: string | undefined,
  segmentBytes: number,
): WalLimits {
  const left = new Map<number, Lsn>();
  let end = 0n;
  for (const before of timelinesBefore(history)) {
    const at = leftAt(before, history);
    if (at === undefined || before >= timeline) continue;
    left.set(before, at);
    if (at > end) end = at;
  }
  return { segmentBytes, timeline: left.size ? timeline - 1 : 0, left, end };
}

/**
 * What a copy takes: no timeline that this host's own server has not seen, and nothing far beyond what that has received.
 * @param received the furthest position that it had
 */
export function limitsOfCopy(timeline: number, received: Lsn, segmentBytes: number): WalLimits {
  return { segmentBytes, timeline, left: new Map(), end: received + AHEAD };
}

/** Whether all segments of a folder are of a newer timeline. @param folder an archive id, or one of its folders of segments */
export function isNewer(folder: string, limits: WalLimits | undefined): boolean {
  const [, segments] = folder.split("/");
  return limits !== undefined && segments !== undefined && timelineOf(segments) > limits.timeline;
}

function timelineOf(position: string): number {
  return Number.parseInt(position.slice(0, 8), 16);
}

/** Whether the limits allow a file of WAL, by its name. */
export function isAllowed(
  { key, position }: Pick<WalFile, "key" | "position">,
  { segmentBytes, timeline, left, end }: WalLimits,
): boolean {
  const of = timelineOf(position);
  if (of < 1 || of > timeline) return false;
  if (position.length === 8) return true;
  const size = BigInt(segmentBytes);
  const perFile = 0x1_0000_0000n / size;
  const low = BigInt(`0x${position.slice(16, 24)}`);
  if (low >= perFile) return false;
  const number = BigInt(`0x${position.slice(8, 16)}`) * perFile + low;
  const last = (left.get(of) ?? end) / size;
  return number <= last && !(key.endsWith(".partial") && number >= end / size);
}

/** Whether a file of WAL can have so many bytes. @param segmentBytes undefined: any segment that PostgreSQL may have */
export function isSize(
  { checksum }: Pick<WalFile, "checksum">,
  bytes: number,
  segmentBytes = LARGEST_SEGMENT,
): boolean {
  return bytes > 0 && bytes <= (checksum === undefined ? LARGEST_NOTE : segmentBytes + OVERHEAD);
}
