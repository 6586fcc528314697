import type { ClusterEvent, Sample } from "../../../cluster/documents/console.ts";
import { bytes, count, millisecondsOf, seconds, UNKNOWN } from "./show.ts";

const HOUR = 3600;

/** Seconds that the graphs show at most. */
export const SPAN = 24 * HOUR;

/**
 * What they show while less is known, in hours: the data of a new cluster must not be a stroke at the edge of a day.
 */
const SPANS = [1, 3, 6, 12, 24] as const;

/** Minutes between the times that are written below, for each of them. */
const STEPS = [15, 30, 60, 180, 360] as const;

export interface Line {
  readonly label: string;
  /** One value for each time. */
  readonly values: readonly (number | null)[];
  /** The newest known value. */
  readonly latest: number | null;
  /** A bound, not a measurement: drawn as such. */
  readonly bound?: true;
}

export interface Graph {
  readonly name: string;
  readonly lines: readonly Line[];
  readonly show: (value: number | null) => string;
  /** The lowest top of the scale, so that noise near zero does not look like a mountain. */
  readonly top: number;
  /** In bytes: the scale's steps are powers of two. */
  readonly binary: boolean;
}

export interface Graphs {
  /** Seconds since the epoch, increasing. */
  readonly times: readonly number[];
  readonly graphs: readonly Graph[];
  /** Seconds that they show. */
  readonly span: number;
}

/** A line cannot show more points than this: beyond it each stands for its share of the span. */
const POINTS = 288;

/** Beyond this many seconds beside a point's own share, nothing was measured: the line breaks. */
const GAP = 150;

/** What the graphs show of samples (any order of arrival), of the 24 h before `now` (milliseconds). */
export function graphsOf(samples: readonly Sample[], now: number): Graphs {
  const measured = measuredBefore(samples, now);
  const age = now / 1000 - (measured[0]?.[0] ?? 0);
  const span = (SPANS.find((hours) => hours * HOUR >= age) ?? 24) * HOUR;
  const points = pointsOf(measured, span);
  return { span, times: points.map(([time]) => time), graphs: graphsAt(measured, points) };
}

/** A sample, and its time in seconds since the epoch. */
type Measured = readonly [time: number, sample: Sample];

/** A point of a line, and the samples that it stands for; none where the line breaks. */
type Point = readonly [time: number, samples: readonly Sample[]];

function measuredBefore(samples: readonly Sample[], now: number): Measured[] {
  const known = new Map<number, Sample>();
  for (const sample of samples) {
    const time = millisecondsOf(sample.at);
    if (time !== undefined && time >= now - SPAN * 1000) known.set(Math.round(time / 1000), sample);
  }
  return [...known].toSorted(([a], [b]) => a - b);
}

function pointsOf(measured: readonly Measured[], span: number): Point[] {
  const share = measured.length > POINTS ? span / POINTS : 1;
  const shares = new Map<number, Measured[]>();
  for (const point of measured) {
    const key = Math.floor(point[0] / share);
    shares.set(key, [...(shares.get(key) ?? []), point]);
  }
  const points: Point[] = [];
  for (const group of shares.values()) {
    const time = group.at(-1)?.[0] ?? 0;
    const before = points.at(-1)?.[0];
    if (before !== undefined && time - before > GAP + share) points.push([before + 1, []]);
    points.push([time, group.map(([, sample]) => sample)]);
  }
  return points;
}

function graphsAt(measured: readonly Measured[], points: readonly Point[]): readonly Graph[] {
  const line = (
    label: string,
    read: (sample: Sample) => number | null | undefined,
    sum: (values: readonly number[]) => number = mean,
  ): Line => ({
    label,
    values: points.map(([, samples]) => {
      const values = samples.flatMap((sample) => read(sample) ?? []);
      return values.length > 0 ? sum(values) : null;
    }),
    latest: measured.map(([, sample]) => read(sample) ?? null).findLast((value) => value !== null) ?? null,
  });
  const names = [...new Set(measured.flatMap(([, { nodes }]) => nodes.map(({ name }) => name)))].toSorted();
  const ofNodes = (read: (node: Sample["nodes"][number]) => number | null): Line[] =>
    names
      .map((name) =>
        line(
          name,
          ({ nodes }) => {
            const node = nodes.find((candidate) => candidate.name === name);
            return node ? read(node) : null;
          },
          highest,
        ),
      )
      // A primary has no lag, whichever node it was.
      .filter(({ values }) => values.some((value) => value !== null));
  const bound = line("at most", ({ max_connections }) => max_connections);
  return [
    {
      name: "Lag in bytes",
      lines: ofNodes(({ lag_bytes }) => lag_bytes),
      show: bytes,
      top: 1024 * 1024,
      binary: true,
    },
    {
      name: "Lag in time",
      lines: ofNodes(({ lag_seconds }) => lag_seconds),
      show: seconds,
      top: 1,
      binary: false,
    },
    {
      name: "Connections",
      lines: [
        line("connections", ({ connections }) => connections, highest),
        ...(bound.values.some((value) => value !== null) ? [{ ...bound, bound: true as const }] : []),
      ],
      show: count,
      top: 10,
      binary: false,
    },
    {
      name: "Transactions",
      lines: [line("transactions", ({ transactions_per_second }) => transactions_per_second)],
      show: perSecond(count),
      top: 10,
      binary: false,
    },
    {
      name: "WAL written",
      lines: [line("WAL", ({ wal_bytes_per_second }) => wal_bytes_per_second)],
      show: perSecond(bytes),
      top: 64 * 1024,
      binary: true,
    },
    {
      name: "Size of all databases",
      lines: [line("size", ({ database_bytes }) => database_bytes)],
      show: bytes,
      top: 16 * 1024 * 1024,
      binary: true,
    },
  ];
}

