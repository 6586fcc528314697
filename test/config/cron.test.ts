import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nextTime, parseSchedule, type Schedule, scheduleProblem } from "../../src/config/values/cron.ts";

function schedule(text: string): Schedule {
  const parsed = parseSchedule(text);
  if (typeof parsed === "string") throw new Error(parsed);
  return parsed;
}

function next(text: string, after: string): string | undefined {
  const time = nextTime(schedule(text), Date.parse(after));
  return time === undefined ? undefined : new Date(time).toISOString().slice(0, 16);
}

describe("the next time of a schedule", () => {
  test.each([
    ["0 * * * *", "2026-03-01T10:00:00Z", "2026-03-01T11:00"],
    ["hourly", "2026-03-01T10:59:59Z", "2026-03-01T11:00"],
    ["*/15 * * * *", "2026-03-01T10:44:00Z", "2026-03-01T10:45"],
    ["30 3 * * 0", "2026-03-01T03:30:00Z", "2026-03-08T03:30"],
    ["30 3 * * 7", "2026-02-27T00:00:00Z", "2026-03-01T03:30"],
    ["0 0 29 2 *", "2026-03-01T00:00:00Z", "2028-02-29T00:00"],
    ["5,35 8-10/2 * 12 *", "2026-12-31T10:35:00Z", "2027-12-01T08:05"],
    ["0 12 13 * 5", "2026-03-01T00:00:00Z", "2026-03-06T12:00"],
    ["0 12 */2 * 5", "2026-03-01T00:00:00Z", "2026-03-13T12:00"],
    // Neither day has an hour twice or none at all in UTC.
    ["30 2 * * *", "2026-03-29T00:00:00Z", "2026-03-29T02:30"],
    ["30 2 * * *", "2026-10-25T02:30:00Z", "2026-10-26T02:30"],
  ])("%s after %s is %s", (text, after, expected) => {
    expect(next(text, after)).toBe(expected);
  });

  test("lies in the future, on a whole minute, and is the first one due", () => {
    fc.assert(
      fc.property(
        fc.record({
          minute: fc.integer({ min: 0, max: 59 }),
          hour: fc.integer({ min: 0, max: 23 }),
          weekday: fc.option(fc.integer({ min: 0, max: 6 })),
        }),
        fc.date({ min: new Date("2020-01-01"), max: new Date("2050-01-01"), noInvalidDate: true }),
        ({ minute, hour, weekday }, after) => {
          const time = nextTime(schedule(`${minute} ${hour} * * ${weekday ?? "*"}`), after.getTime());
          if (time === undefined) throw new Error("never");
          expect(time).toBeGreaterThan(after.getTime());
          expect(time - after.getTime()).toBeLessThanOrEqual((weekday === null ? 1 : 7) * 86_400_000);
          const due = new Date(time);
          expect([due.getUTCMinutes(), due.getUTCHours(), due.getUTCSeconds()]).toEqual([minute, hour, 0]);
          if (weekday !== null) expect(due.getUTCDay()).toBe(weekday);
        },
      ),
    );
  });
});

test.each([
  "",
  "* * * *",
  "60 * * * *",
  "* 24 * * *",
  "* * 0 * *",
  "* * * 13 *",
  "* * * * 8",
  "*/0 * * * *",
  "5-1 * * * *",
  "a * * * *",
  "0 0 30 2 *",
])("%j is not a schedule", (text) => {
  expect(scheduleProblem(text)).toBeTypeOf("string");
});

test("off is a schedule that is never due", () => {
  expect(scheduleProblem("off")).toBeUndefined();
});
