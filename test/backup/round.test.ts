import { array, assert, constantFrom, integer, property, record } from "fast-check";
import { describe, expect, test } from "vitest";
import type { CataloguedBackup } from "../../src/backup/catalogue.ts";
import { NO_CHECKS } from "../../src/backup/manifest.ts";
import type { BackupStatus, DatabaseProof } from "../../src/model/backups/backup-report.ts";
import { roundOf } from "../../src/backup/round.ts";
import { nextTime, parseSchedule } from "../../src/config/values/cron.ts";
import { configSchema } from "../../src/config/schema.ts";
import { backupOf, recordOf } from "./records.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const NOW = Date.parse("2026-06-15T03:30:00.000Z");
const { drill_schedule, max_drill_age_days } = configSchema.parse({}).backup;

const iso = (at: number): string => new Date(at).toISOString();

/** When the schedule comes after a moment. */
function next(at: number, text = drill_schedule): number {
  const schedule = parseSchedule(text);
  return (typeof schedule === "string" ? undefined : nextTime(schedule, at)) ?? Infinity;
}

interface Known {
  readonly database: string;
  /** Days since then. */
  readonly proven?: number;
  readonly failed?: number;
}

function recordWith(known: readonly Known[]): BackupStatus {
  const proofs = known.map(({ database, proven, failed }): DatabaseProof => ({
    database,
    since: iso(NOW - 100 * DAY),
    proven: proven === undefined ? null : { at: iso(NOW - proven * DAY), id: "" },
    failed: failed === undefined ? null : { at: iso(NOW - failed * DAY), id: "", error: "" },
  }));
  return recordOf({ proofs });
}

function round(known: readonly Known[], backups = known.map(({ database }) => backupOf(database, 1))) {
  const databases = known.map(({ database }) => database);
  return roundOf({ databases, backups, record: recordWith(known), now: NOW, nextAt: next(NOW) });
}

const names = (backups: readonly CataloguedBackup[]): string[] =>
  backups.map(({ manifest }) => manifest.database);

describe("a scheduled run of drills", () => {
  test("comes every night and takes what would be older than a week before the next is over", () => {
    expect(next(NOW)).toBe(NOW + DAY);
    const { backups, budget } = round([
      { database: "new" },
      { database: "fresh", proven: 5.8 },
      { database: "old", proven: 5.9 },
      { database: "older", proven: 30 },
    ]);
    expect([names(backups), budget]).toEqual([["new", "older", "old"], 4 * HOUR]);
  });

  test("takes again what failed, after what was not tried for longer", () => {
    const { backups } = round([
      { database: "failed", proven: 1, failed: 0.5 },
      { database: "old", proven: 8 },
      { database: "failed before", failed: 2 },
    ]);
    expect(names(backups)).toEqual(["old", "failed before", "failed"]);
  });

  test("takes the newest backup, and nothing of a database that has none or is not backed up any more", () => {
    const newer = backupOf("shop", 2);
    const { backups } = round(
      [{ database: "shop" }, { database: "none" }],
      [backupOf("shop", 1), newer, backupOf("gone", 1)],
    );
    expect(backups).toEqual([newer]);
  });

  test("believes what backups say of themselves where the record is lost, and no moment that is still to come", () => {
    const drilled = (database: string, at: number): CataloguedBackup => ({
      ...backupOf(database, 1),
      checks: { ...NO_CHECKS, drilled_at: iso(at) },
    });
    const { backups } = roundOf({
      databases: ["proven", "once", "future"],
      backups: [drilled("proven", NOW - DAY), drilled("once", NOW - 9 * DAY), drilled("future", NOW + DAY)],
      record: undefined,
      now: NOW,
      nextAt: next(NOW),
    });
    expect(names(backups)).toEqual(["future", "once"]);
  });

  test.each([
    ["weekly", 7 * DAY],
    ["0 3 1 * *", 28 * DAY],
  ])("takes all of them where it comes %s", (schedule, pause) => {
    const nextAt = next(NOW, schedule);
    const at = nextAt;
    expect(next(at, schedule) - at).toBeGreaterThanOrEqual(pause);
    const { backups } = roundOf({
      databases: ["a"],
      backups: [backupOf("a", 1)],
      record: recordOf({
        proofs: [{ database: "a", since: iso(0), proven: { at: iso(at - HOUR / 2), id: "" }, failed: null }],
      }),
      now: at,
      nextAt: next(at, schedule),
    });
    expect(names(backups)).toEqual(["a"]);
  });

  test("takes all where nothing says when the next comes", () => {
    const { backups } = roundOf({
      databases: ["a"],
      backups: [backupOf("a", 1)],
      record: recordWith([{ database: "a", proven: 0.1 }]),
      now: NOW,
      nextAt: undefined,
    });
    expect(names(backups)).toEqual(["a"]);
  });
});

/** Runs the schedule for weeks. @returns for each database the moments at which it was proven */
function weeks(durations: readonly number[], failing: number): number[][] {
  const databases = durations.map((_, index) => `db${index}`);
  const backups = databases.map((database) => backupOf(database, 1));
  const proven = databases.map((): number[] => []);
  const tried = databases.map(() => 0);
  let now = NOW;
  for (let night = 0; night < 60; night += 1) {
    const proofs = databases.map((database, index): DatabaseProof => {
      const at = proven[index]?.at(-1);
      const failed = index < failing && tried[index] ? { at: iso(tried[index]), id: "", error: "" } : null;
      return { database, since: iso(NOW), proven: at === undefined ? null : { at: iso(at), id: "" }, failed };
    });
    const nextAt = next(now);
    const taken = roundOf({ databases, backups, record: recordOf({ proofs }), now, nextAt });
    let spent = 0;
    for (const [place, { manifest }] of taken.backups.entries()) {
      if (place > 0 && spent >= taken.budget) break;
      const index = databases.indexOf(manifest.database);
      spent += durations[index] ?? 0;
      tried[index] = now;
      if (index >= failing) proven[index]?.push(now + spent);
    }
    now = nextAt;
  }
  return proven;
}

test("over weeks no database waits for its proof so long that status would say so, while there is time for all", () => {
  const minutes = array(integer({ min: 1, max: 240 }), { minLength: 1, maxLength: 40 });
  assert(
    property(record({ minutes, failing: constantFrom(0, 1) }), ({ minutes, failing }) => {
      // One that fails every night takes a whole night's time.
      const durations = failing ? [4 * HOUR] : [];
      let sum = 0;
      for (const each of minutes) {
        // Five nights' worth: what is left is for drills that take longer than their night.
        if (sum + each * 60_000 > 20 * HOUR) break;
        sum += each * 60_000;
        durations.push(each * 60_000);
      }
      for (const proofs of weeks(durations, failing).slice(failing)) {
        for (const [index, at] of [...proofs, NOW + 60 * DAY].entries())
          expect((at - (proofs[index - 1] ?? NOW)) / DAY).toBeLessThan(max_drill_age_days);
      }
    }),
  );
});
