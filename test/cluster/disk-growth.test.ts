import * as fc from "fast-check";
import { expect, test } from "vitest";
import { daysLeft } from "../../src/cluster/disk-growth.ts";

const GB = 1024 ** 3;
const HALF_MINUTE = 30_000;
const DAY = 86_400_000;

/** Looks every 30 s at a disk that fills by so much a day. */
function filling(looks: number, free: number, perDay: number, noise: (index: number) => number = () => 0) {
  return Array.from({ length: looks }, (_, index) => {
    const at = 1_700_000_000_000 + index * HALF_MINUTE;
    return { at, bytes: free - (perDay * index * HALF_MINUTE) / DAY + noise(index) };
  });
}

test("a disk that fills evenly is full when its room is used up", () => {
  const looks = filling(2880, 100 * GB, 10 * GB);
  expect(daysLeft(looks)).toBeCloseTo(9, 0);
});

test("nothing is said while too little is known, nor of a disk that does not fill", () => {
  expect(daysLeft([])).toBeNull();
  expect(daysLeft(filling(60, 100 * GB, 10 * GB))).toBeNull();
  expect(daysLeft(filling(2880, 100 * GB, 0))).toBeNull();
  expect(daysLeft(filling(2880, 100 * GB, -GB))).toBeNull();
  expect(daysLeft(filling(2880, 100 * GB, 1000))).toBeNull();
});

test("a large file that comes and goes changes little", () => {
  const dump = (index: number): number => (index % 720 < 100 ? -20 * GB : 0);
  expect(daysLeft(filling(2880, 100 * GB, 10 * GB, dump))).toBeGreaterThan(7);
  expect(daysLeft(filling(2880, 100 * GB, 10 * GB, dump))).toBeLessThan(11);
});

test("whatever was seen, the answer is null or a number of days up to ten years", () => {
  const look = fc.record({
    at: fc.integer({ min: 0, max: 10 * DAY }),
    bytes: fc.double({ min: 0, max: 1e15, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(look, { maxLength: 300 }), (looks) => {
      const days = daysLeft(looks.sort((a, b) => a.at - b.at));
      if (days === null) return;
      expect(days).toBeGreaterThanOrEqual(0);
      expect(days).toBeLessThanOrEqual(3650);
    }),
  );
});
