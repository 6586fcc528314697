import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { backupWarnings } from "../../src/cluster/backups/backups.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";
import { OdooPgError, type ErrorCode } from "../../src/errors.ts";
import {
  backupStatusSchema,
  runReportSchema,
  type BackupStatus,
  type DatabaseResult,
  type RunReport,
} from "../../src/model/backups/backup-report.ts";
import { noteFailedRun } from "../../src/runs/failed-run.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";

/** Of shop, good; one of its time was dropped meanwhile. */
function runAt(at: string): RunReport {
  const shop: DatabaseResult = {
    database: "shop",
    outcome: "ok",
    id: "shop_1",
    seconds: 1,
    size_bytes: 1,
    copied_bytes: 0,
    error: null,
    warnings: [],
  };
  return {
    version: 1,
    kind: "backup",
    cluster: "test",
    host: "here",
    started_at: at,
    finished_at: at,
    ok: true,
    databases: [{ ...shop, database: "gone", outcome: "dropped", id: null }, shop],
    removed: [],
    warnings: [],
  };
}

function recordOf(run: RunReport): BackupStatus {
  return {
    version: 1,
    written_at: run.finished_at,
    last_good_at: run.finished_at,
    databases: 1,
    without_backup: [],
    backups: 1,
    size_bytes: 1,
    last_run: run,
    last_drill: null,
  };
}

const first = recordOf(runAt("2026-01-01T03:00:00.000Z"));

/** @param hook that is told of the failure; it is given the state directory as FILE's folder */
async function failAt(
  hook: (file: string) => readonly string[],
  {
    code = "filestore_unusable",
    record = first,
  }: { code?: ErrorCode; record?: BackupStatus | undefined } = {},
): Promise<BackupStatus> {
  const folder = temporaryFolder();
  const file = join(folder, "backup-status.json");
  writeFileSync(file, JSON.stringify(record));
  const config = resolvedConfigSchema.parse({
    state_dir: folder,
    listen: ["127.0.0.1"],
    backup: { on_failure: hook(file) },
  });
  await noteFailedRun(config, folder, {
    startedAt: "2026-01-01T04:00:00.000Z",
    finishedAt: "2026-01-01T04:00:01.000Z",
    host: "here",
    error: new OdooPgError(code, { message: "The disk is not mounted." }),
  });
  return backupStatusSchema.parse(JSON.parse(readFileSync(file, "utf8")));
}

test("a run that could not begin is recorded and told, of the databases that would have been backed up", async () => {
  const told = join(temporaryFolder(), "told");
  const { last_run, last_good_at } = await failAt(() => ["tee", told]);
  expect(last_good_at).toBe(first.last_good_at);
  expect(last_run).toMatchObject({ ok: false, not_begun: "The disk is not mounted." });
  expect(last_run?.databases.map(({ database, outcome }) => [database, outcome])).toEqual([
    ["shop", "failed"],
  ]);
  expect(runReportSchema.parse(JSON.parse(readFileSync(told, "utf8")))).toMatchObject({ ok: false });
});

test("what another run notes while the hooks are told stays", async () => {
  const later = recordOf(runAt("2026-01-01T04:00:00.500Z"));
  const replace = (record: BackupStatus) => (file: string) => [
    "sh",
    "-c",
    'printf %s "$0" > "$1"',
    JSON.stringify(record),
    file,
  ];
  expect(await failAt(replace(later))).toEqual(later);
  // Of one that was begun earlier, and has ended by now, all but its place as the last one.
  const earlier = { ...recordOf(runAt("2026-01-01T03:30:00.000Z")), backups: 7 };
  expect(await failAt(replace(earlier))).toMatchObject({ backups: 7, last_run: { ok: false } });
});

test("who is kept out by another run, or finds no server, is no failure of backups", async () => {
  for (const code of ["locked", "interrupted", "not_running", "primary_unreachable"] as const)
    expect(await failAt(() => ["false"], { code })).toEqual(first);
});

test("why a run could not begin is told also where no database is known", async () => {
  const record = await failAt(() => [], { record: { ...first, last_run: null } });
  const settings = resolvedConfigSchema.parse({ state_dir: "/s", listen: ["127.0.0.1"] }).backup;
  const now = Date.parse("2026-01-01T04:10:00.000Z");
  expect(
    backupWarnings({ settings, record, launchedAt: undefined, now }).map(({ message }) => message),
  ).toContain("The last backup failed before it began: The disk is not mounted.");
});
