import { describe, expect, test } from "vitest";
import {
  historyFile,
  leadsTo,
  leftAt,
  newestTimeline,
  segmentName,
  segmentOf,
} from "../../src/model/timeline.ts";

/** As PostgreSQL 15 writes it. */
const HISTORY = "1\t0/5000110\tbefore 2026-11-29 00:30:00+00\n\n3\t0/9000000\tno recovery target specified\n";

describe("recovery from a base backup", () => {
  test.each([
    { timeline: 1, stop_lsn: "0/4000100", leads: true },
    { timeline: 1, stop_lsn: "0/5000110", leads: true },
    { timeline: 1, stop_lsn: "0/6000100", leads: false },
    { timeline: 1, stop_lsn: "1/0", leads: false },
    // Timeline 2 was left for nothing.
    { timeline: 2, stop_lsn: "0/4000100", leads: false },
    { timeline: 3, stop_lsn: "0/8000000", leads: true },
    { timeline: 3, stop_lsn: "0/A000000", leads: false },
    { timeline: 4, stop_lsn: "0/A000000", leads: true },
    { timeline: 5, stop_lsn: "0/A000000", leads: false },
    { timeline: null, stop_lsn: "0/A000000", leads: true },
  ])("of timeline $timeline complete at $stop_lsn leads to timeline 4: $leads", ({ leads, ...base }) => {
    expect(leadsTo(base, 4, HISTORY)).toBe(leads);
  });

  test("leads to no other timeline without that one's history", () => {
    expect(leadsTo({ timeline: 1, stop_lsn: "0/4000100" }, 2, undefined)).toBe(false);
    expect(leadsTo({ timeline: 2, stop_lsn: "0/4000100" }, 2, undefined)).toBe(true);
  });
});

test("the file of a timeline's history has its number in eight hexadecimal digits", () => {
  expect([2, 26, 4096].map(historyFile)).toEqual([
    "00000002.history",
    "0000001A.history",
    "00001000.history",
  ]);
});

const change = (timeline: number | null): { at: string; timeline: number | null } => ({
  at: "2026-11-28T12:00:00.000Z",
  timeline,
});

test("the newest timeline of a lost primary is the newest of its history and of what its agent has seen: each may lack one", () => {
  expect(newestTimeline([change(1), change(2), change(null)], 3)).toBe(3);
  expect(newestTimeline([change(1), change(4)], 3)).toBe(4);
  expect(newestTimeline([], 2)).toBe(2);
  expect(newestTimeline([change(null)], undefined)).toBeUndefined();
});

test("where a timeline was left stands in the history of one that came of it, and in no other", () => {
  expect(leftAt(1, HISTORY)).toBe(0x5000110n);
  expect(leftAt(3, HISTORY)).toBe(0x9000000n);
  expect([leftAt(2, HISTORY), leftAt(4, HISTORY), leftAt(1, undefined)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("a segment is named for its timeline and its place, whatever its size", () => {
  expect(segmentName(1, 0x5000110n, 16 * 2 ** 20)).toBe("000000010000000000000005");
  expect(segmentName(26, 0x2_fe00_0000n, 16 * 2 ** 20)).toBe("0000001A00000002000000FE");
  expect(segmentName(1, 0x1_4000_0000n, 2 ** 30)).toBe("000000010000000100000001");
  expect(segmentOf("0000001A00000002000000FE", 16 * 2 ** 20)).toEqual({ timeline: 26, number: 0x2fen });
  expect(segmentOf("000000010000000100000001", 2 ** 30)).toEqual({ timeline: 1, number: 5n });
  expect(segmentOf("000000010000000000000006.partial", 16 * 2 ** 20)).toBeUndefined();
});
