import { odooPg } from "../next-step.ts";
import path from "node:path";
import { writeFileAtomic } from "../system/files/files.ts";
import { damagedFile, inspectJsonFile } from "../system/files/json-file.ts";
import { backupStatusSchema, type BackupStatus } from "../model/backups/backup-report.ts";

function backupStatusFile(stateDir: string): string {
  return path.join(stateDir, "backup-status.json");
}

/** What the last run left, as far as it can be read. */
export interface BackupRecord {
  /** Undefined where there was none, or where its record is damaged. */
  readonly record: BackupStatus | undefined;
  /** Why the file cannot be used, as a sentence; the next run replaces it. Undefined where it is sound. */
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

/**
 * Changes the record by what it says at this moment: what takes long is done before, so that no run writes over what
 * another one has noted meanwhile. Readable by everyone: it holds no secret.
 * @param change is given undefined where there is no record, or a damaged one; answers undefined to leave it as it is
 * @returns what was written
 */
export async function changeBackupStatus<T extends BackupStatus | undefined>(
  stateDir: string,
  change: (record: BackupStatus | undefined) => T,
): Promise<T> {
  const { record } = await readBackupStatus(stateDir);
  const changed = change(record);
  if (changed !== undefined) {
    const text = `${JSON.stringify(changed, undefined, 2)}\n`;
    await writeFileAtomic(backupStatusFile(stateDir), text, { mode: 0o644 });
  }
  return changed;
}

const RENEWED = {
  code: "state_dir_unusable",
  safe: "The backups are not affected.",
  next: odooPg("backup", "create", "--all"),
} as const;
