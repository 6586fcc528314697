import path from "node:path";
import { readTextIfAny } from "../system/files.ts";
import { backupStatusSchema, type BackupStatus } from "./report.ts";

export function backupStatusFile(stateDir: string): string {
  return path.join(stateDir, "backup-status.json");
}

/** What the last run left; undefined where there was none, or where its record is damaged. */
export async function readBackupStatus(stateDir: string): Promise<BackupStatus | undefined> {
  const text = await readTextIfAny(backupStatusFile(stateDir));
  if (text === undefined) return undefined;
  try {
    return backupStatusSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
