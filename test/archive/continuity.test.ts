import { describe, expect, test } from "vitest";
import {
  finishedSegments,
  mergedTimelines,
  segmentsSince,
  stretchesBefore,
  withHoles,
} from "../../src/archive/continuity.ts";
import { windowOf } from "../../src/cluster/backups/window.ts";
import { parseLsn } from "../../src/model/lsn.ts";

const SIZE = 16 * 1024 * 1024;

const base = (timeline: number | null, stop_lsn: string) => ({
  label: "20261128-170735F",
  type: "full" as const,
  started_at: "2026-11-28T17:07:35.000Z",
  stopped_at: "2026-11-28T17:07:38.000Z",
  stop_lsn,
  timeline,
  database_bytes: 1,
  repository_bytes: 1,
});

/** Timeline 1 was left in segment 6, 2 at the very begin of segment 8. */
const HISTORY = "1\t0/6000158\tno recovery target specified\n\n2\t0/8000000\tno recovery target specified\n";

/** On timeline 3, in segment 10. */
const writing = { timeline: 3, at: parseLsn("0/A000200"), segmentBytes: SIZE, history: HISTORY };
const OWN = ["000000030000000000000008", "000000030000000000000009"];
const ever = Infinity;

describe("the segments that lead from a base backup to where a primary writes", () => {
  test("are each on its own timeline, and end before the one that is not finished", () => {
    expect(segmentsSince([base(1, "0/4000100")], ever, writing)).toEqual([
      "000000010000000000000004",
      "000000010000000000000005",
      "000000020000000000000006",
      "000000020000000000000007",
      ...OWN,
    ]);
  });

  test("begin with the newest base backup that leads there", () => {
    const bases = [base(1, "0/4000100"), base(1, "0/6000100"), base(1, "0/7000100")];
    // The last one was made on the first timeline after that was left.
    expect(segmentsSince(bases, ever, writing)).toEqual([
      "000000020000000000000006",
      "000000020000000000000007",
      ...OWN,
    ]);
    expect(segmentsSince([base(2, "0/7000100")], ever, writing)).toEqual([
      "000000020000000000000007",
      ...OWN,
    ]);
  });

  test("begin before the time of which it is not known that all is there", () => {
    const later = { ...base(2, "0/7000100"), stopped_at: "2026-11-28T18:00:00.000Z" };
    const bases = [base(2, "0/6000100"), later];
    const names = (whole: string) => segmentsSince(bases, Date.parse(whole), writing)?.[0];
    expect(names("2026-11-28T18:30:00.000Z")).toBe("000000020000000000000007");
    expect(names("2026-11-28T17:30:00.000Z")).toBe("000000020000000000000006");
    // One that is older may still be fetched.
    expect(names("2026-11-28T17:00:00.000Z")).toBeUndefined();
  });

  test("are those of the primary's own timeline, too: it may have had no command that archives", () => {
    expect(segmentsSince([base(3, "0/9000100")], ever, writing)).toEqual(["000000030000000000000009"]);
    expect(segmentsSince([base(3, "0/A000100")], ever, writing)).toEqual([]);
    const first = { ...writing, timeline: 1, history: undefined };
    expect(segmentsSince([base(1, "0/9000100")], ever, first)).toEqual(["000000010000000000000009"]);
  });

  test("are not known where no base backup is known to lead there", () => {
    expect(segmentsSince([base(null, "0/4000100")], ever, writing)).toBeUndefined();
    expect(segmentsSince([], ever, writing)).toBeUndefined();
    expect(segmentsSince([base(1, "0/4000100")], ever, { ...writing, history: undefined })).toBeUndefined();
    // Whoever writes the history must not have all memory used up.
    const absurd = "1\tFFFFFFFF/6000158\tno recovery target specified\n";
    expect(segmentsSince([base(1, "0/4000100")], ever, { ...writing, history: absurd })).toBeUndefined();
  });

  test("begin with those that the base backup itself needs", () => {
    const one = { ...base(3, "0/9000100"), archive_start: "000000030000000000000008" };
    expect(segmentsSince([one], ever, writing)).toEqual(OWN);
    // It began before its timeline did, as PostgreSQL names no segment.
    expect(segmentsSince([{ ...one, archive_start: "x" }], ever, writing)).toEqual([
      "000000030000000000000009",
    ]);
  });

  test("count past the end of a file of the WAL", () => {
    const history = "1\t1/1000158\tno recovery target specified\n";
    const next = { ...writing, timeline: 2, history, at: parseLsn("1/2000000") };
    expect(segmentsSince([base(1, "0/FE000100")], ever, next)).toEqual([
      "0000000100000000000000FE",
      "0000000100000000000000FF",
      "000000010000000100000000",
      "000000020000000100000001",
    ]);
  });
});

