import type { ArchiveStatus } from "../../model/backups/archive-status.ts";
import type { BackupStatus } from "../../model/backups/backup-report.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";
import { odooPg } from "../../next-step.ts";

/** Why what has expired stays. */
export const WHY_LEFT = "a copy elsewhere was being made of it";

/** Since when backups or base backups that have expired are left, ISO 8601; undefined where they are removed. Pure. */
export function rotationSkippedSince(
  backups: BackupStatus | undefined,
  archive: ArchiveStatus | undefined,
): string | undefined {
  return [backups?.rotation_skipped_since, archive?.expiry_skipped_since ?? undefined]
    .flatMap((since) => since ?? [])
    .sort()[0];
}

/** Whether what has expired stays. */
export function rotationWarnings(
  backups: BackupStatus | undefined,
  archive: ArchiveStatus | undefined,
): FoundWarning[] {
  const since = rotationSkippedSince(backups, archive);
  if (since === undefined) return [];
  return [
    warning("rotation_skipped", {
      message: `What has expired since ${since} was not removed: ${WHY_LEFT}. It is retried automatically.`,
      next: odooPg("logs", "backup"),
    }),
  ];
}
