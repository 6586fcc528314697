import { odooPg } from "../next-step.ts";
import path from "node:path";
import { damagedFile, inspectJsonFile } from "../system/files/json-file.ts";
import { backupStatusSchema, type BackupStatus } from "../model/backup-report.ts";

export function backupStatusFile(stateDir: string): string {
  return path.join(stateDir, "backup-status.json");
}

/** What the last run left, as far as it can be read. */
export interface BackupRecord {
  /** Undefined where there was none, or where its record is damaged. */
  readonly record: BackupStatus | undefined;
  /** What is wrong with the file, which the next run replaces: nothing of it is used. */
  readonly damage?: string | undefined;
}

export async function readBackupStatus(stateDir: string): Promise<BackupRecord> {
  const file = backupStatusFile(stateDir);
  const read = await inspectJsonFile(file, backupStatusSchema);
  if (!read) return { record: undefined };
  if (read.ok) return { record: read.value };
  const { message } = damagedFile(file, read.problem, RENEWED);
  return { record: undefined, damage: message };
}

const RENEWED = {
  code: "state_dir_unusable",
  safe: "The backups are not affected.",
  next: odooPg("backup", "create", "--all"),
} as const;
