import { describe, expect, test } from "vitest";
import { historyFile, leadsTo, newestTimeline } from "../../src/model/timeline.ts";

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
