const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Too little is known below this span (milliseconds) and this number of looks. */
const SPAN_NEEDED = HOUR;
const LOOKS_NEEDED = 12;

/** Looks are brought together to so many at most: the pairs of them are compared. */
const PARTS = 96;

/** Beyond ten years nobody is helped by a number. */
const FURTHEST_DAYS = 3650;

/** How much was free on a disk at a moment (milliseconds since the epoch). */
export interface FreeAt {
  readonly at: number;
  readonly bytes: number;
}

/**
 * Days until a disk is full if it goes on as in the looks given, the oldest first. Null when it does not fill, or too
 * little is known. A file that comes and goes, such as a backup, does not count for much: the slope is the median of the
 * slopes between all pairs (Theil and Sen).
 */
export function daysLeft(looks: readonly FreeAt[]): number | null {
  const [first, last] = [looks[0], looks.at(-1)];
  if (!first || !last || !enoughIsKnown(looks)) return null;
  const slope = medianSlope(together(looks, first.at, last.at));
  if (slope === undefined || slope >= 0) return null;
  const days = last.bytes / -slope / DAY;
  return days > FURTHEST_DAYS ? null : Math.round(days * 10) / 10;
}

/** Whether these looks, the oldest first, say how a disk fills. */
export function enoughIsKnown(looks: readonly FreeAt[]): boolean {
  const [first, last] = [looks[0], looks.at(-1)];
  if (!first || !last) return false;
  return looks.length >= LOOKS_NEEDED && last.at - first.at >= SPAN_NEEDED;
}

/** One look for each part of the time: the median of what was seen in it. */
function together(looks: readonly FreeAt[], from: number, to: number): FreeAt[] {
  const length = Math.max(1, (to - from) / PARTS);
  const parts = new Map<number, FreeAt[]>();
  for (const look of looks) {
    const part = Math.min(PARTS - 1, Math.floor((look.at - from) / length));
    const present = parts.get(part);
    if (present) present.push(look);
    else parts.set(part, [look]);
  }
  return [...parts.values()].map((part) => ({
    at: median(part.map(({ at }) => at)),
    bytes: median(part.map(({ bytes }) => bytes)),
  }));
}

function medianSlope(points: readonly FreeAt[]): number | undefined {
  const slopes: number[] = [];
  for (const [index, one] of points.entries()) {
    for (const other of points.slice(index + 1)) {
      if (other.at > one.at) slopes.push((other.bytes - one.bytes) / (other.at - one.at));
    }
  }
  return slopes.length ? median(slopes) : undefined;
}

function median(values: number[]): number {
  const sorted = values.sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? 0;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}
