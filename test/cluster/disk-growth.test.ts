import * as fc from "fast-check";
import { expect, test } from "vitest";
import { forecastOf } from "../../src/cluster/disk-growth.ts";

const GB = 1024 ** 3;
const HALF_MINUTE = 30_000;
const DAY = 86_400_000;

/** Looks every 30 s at a disk that fills by so much a day. */
function filling(
  samples: number,
  free: number,
  perDay: number,
  noise: (index: number) => number = () => 0,
  share = 1,
) {
  return Array.from({ length: samples }, (_, index) => {
    const at = 1_700_000_000_000 + index * HALF_MINUTE;
    const grown = (perDay * index * HALF_MINUTE) / DAY;
    return { at, free: free - grown + noise(index), databases: 5 * GB + grown * share };
  });
}

test("a disk that fills evenly is full when its room is used up", () => {
  const samples = filling(2880, 100 * GB, 10 * GB);
  expect(forecastOf(samples)?.days).toBeCloseTo(9, 0);
  expect(forecastOf(samples)?.hours).toBe(24);
});

test("nothing is said while too little is known, nor of a disk that does not fill", () => {
  expect(forecastOf([])).toBeNull();
  // Five hours of a day say nothing of the next.
  expect(forecastOf(filling(600, 10 * GB, 24 * GB))).toBeNull();
  expect(forecastOf(filling(60, 100 * GB, 10 * GB))).toBeNull();
  expect(forecastOf(filling(2880, 100 * GB, 0))).toBeNull();
  expect(forecastOf(filling(2880, 100 * GB, -GB))).toBeNull();
  expect(forecastOf(filling(2880, 100 * GB, 1000))).toBeNull();
});

test("the growth of the databases is told apart from what else fills the disk", () => {
  const idle = forecastOf(filling(2880, 100 * GB, 10 * GB, () => 0, 0));
  expect(idle?.perDay).toBeCloseTo(10 * GB, -8);
  expect(idle?.databasesPerDay).toBe(0);
  const half = forecastOf(filling(2880, 100 * GB, 10 * GB, () => 0, 0.5));
  expect(half?.databasesPerDay).toBeCloseTo(5 * GB, -8);
  const unknown = filling(2880, 100 * GB, 10 * GB).map((sample) => ({ ...sample, databases: null }));
  expect(forecastOf(unknown)?.databasesPerDay).toBeNull();
});

test("a large file that comes and goes changes little", () => {
  const dump = (index: number): number => (index % 720 < 100 ? -20 * GB : 0);
  expect(forecastOf(filling(2880, 100 * GB, 10 * GB, dump))?.days).toBeGreaterThan(7);
  expect(forecastOf(filling(2880, 100 * GB, 10 * GB, dump))?.days).toBeLessThan(11);
});

test("whatever was seen, the answer is null or a number of days up to ten years", () => {
  const sample = fc.record({
    at: fc.integer({ min: 0, max: 10 * DAY }),
    free: fc.double({ min: 0, max: 1e15, noNaN: true }),
    databases: fc.option(fc.double({ min: 0, max: 1e15, noNaN: true })),
  });
  fc.assert(
    fc.property(fc.array(sample, { maxLength: 300 }), (samples) => {
      const days = forecastOf(samples.sort((a, b) => a.at - b.at))?.days ?? null;
      if (days === null) return;
      expect(days).toBeGreaterThanOrEqual(0);
      expect(days).toBeLessThanOrEqual(3650);
    }),
  );
});
