import * as z from "zod";
import { enoughIsKnown, forecastOf, type Forecast, type RoomAt } from "../cluster/disk-growth.ts";
import type { Sample } from "../cluster/documents/console.ts";
import { parseJson } from "../system/files/json-file.ts";

const number = z.number().nullable();

/** A line of the file of samples: a point of the graphs, and the counters that the next one is compared with. */
export const sampleRecordSchema = z.object({
  at: z.iso.datetime(),
  nodes: z
    .object({ name: z.string(), lag_bytes: number, lag_seconds: number, disk_free_bytes: number })
    .array(),
  connections: number,
  max_connections: number,
  transactions_per_second: number,
  wal_bytes_per_second: number,
  database_bytes: number,
  /** Of the primary; null where it did not answer. */
  counters: z
    .object({
      /** Counters of another name, or from another beginning, cannot be compared. */
      of: z.string(),
      transactions: number,
      /** The end of WAL in bytes: it goes on through a change of the primary. 64 bits as text. */
      wal: z.string().regex(/^\d+$/).nullable(),
    })
    .nullable(),
});
export type SampleRecord = z.output<typeof sampleRecordSchema>;

/** Milliseconds after which a rate would say little of any moment in between. */
const TOO_LONG = 600_000;

interface Rates {
  readonly transactions_per_second: number | null;
  readonly wal_bytes_per_second: number | null;
}

/**
 * Rates between two reads of the counters. Null where they cannot be told: counters that were reset, an agent that was
 * away, a clock that was set back, a primary that lost what was at the end of its WAL.
 */
export function ratesBetween(
  before: Pick<SampleRecord, "at" | "counters"> | undefined,
  after: Pick<SampleRecord, "at" | "counters">,
): Rates {
  const nothing = { transactions_per_second: null, wal_bytes_per_second: null };
  const [then, now] = [before?.counters, after.counters];
  if (!before || !then || !now) return nothing;
  const milliseconds = Date.parse(after.at) - Date.parse(before.at);
  if (milliseconds <= 0 || milliseconds > TOO_LONG) return nothing;
  const perSecond = (more: number): number | null =>
    more < 0 ? null : Math.round((more * 100_000) / milliseconds) / 100;
  const comparable = then.of === now.of && then.transactions !== null && now.transactions !== null;
  return {
    transactions_per_second: comparable
      ? perSecond((now.transactions ?? 0) - (then.transactions ?? 0))
      : null,
    wal_bytes_per_second:
      then.wal === null || now.wal === null ? null : perSecond(Number(BigInt(now.wal) - BigInt(then.wal))),
  };
}

/** The record of a line; undefined for one that is damaged. */
export function sampleRecordOf(line: string): SampleRecord | undefined {
  const parsed = parseJson(line, sampleRecordSchema);
  return parsed.ok ? parsed.value : undefined;
}

/** What of a record is a point of the graphs. */
export function sampleOf(record: SampleRecord): Sample {
  const { counters: _, ...sample } = record;
  return sample;
}

/** When the disk of each node is full; null for one that does not fill. Nodes of which too little is known are left out. */
export function forecastsOf(records: Iterable<SampleRecord>): Map<string, Forecast | null> {
  const samples = new Map<string, RoomAt[]>();
  for (const { at, nodes, database_bytes: databases } of records) {
    for (const { name, disk_free_bytes: free } of nodes) {
      if (free === null) continue;
      const sample = { at: Date.parse(at), free, databases };
      const present = samples.get(name);
      if (present) present.push(sample);
      else samples.set(name, [sample]);
    }
  }
  const known = [...samples].filter(([, seen]) => enoughIsKnown(seen));
  return new Map(known.map(([name, seen]) => [name, forecastOf(seen)]));
}
