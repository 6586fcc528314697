import { describe, expect, test } from "vitest";
import {
  changesSinceYesterday,
  HOUR,
  NO_HISTORY,
  sharesOfDay,
  withReading,
  type StatementHistory,
} from "../../src/cluster/statement-history.ts";
import { NOW } from "../support/observations.ts";

/** The beginning of an hour. */
const START = Math.floor(NOW / HOUR) * HOUR;
const STEP = HOUR / 12;

type Counters = Readonly<Record<string, readonly [calls: number, milliseconds: number]>>;

function reading(at: number, counters: Counters, node = "pg1"): Parameters<typeof withReading>[1] {
  return {
    at,
    node,
    counters: Object.entries(counters).map(([id, [calls, milliseconds]]) => ({ id, calls, milliseconds })),
  };
}

/** Looks every five minutes for so many hours, with what each hour adds to each statement. */
function watched(hours: readonly Counters[], from = START - hours.length * HOUR): StatementHistory {
  const sums = new Map<string, readonly [number, number]>();
  let history = withReading(NO_HISTORY, reading(from, {}));
  for (const [hour, added] of hours.entries()) {
    for (let step = 1; step <= 12; step += 1) {
      for (const [id, [calls, milliseconds]] of Object.entries(added)) {
        const [before, took] = sums.get(id) ?? [0, 0];
        sums.set(id, [before + calls / 12, took + milliseconds / 12]);
      }
      // A look at the very end of an hour would belong to the next.
      const at = from + hour * HOUR + step * STEP - (step === 12 ? 1 : 0);
      history = withReading(history, reading(at, Object.fromEntries(sums)));
    }
  }
  return history;
}

const times = (count: number, counters: Counters): Counters[] =>
  Array.from({ length: count }, () => counters);

describe("what is kept of statements", () => {
  test("is what each hour added, and its share in the time of that hour", () => {
    const history = watched([
      { a: [120, 3000], b: [12, 1000] },
      { a: [12, 100], b: [12, 900] },
    ]);
    expect(
      history.hours.map(({ calls, milliseconds }) => [Math.round(calls), Math.round(milliseconds)]),
    ).toEqual([
      [132, 4000],
      [24, 1000],
    ]);
    const day = sharesOfDay(history, "a", START - 1);
    expect(day).toHaveLength(24);
    expect(day.slice(0, 22)).toEqual(Array.from({ length: 22 }, () => null));
    expect(day.slice(22).map((share) => Math.round((share ?? 0) * 100))).toEqual([75, 10]);
  });

  test("begins anew with another node, after a long absence, and when the clock was set back", () => {
    const before = withReading(NO_HISTORY, reading(START, { a: [5, 5] }));
    for (const next of [
      reading(START + STEP, { a: [9000, 9000] }, "pg2"),
      reading(START + HOUR, { a: [9000, 9000] }),
      reading(START - STEP, { a: [9000, 9000] }),
    ])
      expect(withReading(before, next).hours).toEqual([]);
  });

  test("counts from nothing where the server has forgotten what it counted", () => {
    const before = withReading(NO_HISTORY, reading(START, { a: [500, 500] }));
    const [hour] = withReading(before, reading(START + STEP, { a: [3, 4] })).hours;
    expect(hour?.statements).toEqual([{ id: "a", calls: 3, milliseconds: 4 }]);
  });

  test("is two days, and of each hour the hundred statements that took most, however many there are", () => {
    const many = Object.fromEntries(
      Array.from({ length: 400 }, (_, index) => [`s${index}`, [12, index + 1] as const]),
    );
    const history = watched(times(60, many));
    expect(history.hours.length).toBeLessThanOrEqual(49);
    expect(history.hours.every(({ statements }) => statements.length === 100)).toBe(true);
    expect(history.hours[10]?.statements[0]?.id).toBe("s399");
    // What it takes on the disk, beside the texts of those statements.
    expect(JSON.stringify(history.hours).length).toBeLessThan(500_000);
  });
});

describe("what changed since yesterday", () => {
  test("is told of what is new, gone, slower, faster, or run more or less often, what weighs most first", () => {
    const yesterday = {
      slow: [120, 1000],
      often: [120, 1200],
      gone: [12, 900],
      same: [120, 5000],
      fast: [120, 2000],
      seldom: [1200, 3000],
    } as const;
    const today = {
      slow: [120, 4000],
      often: [360, 3600],
      new: [12, 800],
      same: [120, 5100],
      fast: [120, 800],
      seldom: [120, 300],
    } as const;
    const { hours, changes } = changesSinceYesterday(
      watched([...times(24, yesterday), ...times(24, today)]),
      START,
    );
    expect(hours).toBe(24);
    expect(changes.map(({ id, change }) => [id, change])).toEqual([
      ["slow", "slower"],
      ["seldom", "less often"],
      ["often", "more often"],
      ["fast", "faster"],
      ["gone", "gone"],
      ["new", "new"],
    ]);
    const [slow] = changes;
    expect(Math.round(slow?.before.milliseconds ?? 0)).toBe(24_000);
    expect(Math.round(slow?.now.milliseconds ?? 0)).toBe(96_000);
  });

  test("is nothing while no hour has its like of the day before", () => {
    expect(changesSinceYesterday(watched(times(20, { a: [1, 1] })), START)).toEqual({
      hours: 0,
      changes: [],
    });
    expect(changesSinceYesterday(NO_HISTORY, START)).toEqual({ hours: 0, changes: [] });
  });

  test("is nothing where a statement takes less than a hundredth of the time", () => {
    const history = watched([
      ...times(24, { big: [120, 100_000], small: [120, 10] }),
      ...times(24, { big: [120, 100_000], small: [120, 500] }),
    ]);
    expect(changesSinceYesterday(history, START).changes).toEqual([]);
  });
});
