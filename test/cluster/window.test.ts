import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { archiveWarnings } from "../../src/cluster/backups/archive.ts";
import {
  archivedBefore,
  baseLackedFrom,
  basesFor,
  basesToEnd,
  isQueueFull,
  momentByChance,
  segmentsWaiting,
  windowOf,
  type Kept,
} from "../../src/cluster/backups/window.ts";
import { primaryFacts } from "../support/observations.ts";

const T0 = Date.parse("2026-11-21T00:00:00Z");
const at = (minute: number): string => new Date(T0 + minute * 60_000).toISOString();

function base(start: number, stop: number) {
  return {
    label: `${start}F`,
    type: "full" as const,
    started_at: at(start),
    stopped_at: at(stop),
    stop_lsn: "0/1",
    timeline: 1,
    database_bytes: 1,
    repository_bytes: 1,
  };
}

function kept(
  bases: readonly (readonly [number, number])[],
  gaps: readonly (readonly [number, number])[],
  end: number,
): Kept {
  return {
    bases: bases.map(([start, stop]) => base(start, stop)),
    archiving: {
      archiving: true,
      since: at(0),
      gaps: gaps.map(([from, to]) => ({ from: at(from), to: at(to) })),
    },
    end: T0 + end * 60_000,
  };
}

describe("the window", () => {
  test("begins where the first base backup was whole, and ends with the WAL", () => {
    const window = windowOf(
      kept(
        [
          [10, 12],
          [100, 105],
        ],
        [],
        200,
      ),
    );
    expect(window).toMatchObject({ from: at(12), to: at(200), gaps: [], base_backups: 2 });
  });

  test("has none without a base backup", () => {
    expect(windowOf(kept([], [], 200))).toMatchObject({ from: null, to: null, gaps: [] });
  });

  test("has a gap from where WAL is missing to the next base backup that was begun after it", () => {
    const lacking = kept(
      [
        [10, 12],
        [55, 65],
        [100, 105],
      ],
      [[50, 60]],
      200,
    );
    expect(windowOf(lacking).gaps).toEqual([{ from: at(50), to: at(105) }]);
  });

  test("ends where WAL was given up, while it is", () => {
    const broken: Kept = {
      ...kept([[10, 12]], [], 200),
      archiving: { archiving: false, since: at(90), gaps: [] },
    };
    expect(windowOf(broken)).toMatchObject({ from: at(12), to: at(90), archiving: false });
  });

  test("never counts a moment in whose way WAL is missing", () => {
    const minutes = fc.integer({ min: 0, max: 1000 });
    const pair = fc
      .tuple(minutes, minutes)
      .map(([a, b]): [number, number] => (a < b ? [a, b + 1] : [b, a + 1]));
    fc.assert(
      fc.property(fc.array(pair), fc.array(pair), minutes, (bases, gaps, minute) => {
        const sorted = bases.toSorted((a, b) => a[1] - b[1]);
        const all = kept(
          sorted,
          gaps.toSorted((a, b) => a[0] - b[0]),
          2000,
        );
        const moment = T0 + minute * 60_000;
        const found = basesFor(all, moment);
        for (const one of found) {
          const [start, stop] = [Date.parse(one.started_at), Date.parse(one.stopped_at)];
          expect(stop).toBeLessThan(moment);
          for (const [from, to] of gaps)
            expect(T0 + to * 60_000 <= start || T0 + from * 60_000 >= moment).toBe(true);
        }
        const window = windowOf(all);
        const inGap = window.gaps.some(
          (gap) => Date.parse(gap.from) < moment && moment <= Date.parse(gap.to),
        );
        const inside =
          window.from !== null &&
          Date.parse(window.from) < moment &&
          moment <= Date.parse(window.to ?? "") &&
          !inGap;
        expect(found.length > 0).toBe(inside);
      }),
    );
  });
});

