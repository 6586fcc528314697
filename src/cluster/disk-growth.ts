const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Too little is known below this span (milliseconds) and this number of readings. */
const SPAN_NEEDED = 6 * HOUR;
const SAMPLES_NEEDED = 12;

/** Looks are brought together to so many at most: the pairs of them are compared. */
const PARTS = 96;

/** Beyond ten years a number helps no one. */
const FURTHEST_DAYS = 3650;

/** How much was free on a disk at a moment (milliseconds since the epoch), and what the databases used. */
export interface RoomAt {
  readonly at: number;
  readonly free: number;
  /** Bytes of all databases, of one node; null where that was not known. */
  readonly databases: number | null;
}

/** When a disk is full if it goes on as it did. */
export interface Forecast {
  readonly days: number;
  /** Hours of history that it is made from. */
  readonly hours: number;
  /** Bytes by which the disk fills in a day. */
  readonly perDay: number;
  /** Bytes by which the databases of one node grow in a day; null where that is not known. */
  readonly databasesPerDay: number | null;
}

/** One number at a moment. */
interface At {
  readonly at: number;
  readonly bytes: number;
}

/**
 * When a disk is full if it goes on as in the readings given, the oldest first. Null when it does not fill, or too little is
 * known. A file that comes and goes, such as a backup, does not count for much: the slope is the median of the slopes
 * between all pairs (Theil and Sen).
 */
export function forecastOf(samples: readonly RoomAt[]): Forecast | null {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last || !enoughIsKnown(samples)) return null;
  const slopeOf = (points: readonly At[]): number | undefined =>
    medianSlope(together(points, first.at, last.at));
  const slope = slopeOf(samples.map(({ at, free }) => ({ at, bytes: free })));
  if (slope === undefined || slope >= 0) return null;
  const days = last.free / -slope / DAY;
  if (days > FURTHEST_DAYS) return null;
  const growth = slopeOf(
    samples.flatMap(({ at, databases }) => (databases === null ? [] : [{ at, bytes: databases }])),
  );
  return {
    days: Math.round(days * 10) / 10,
    hours: Math.round((last.at - first.at) / HOUR),
    perDay: Math.round(-slope * DAY),
    databasesPerDay: growth === undefined ? null : Math.max(0, Math.round(growth * DAY)),
  };
}

/** Whether these readings, the oldest first, say how a disk fills. */
export function enoughIsKnown(samples: readonly RoomAt[]): boolean {
  const [first, last] = [samples[0], samples.at(-1)];
  if (!first || !last) return false;
  return samples.length >= SAMPLES_NEEDED && last.at - first.at >= SPAN_NEEDED;
}

/** One reading for each part of the time: the median of its readings. */
function together(samples: readonly At[], from: number, to: number): At[] {
  const length = Math.max(1, (to - from) / PARTS);
  const parts = new Map<number, At[]>();
  for (const sample of samples) {
    const part = Math.min(PARTS - 1, Math.floor((sample.at - from) / length));
    const present = parts.get(part);
    if (present) present.push(sample);
    else parts.set(part, [sample]);
  }
  return [...parts.values()].map((part) => ({
    at: median(part.map(({ at }) => at)),
    bytes: median(part.map(({ bytes }) => bytes)),
  }));
}

function medianSlope(points: readonly At[]): number | undefined {
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
