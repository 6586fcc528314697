import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expired, kindsAt, type Rotation } from "../../src/backup/retention.ts";
import type { BackupKind, FilestorePart } from "../../src/backup/manifest.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const defaults: Rotation = { days_to_keep: 2, day_of_week_to_keep: 5, weeks_to_keep: 12, months_to_keep: 24 };

function backup(
  at: number,
  kinds: BackupKind[] = ["hourly"],
  options: { database?: string; verified?: boolean; damaged?: boolean; attachments?: boolean } = {},
) {
  const { database = "prod", verified = false, damaged = false, attachments = true } = options;
  const filestore: FilestorePart = {
    included: false,
    reason: attachments ? "not_odoo" : "folder_missing",
  };
  return {
    id: `${database} ${new Date(at).toISOString()}`,
    manifest: { database, finished_at: new Date(at).toISOString(), kinds, filestore },
    checks: {
      version: 1 as const,
      verified_at: verified ? "2026-01-01T00:00:00.000Z" : null,
      drilled_at: null,
      problems: damaged ? ["damaged"] : [],
    },
  };
}

type Backup = ReturnType<typeof backup>;

/** Backs up every `step` milliseconds and rotates after each, as the agent does. */
function simulate(start: number, end: number, step: number, rotation: Rotation): Backup[] {
  let kept: Backup[] = [];
  for (let at = start; at <= end; at += step) {
    kept.push(backup(at, kindsAt(at, kept, rotation)));
    const gone = new Set(expired(kept, at, rotation));
    kept = kept.filter(({ id }) => !gone.has(id));
  }
  return kept;
}

describe("rotation", () => {
  test("with the image's defaults keeps two days of all, twelve weeks and twenty-four months", () => {
    const end = Date.parse("2026-11-22T12:00:00Z");
    const kept = simulate(end - 800 * DAY, end, 6 * HOUR, defaults);
    const count = (kind: BackupKind): number =>
      kept.filter(({ manifest }) => manifest.kinds.includes(kind)).length;
    expect(kept.filter(({ manifest }) => Date.parse(manifest.finished_at) > end - 2 * DAY)).toHaveLength(8);
    expect(
      kept.filter(
        ({ manifest }) =>
          manifest.kinds.includes("weekly") && Date.parse(manifest.finished_at) > end - 84 * DAY,
      ),
    ).toHaveLength(12);
    expect(count("monthly")).toBe(24);
  });

  test("weeks begin on the day that is kept, and need no certain hour", () => {
    const friday = Date.parse("2026-11-20T00:00:00Z");
    expect(kindsAt(friday - HOUR, [backup(friday - 3 * DAY, ["hourly", "weekly"])], defaults)).not.toContain(
      "weekly",
    );
    expect(kindsAt(friday + HOUR, [backup(friday - 3 * DAY, ["hourly", "weekly"])], defaults)).toContain(
      "weekly",
    );
    // The host was off until Sunday.
    expect(kindsAt(friday + 2 * DAY, [backup(friday - 3 * DAY, ["hourly", "weekly"])], defaults)).toContain(
      "weekly",
    );
    expect(kindsAt(friday + 2 * DAY, [backup(friday + DAY, ["hourly", "weekly"])], defaults)).not.toContain(
      "weekly",
    );
  });

  test("never takes the newest backup of a database, nor its newest verified one, with attachments and without", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    fc.assert(
      fc.property(
        fc.array(
          fc.record({
            age: fc.integer({ min: 0, max: 2000 }),
            database: fc.constantFrom("a", "b", "c"),
            verified: fc.boolean(),
            damaged: fc.boolean(),
            attachments: fc.boolean(),
          }),
          { minLength: 1, maxLength: 40 },
        ),
        fc.record({
          days_to_keep: fc.integer({ min: 0, max: 5 }),
          day_of_week_to_keep: fc.integer({ min: 1, max: 7 }),
          weeks_to_keep: fc.integer({ min: 0, max: 5 }),
          months_to_keep: fc.integer({ min: 0, max: 5 }),
        }),
        (given, rotation) => {
          const all = given.map(({ age, ...rest }, index) =>
            backup(now - age * HOUR - index, ["hourly"], rest),
          );
          const gone = new Set(expired(all, now, rotation));
          for (const database of ["a", "b", "c"]) {
            const own = all
              .filter(({ manifest }) => manifest.database === database)
              .sort((x, y) => (x.manifest.finished_at < y.manifest.finished_at ? -1 : 1));
            const whole = own.filter(
              ({ manifest: { filestore } }) => filestore.included || filestore.reason === "not_odoo",
            );
            for (const some of [own, whole]) {
              const newest = some.at(-1);
              const verified = some.findLast(
                ({ checks }) => checks.verified_at !== null && !checks.problems.length,
              );
              if (newest) expect(gone.has(newest.id)).toBe(false);
              if (verified) expect(gone.has(verified.id)).toBe(false);
            }
          }
        },
      ),
    );
  });

  test("a clock that jumps ahead, or a month without any backup, expires nothing more", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    const kept = simulate(now - 30 * DAY, now, 12 * HOUR, defaults);
    expect(expired(kept, now + 3650 * DAY, defaults)).toEqual([]);
  });

  test("a database that is gone keeps its newest backups, the older ones go as the others do", () => {
    const now = Date.parse("2026-11-22T12:00:00Z");
    const old = [1, 2, 3].map((days) =>
      backup(now - (100 + days) * DAY, ["hourly"], { database: "gone", verified: days === 3 }),
    );
    expect(expired([...old, backup(now)], now, defaults)).toEqual([old[1]?.id]);
  });
});