describe("base backups for all that there is", () => {
  const both = [
    [10, 12],
    [100, 105],
  ] as const;
  const labels = (all: Kept): string[] => basesToEnd(all).map(({ label }) => label);

  test("are those after the last gap, the newest first", () => {
    expect(labels(kept(both, [], 200))).toEqual(["100F", "10F"]);
    expect(labels(kept(both, [[50, 60]], 200))).toEqual(["100F"]);
  });

  test("are all of them where WAL was given up and none reaches the end", () => {
    const all: Kept = { ...kept(both, [], 200), archiving: { archiving: false, since: at(150), gaps: [] } };
    expect(labels(all)).toEqual(["100F", "10F"]);
    expect(windowOf(all).to).toBe(at(150));
  });
});

describe("a gap", () => {
  const minute = (count: number): number => T0 + count * 60_000;
  const known = {
    lastArchivedAt: null,
    waiting: undefined,
    bases: [base(10, 12)],
    since: minute(1),
    seen: undefined,
  };

  test("begins no later than the oldest segment that waits, also where the server does not know what it archived last", () => {
    expect(archivedBefore({ ...known, waiting: minute(30) + 0.5 }, 60)).toBe(minute(29));
    expect(archivedBefore({ ...known, waiting: minute(30), lastArchivedAt: minute(20) }, 60)).toBe(
      minute(20),
    );
    // A slow archiver has just taken an old segment.
    expect(archivedBefore({ ...known, waiting: minute(30), lastArchivedAt: minute(90) }, 60)).toBe(
      minute(29),
    );
  });

  test("begins with the last base backup, or with archiving, where nothing else is known", () => {
    expect(archivedBefore(known, 60)).toBe(minute(12));
    expect(archivedBefore({ ...known, bases: [] }, 60)).toBe(minute(1));
    expect(archivedBefore({ ...known, waiting: minute(5) }, 60)).toBe(minute(12));
  });

  test("does not begin before what was seen archived", () => {
    expect(archivedBefore({ ...known, seen: minute(20) }, 60)).toBe(minute(20));
    expect(archivedBefore({ ...known, seen: minute(20), waiting: minute(30) }, 60)).toBe(minute(29));
    expect(archivedBefore({ ...known, seen: minute(5) }, 60)).toBe(minute(12));
  });
});

describe("WAL that waits", () => {
  test("is counted from the last archived segment to the one that is written", () => {
    const archiver = {
      last_archived_wal: "0000000100000000000000FE",
      last_archived_at: 0,
      last_failed_wal: null,
      last_failed_at: null,
    };
    const facts = primaryFacts({ timeline: 1, current_lsn: 0x1_0300_0010n, archiver });
    expect(segmentsWaiting(facts)).toBe(4);
    const noted = { ...archiver, last_archived_wal: `${archiver.last_archived_wal}.00000028.backup` };
    expect(segmentsWaiting({ ...facts, archiver: noted })).toBe(4);
    const begun = { ...archiver, last_archived_wal: "00000002.history" };
    expect(segmentsWaiting({ ...facts, archiver: begun })).toBe(0);
    expect(segmentsWaiting({ ...facts, timeline: 2 })).toBe(0);
    expect(segmentsWaiting({ ...facts, archiver: null })).toBe(0);
  });

  test("is told of where some waits and none was archived for minutes, as where a disk hangs", () => {
    const archiver = {
      last_archived_wal: "000000010000000000000003",
      last_failed_wal: null,
      last_failed_at: null,
    };
    const codes = (current_lsn: bigint, ago: number): string[] => {
      const facts = primaryFacts({
        timeline: 1,
        current_lsn,
        archiver: { ...archiver, last_archived_at: 0 },
      });
      const primary = { name: "h1", facts: { ...facts, now: ago } };
      return archiveWarnings({ enabled: true, primary }).map(({ code }) => code);
    };
    expect(codes(0x6000010n, 200_000)).toEqual(["archiver_late"]);
    expect(codes(0x6000010n, 100_000)).toEqual([]);
    // One that was finished after a quiet time is archived at this moment.
    expect(codes(0x5000010n, 200_000)).toEqual([]);
  });

  test("is given up before it takes half of what would be free", () => {
    const segmentBytes = 16 * 1024 * 1024;
    fc.assert(
      fc.property(fc.nat(1e6), fc.nat(1e13), fc.nat(1e13), (segments, totalBytes, freeBytes) => {
        const full = isQueueFull({ segments, segmentBytes }, { totalBytes, freeBytes });
        const bytes = segments * segmentBytes;
        if (segments > 4 && bytes > freeBytes) expect(full).toBe(true);
        if (segments <= 4) expect(full).toBe(false);
      }),
    );
  });
});