describe("the time between two older base backups", () => {
  const at = (hour: number): string => `2026-11-28T${String(hour).padStart(2, "0")}:00:00.000Z`;
  const made = (hour: number, timeline: number, start: string, stop_lsn: string) => ({
    ...base(timeline, stop_lsn),
    started_at: at(hour),
    stopped_at: at(hour).replace("00:00.000", "05:00.000"),
    archive_start: start,
  });
  const bases = [
    made(1, 1, "000000010000000000000002", "0/2000100"),
    made(2, 1, "000000010000000000000005", "0/5000100"),
    made(3, 2, "000000020000000000000006", "0/6000200"),
    made(4, 3, "000000030000000000000009", "0/9000100"),
  ];
  const stretches = stretchesBefore(bases, ever, writing);
  const all = new Set(stretches.flatMap(({ segments }) => segments));
  const without = (...names: string[]) => ({
    stretches,
    held: new Set([...all].filter((name) => !names.includes(name))),
  });
  const hole = (from: number) => ({ from: at(from), to: at(from + 1) });

  test("needs all WAL from the first one's begin to the next one's end, across timelines", () => {
    expect(stretches.map(({ segments }) => segments)).toEqual([
      ["02", "03", "04", "05"].map((last) => `0000000100000000000000${last}`),
      ["000000010000000000000005", "000000020000000000000006"],
      ["000000020000000000000006", "000000020000000000000007", ...OWN],
    ]);
    // What comes after the newest that counts is looked at by other means.
    expect(stretchesBefore(bases, Date.parse(at(3)), writing)).toHaveLength(1);
    expect(stretchesBefore([], ever, writing)).toEqual([]);
  });

  test("is a gap where some of it is missing, up to the next base backup, and no other", () => {
    expect(withHoles([], without())).toEqual([]);
    expect(withHoles([], without("000000010000000000000003"))).toEqual([hole(1)]);
    expect(withHoles([], without("000000010000000000000005"))).toEqual([hole(1), hole(2)]);
    expect(withHoles([], { stretches, held: new Set() })).toEqual([hole(1), hole(2), hole(3)]);
  });

  test("is no further gap where the one that is known explains what is missing", () => {
    const known = { from: at(1).replace("00:00", "20:00"), to: at(1).replace("00:00", "30:00") };
    expect(withHoles([known], without("000000010000000000000003", "000000010000000000000004"))).toEqual([
      known,
    ]);
    const twice = without("000000010000000000000002", "000000010000000000000004");
    expect(withHoles([known], twice)).toEqual([hole(1), known]);
    expect(withHoles([known], without("000000020000000000000007"))).toEqual([known, hole(3)]);
  });

  test("is no gap any more once all of it is there", () => {
    const found = withHoles([], without("000000010000000000000003"));
    expect(withHoles(found, without())).toEqual([]);
    expect(withHoles(found, without("000000010000000000000003"))).toEqual(found);
  });

  test("does not count in the window: it ends with the one, and begins with the other", () => {
    const archiving = {
      archiving: true,
      since: at(0),
      gaps: withHoles([], without("000000020000000000000007")),
    };
    const end = Date.parse(at(6));
    expect(windowOf({ bases, archiving, end })).toMatchObject({
      from: bases[0]?.stopped_at,
      gaps: [{ from: bases[2]?.started_at, to: bases[3]?.stopped_at }],
    });
    const first = { ...archiving, gaps: withHoles([], without("000000010000000000000003")) };
    expect(windowOf({ bases, archiving: first, end })).toMatchObject({
      from: bases[1]?.stopped_at,
      gaps: [],
    });
  });
});

test("without a base backup all counts that a primary has finished of its history, and nothing else on its disk", () => {
  const names = [
    // Kept to be written anew, and the one that is written.
    "00000003000000000000000B",
    "00000003000000000000000A",
    ...OWN,
    "000000020000000000000007",
    "000000020000000000000008",
    "000000010000000000000006",
    "000000010000000000000005",
    "000000010000000000000006.partial",
    "000000090000000000000001",
    "00000003.history",
    "archive_status",
  ];
  expect(finishedSegments(names, writing)).toEqual([
    "000000010000000000000005",
    "000000020000000000000007",
    ...OWN,
  ]);
});

test("each change of the primary is known once, by what was noted of it first", () => {
  const at = (second: number): string => `2026-11-28T17:00:0${second}.000Z`;
  expect(
    mergedTimelines(
      [{ at: at(2), timeline: 2 }],
      [
        { at: at(4), timeline: 3 },
        { at: at(3), timeline: 2 },
        { at: at(1), timeline: 1 },
        { at: at(5), timeline: null },
      ],
    ),
  ).toEqual([
    { at: at(1), timeline: 1 },
    { at: at(2), timeline: 2 },
    { at: at(4), timeline: 3 },
  ]);
});
