import { expect, test } from "vitest";
import { isKept } from "../../src/archive/kept-moment.ts";

const HOUR = 3_600_000;
const roomy = { totalBytes: 100, freeBytes: 50 };

test("the files of a moment are kept for an hour, and no longer where a clock was set back", () => {
  const now = Date.parse("2026-11-29T01:00:00Z");
  expect(isKept(now + HOUR, now, roomy)).toBe(true);
  expect(isKept(now + 1, now, roomy)).toBe(true);
  expect(isKept(now, now, roomy)).toBe(false);
  expect(isKept(now + HOUR + 1, now, roomy)).toBe(false);
});

test("the files of a moment go where the disk has little left beside them", () => {
  expect(isKept(1000, 0, { totalBytes: 100, freeBytes: 15 })).toBe(true);
  expect(isKept(1000, 0, { totalBytes: 100, freeBytes: 14 })).toBe(false);
});