describe("a moment by chance", () => {
  test("lies in the window, in no gap, and not before what is promised", () => {
    const minutes = fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { minLength: 2, maxLength: 12 });
    fc.assert(
      fc.property(
        minutes.filter(({ length }) => length % 2 === 0),
        fc.integer({ min: 1, max: 20_000 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (some, promised, random) => {
          const sorted = some.toSorted((a, b) => a - b).map((minute) => T0 + minute * 60_000);
          const [from = 0, ...rest] = sorted;
          const to = rest.pop() ?? 0;
          const gaps = rest.flatMap((start, index) =>
            index % 2 === 0 ? [{ from: start, to: rest[index + 1] ?? start }] : [],
          );
          const iso = (milliseconds: number): string => new Date(milliseconds).toISOString();
          const found = momentByChance(
            {
              from: iso(from),
              to: iso(to),
              gaps: gaps.map((gap) => ({ from: iso(gap.from), to: iso(gap.to) })),
              archiving: true,
              base_backups: 1,
            },
            promised * 60_000,
            random,
          );
          const isAllLost = gaps.some((gap) => gap.from <= to - promised * 60_000 && gap.to >= to);
          if (isAllLost) return;
          expect(found).toBeGreaterThan(Math.max(from, to - promised * 60_000));
          expect(found).toBeLessThanOrEqual(to);
          for (const gap of gaps)
            expect((found ?? 0) > gap.from && (found ?? 0) <= gap.to, JSON.stringify(gap)).toBe(false);
        },
      ),
    );
  });

  test("is none while there is no window", () => {
    expect(
      momentByChance({ from: null, to: null, gaps: [], archiving: true, base_backups: 0 }, 1, 0.5),
    ).toBeUndefined();
  });
});

describe("what is archived lacks a base backup that begins it", () => {
  const begun = (...times: string[]) => times.map((started_at) => ({ started_at }));
  const gap = { from: "2026-11-28T10:00:00.500Z", to: "2026-11-28T11:00:00.500Z" };

  test("where none was begun after the last gap, whatever the record says of when it goes on", () => {
    expect(baseLackedFrom([gap], begun("2026-11-28T09:00:00.000Z"))).toBe(Date.parse(gap.to));
    // Told in whole seconds: it may have begun before the gap was over.
    expect(baseLackedFrom([gap], begun("2026-11-28T11:00:00.000Z"))).toBe(Date.parse(gap.to));
    const later = { from: "2026-11-28T12:00:00.000Z", to: "2026-11-28T13:00:00.000Z" };
    const between = begun("2026-11-28T09:00:00.000Z", "2026-11-28T11:00:01.000Z");
    expect(baseLackedFrom([gap, later], between)).toBe(Date.parse(later.to));
  });

  test("where there is none at all, and not where one was begun after it", () => {
    expect(baseLackedFrom([], [])).toBe(-Infinity);
    expect(baseLackedFrom([], begun("2026-11-28T09:00:00.000Z"))).toBeUndefined();
    expect(baseLackedFrom([gap], begun("2026-11-28T11:00:01.000Z"))).toBeUndefined();
  });
});
