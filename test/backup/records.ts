import type { CataloguedBackup } from "../../src/backup/catalogue.ts";
import { NO_CHECKS } from "../../src/backup/manifest.ts";
import type { BackupStatus } from "../../src/model/backups/backup-report.ts";

/** A day of January. */
export const day = (number: number): string => `2026-01-${String(number).padStart(2, "0")}T03:00:00.000Z`;

/** The backup of a database of a day; when it was proven, if it was. */
export function backupOf(database: string, made: number, drilled?: number): CataloguedBackup {
  const id = `${database}_202601${String(made).padStart(2, "0")}_0300`;
  const at = drilled === undefined ? null : day(drilled);
  return {
    id,
    folder: `/backups/${id}.dump`,
    manifest: {
      version: 1,
      id,
      database,
      system_identifier: "1",
      server_version: "15.1",
      server_major: 15,
      odoo_pg_version: "0",
      odoo_version: null,
      dumps: [{ format: "directory", path: ".", compression: "gzip:1" }],
      size_bytes: 1,
      database_bytes: 1,
      tables: 1,
      rows: 1,
      lacks: [],
      filestore: { included: false, reason: "not_odoo" },
      started_at: day(made),
      snapshot_at: day(made),
      finished_at: day(made),
      requested_by: { kind: "schedule", user: "postgres", host: "here" },
      kinds: ["hourly"],
    },
    checks: { ...NO_CHECKS, verified_at: at, drilled_at: at },
  };
}

/** A record of the last run that knows nothing but what is said. */
export function recordOf(changes: Partial<BackupStatus>): BackupStatus {
  return {
    version: 1,
    written_at: day(1),
    last_good_at: null,
    databases: 0,
    without_backup: [],
    backups: 0,
    size_bytes: 0,
    last_run: null,
    last_drill: null,
    ...changes,
  };
}