function perSecond(show: (value: number | null) => string): (value: number | null) => string {
  return (value) => (value === null ? UNKNOWN : `${show(value)}/s`);
}

/** The graph in words, for readers who cannot see it. */
export function inWords(graph: Graph, span: number): string {
  const said = graph.lines
    .filter(({ bound }) => bound !== true)
    .map((line) => {
      const known = line.values.filter((value) => value !== null);
      if (known.length === 0) return `${line.label}: not known`;
      return `${line.label}: now ${graph.show(line.latest)}, at most ${graph.show(Math.max(...known))}`;
    });
  return `${graph.name}, ${spanName(span).toLowerCase()}. ${said.length > 0 ? said.join("; ") : "Nothing was measured"}.`;
}

/** The top of a graph's scale. */
export function topOf({ lines, top }: Graph): number {
  const highest = lines
    .flatMap(({ values }) => values)
    .reduce<number>((max, value) => Math.max(max, value ?? 0), 0);
  return Math.max(top, highest * 1.08);
}

/** Times to write below graphs that end at `end` (seconds): round ones in the time zone of the reader, four or so. */
export function timesBelow(end: number, span: number): readonly number[] {
  const minutes = STEPS[SPANS.findIndex((hours) => hours * HOUR === span)] ?? 360;
  const first = new Date((end - span) * 1000);
  first.setHours(0, 0, 0, 0);
  const step = minutes * 60;
  return Array.from(
    { length: Math.ceil((2 * SPAN) / step) },
    (_, at) => first.getTime() / 1000 + at * step,
  ).filter((time) => time > end - span * 0.97 && time < end - span * 0.02);
}

/** `Last 24 hours`. */
export function spanName(span: number): string {
  return span === HOUR ? "Last hour" : `Last ${span / HOUR} hours`;
}

/** The index of the nearest of increasing times; undefined where there is none. */
export function nearest(times: readonly number[], time: number): number | undefined {
  if (times.length === 0) return undefined;
  let low = 0;
  let high = times.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((times[middle] ?? 0) <= time) low = middle;
    else high = middle;
  }
  return time - (times[low] ?? 0) <= (times[high] ?? 0) - time ? low : high;
}

/** Steps of a scale from 0 that are easy to read: at most three above 0. */
export function ticks(top: number, binary: boolean): number[] {
  if (!(top > 0)) return [0];
  const least = top / 3;
  const step = binary ? 2 ** Math.ceil(Math.log2(least)) : decimalStep(least);
  const values: number[] = [];
  for (let value = 0; value <= top * 1.0001; value += step) values.push(value);
  return values;
}

function decimalStep(least: number): number {
  const power = 10 ** Math.floor(Math.log10(least));
  return ([1, 2, 5, 10].find((factor) => factor * power >= least * 0.9999) ?? 10) * power;
}

/** Peaks are what matters for a lag, and for connections. */
function highest(values: readonly number[]): number {
  return Math.max(...values);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

export interface EventMark {
  /** Seconds since the epoch. */
  readonly time: number;
  readonly text: string;
  readonly shape: "change" | "backup" | "trouble";
}

const SHAPES_OF_EVENTS: ReadonlyMap<string, EventMark["shape"]> = new Map([
  ["backup", "backup"],
  ["drill", "backup"],
  ["restore", "backup"],
  ["copy", "backup"],
  ["node_down", "trouble"],
  ["alarm_began", "trouble"],
]);

/** Steps that are not worth a line in a graph: the list of events has them. */
const UNMARKED: readonly string[] = ["job", "alarm_ended", "session_ended"];

/** Marks of one shape that are closer than this part of the span are merged. */
const CLOSE = 144;

/** Events of the `span` (seconds) before `now` (milliseconds), the oldest first. */
export function eventMarks(events: readonly ClusterEvent[], now: number, span: number): readonly EventMark[] {
  const marks: EventMark[] = [];
  for (const { at, kind, text } of events.toReversed()) {
    const time = (millisecondsOf(at) ?? 0) / 1000;
    const shape = SHAPES_OF_EVENTS.get(kind) ?? "change";
    if (time < now / 1000 - span || UNMARKED.includes(kind)) continue;
    const before = marks.findLast((mark) => mark.shape === shape);
    if (before === undefined || time - before.time > span / CLOSE) marks.push({ time, text, shape });
  }
  return marks;
}
