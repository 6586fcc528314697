import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  ratesBetween,
  sampleOf,
  sampleRecordOf,
  type SampleRecord,
} from "../../src/observe/sample-record.ts";
import { NOW } from "../support/observations.ts";

type Seen = Pick<SampleRecord, "at" | "counters">;

function seen(seconds: number, transactions: number | null, wal: string | null, of = "pg1 1 2"): Seen {
  return { at: new Date(NOW + seconds * 1000).toISOString(), counters: { of, transactions, wal } };
}

const NOTHING = { transactions_per_second: null, wal_bytes_per_second: null };

describe("rates", () => {
  test("are what was added, for each second", () => {
    expect(ratesBetween(seen(0, 100, "5000"), seen(30, 400, "35000"))).toEqual({
      transactions_per_second: 10,
      wal_bytes_per_second: 1000,
    });
  });

  test("of transactions are not known when the counters began anew, or are of another server", () => {
    expect(ratesBetween(seen(0, 100, "1"), seen(30, 90, "31"))).toEqual({
      transactions_per_second: null,
      wal_bytes_per_second: 1,
    });
    expect(
      ratesBetween(seen(0, 100, "1"), seen(30, 4000, "31", "pg2 1 2")).transactions_per_second,
    ).toBeNull();
  });

  test("of WAL go on through a change of the primary, unless something was lost by it", () => {
    expect(ratesBetween(seen(0, 100, "1000"), seen(10, 4, "2000", "pg2 7")).wal_bytes_per_second).toBe(100);
    expect(ratesBetween(seen(0, 100, "2000"), seen(10, 4, "1000", "pg2 7")).wal_bytes_per_second).toBeNull();
  });

  test("are not known without a sample before, after a long absence, or when the clock was set back", () => {
    const after = seen(0, 5, "5");
    expect(ratesBetween(undefined, after)).toEqual(NOTHING);
    expect(ratesBetween({ at: seen(-30, 0, "0").at, counters: null }, after)).toEqual(NOTHING);
    expect(ratesBetween(seen(-3600, 0, "0"), after)).toEqual(NOTHING);
    expect(ratesBetween(seen(30, 0, "0"), after)).toEqual(NOTHING);
    expect(ratesBetween(after, after)).toEqual(NOTHING);
  });

  test("are never negative", () => {
    const look = fc.record({
      seconds: fc.integer({ min: 0, max: 2000 }),
      transactions: fc.option(fc.nat()),
      wal: fc.option(fc.bigInt({ min: 0n, max: 2n ** 63n }).map(String)),
      of: fc.constantFrom("a", "b"),
    });
    const make = ({
      seconds,
      transactions,
      wal,
      of,
    }: {
      seconds: number;
      transactions: number | null;
      wal: string | null;
      of: string;
    }) => seen(seconds, transactions, wal, of);
    fc.assert(
      fc.property(look, look, (one, other) => {
        for (const rate of Object.values(ratesBetween(make(one), make(other))))
          expect(rate === null || rate >= 0).toBe(true);
      }),
    );
  });
});

test("a line is read back as the sample that was written, a damaged one is none", () => {
  const record: SampleRecord = {
    ...seen(0, 5, "5"),
    nodes: [{ name: "pg1", lag_bytes: null, lag_seconds: null, disk_free_bytes: 7 }],
    connections: 3,
    max_connections: 97,
    transactions_per_second: null,
    wal_bytes_per_second: 1.5,
    database_bytes: null,
  };
  const line = JSON.stringify(record);
  expect(sampleRecordOf(line)).toEqual(record);
  expect(sampleOf(record)).not.toHaveProperty("counters");
  for (let cut = 0; cut < line.length; cut += 1) expect(sampleRecordOf(line.slice(0, cut))).toBeUndefined();
});
