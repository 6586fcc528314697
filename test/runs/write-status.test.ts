import { expect, test } from "vitest";
import { placeOf } from "../../src/backup/place.ts";
import type { RunReport } from "../../src/model/backups/backup-report.ts";
import { writeBackupStatus } from "../../src/runs/write-status.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

function drillOf(at: string, outcomes: readonly ("ok" | "dropped")[]): RunReport {
  return {
    version: 1,
    kind: "drill",
    cluster: "test",
    host: "here",
    started_at: at,
    finished_at: at,
    ok: true,
    databases: outcomes.map((outcome, number) => ({
      database: `db${number}`,
      outcome,
      id: `db${number}_20260101_0300`,
      seconds: 1,
      size_bytes: 1,
      copied_bytes: 0,
      error: null,
      warnings: [],
    })),
    removed: [],
    warnings: [],
  };
}

test("a drill that found nothing to restore is not kept as a proof", async () => {
  const folder = temporaryFolder();
  const write = async (run: RunReport) =>
    (await writeBackupStatus(folder, placeOf(`${folder}/backups`), ["db0"], run)).last_drill;
  expect(await write(drillOf("2026-01-01T03:00:00.000Z", []))).toBeNull();
  const proof = drillOf("2026-01-02T03:00:00.000Z", ["ok"]);
  expect(await write(proof)).toEqual(proof);
  expect(await write(drillOf("2026-01-03T03:00:00.000Z", []))).toEqual(proof);
  expect(await write(drillOf("2026-01-04T03:00:00.000Z", ["dropped"]))).toEqual(proof);
});

test("since when runs have left what has expired is kept until one has removed it", async () => {
  const folder = temporaryFolder();
  const since = async (day: number, rotation: RunReport["rotation"]) => {
    const at = `2026-01-0${day}T03:00:00.000Z`;
    const run: RunReport = { ...drillOf(at, []), kind: "backup", ...(rotation ? { rotation } : {}) };
    return (await writeBackupStatus(folder, placeOf(`${folder}/backups`), [], run)).rotation_skipped_since;
  };
  expect(await since(1, "done")).toBeUndefined();
  expect(await since(2, "skipped")).toBe("2026-01-02T03:00:00.000Z");
  expect(await since(3, "skipped")).toBe("2026-01-02T03:00:00.000Z");
  // All failed: nothing is removed then.
  expect(await since(4, undefined)).toBe("2026-01-02T03:00:00.000Z");
  expect(await since(5, "done")).toBeUndefined();
});
