import { describe, expect, test } from "vitest";
import { rotationSkippedSince, rotationWarnings } from "../../src/cluster/backups/rotation.ts";
import { provenSecondOf, provenWords, secondDrillWarnings } from "../../src/cluster/backups/second-drill.ts";
import type { ArchiveStatus } from "../../src/model/backups/archive-status.ts";
import type { SecondDrill } from "../../src/model/backups/second-drill.ts";
import { NOW } from "../support/observations.ts";

const DAY = 86_400_000;
const before = (milliseconds: number): string => new Date(NOW - milliseconds).toISOString();

/** Every day at noon. */
const settings = {
  enabled: true,
  window: "7d",
  full_schedule: "0 1 * * 0",
  diff_schedule: "off",
  drill_schedule: "0 12 * * *",
};

function drill(changes: Partial<SecondDrill>): SecondDrill {
  return { version: 1, begun_at: before(0), proven: null, failed: null, ...changes };
}

const provenBefore = (milliseconds: number): SecondDrill =>
  drill({
    proven: {
      at: before(milliseconds),
      second: before(milliseconds + 2 * DAY),
      base: "20260101-010000F",
      seconds: 130,
      databases: 2,
      relations: 900,
    },
  });

function archive(changes: Partial<ArchiveStatus>): ArchiveStatus {
  return {
    version: 1,
    written_at: before(0),
    begun: { full: null, diff: null },
    bases: [],
    tablespaces: [],
    expiry_skipped_since: null,
    error: null,
    ...changes,
  };
}

/** With a base backup since so many days. */
const archiveSince = (days: number): ArchiveStatus =>
  archive({
    bases: [
      {
        label: "20260101-010000F",
        type: "full",
        started_at: before(days * DAY),
        stopped_at: before(days * DAY),
        stop_lsn: "0/1",
        timeline: 1,
        database_bytes: 1,
        repository_bytes: 1,
      },
    ],
  });

const codes = (...args: Parameters<typeof secondDrillWarnings>): string[] =>
  secondDrillWarnings(...args).map(({ code }) => code);

describe("the proof of a second", () => {
  test("is late after two of its times and six hours, counted from the last proof or else the first base backup", () => {
    expect(codes(settings, provenBefore(DAY), undefined, NOW)).toEqual([]);
    expect(codes(settings, provenBefore(3 * DAY), undefined, NOW)).toEqual(["second_drill_too_old"]);
    expect(codes(settings, undefined, archiveSince(1), NOW)).toEqual([]);
    expect(codes(settings, undefined, archiveSince(3), NOW)).toEqual(["second_drill_too_old"]);
    expect(codes(settings, undefined, undefined, NOW)).toEqual([]);
  });

  test("is not missed where its schedule or any second is off", () => {
    const off = { ...settings, drill_schedule: "off" };
    expect(codes(off, provenBefore(300 * DAY), undefined, NOW)).toEqual([]);
    expect(codes({ ...settings, enabled: false }, provenBefore(300 * DAY), undefined, NOW)).toEqual([]);
  });

  test("that failed is told with what was wrong, whatever the schedule", () => {
    const failed = { at: before(0), second: before(DAY), error: "2 attachments of shop are nowhere" };
    const off = { ...settings, drill_schedule: "off" };
    const [found] = secondDrillWarnings(off, drill({ failed }), undefined, NOW);
    expect(found?.code).toBe("second_drill_failed");
    expect(found?.message).toBe(
      `${before(DAY)} could not be brought back whole: 2 attachments of shop are nowhere.`,
    );
  });

  test("stands in a few words", () => {
    const proven = provenSecondOf(settings, provenBefore(3 * DAY));
    expect(proven && provenWords(proven, NOW)).toBe("proven 3 days ago, a second of 5 days ago, took 2 min");
    const never = provenSecondOf(settings, undefined);
    expect(never && provenWords(never, NOW)).toBe("never proven");
    expect(provenSecondOf({ enabled: false }, provenBefore(0))).toBeNull();
  });
});

test("what rotation has left is told since its first time, of backups or of base backups", () => {
  const left = archive({ expiry_skipped_since: before(DAY) });
  expect(rotationSkippedSince(undefined, left)).toBe(before(DAY));
  expect(rotationWarnings(undefined, left).map(({ code }) => code)).toEqual(["rotation_skipped"]);
  expect(rotationWarnings(undefined, archive({}))).toEqual([]);
});
