import type { Config } from "../config/schema.ts";
import type { ErrorCode, OdooPgError } from "../errors.ts";
import { nextInDocument } from "../next-step.ts";
import { oneLine } from "../printable.ts";
import type { BackupStatus, RunReport } from "../model/backups/backup-report.ts";
import { changeBackupStatus, readBackupStatus } from "../store/backup-status.ts";
import { tellHooks } from "./hooks.ts";

/** Errors that are no failure of backups: they keep a run out, or are already reported by the servers' own checks. */
const NO_FAILURE: readonly ErrorCode[] = [
  "locked",
  "interrupted",
  "usage",
  "database_unknown",
  "not_running",
  "primary_unreachable",
];

/** A run that could not begin: when, on which host, and why. */
interface Attempt {
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly host: string;
  readonly error: OdooPgError;
}

/**
 * Notes that a run of all databases could not even begin, for example because the disk of the backups or of the
 * filestore is not mounted, and calls the hooks. Otherwise status and alarms would report that all is well until the
 * last backup is too old. Without a record of earlier runs there is nowhere to note it, and a record of a run that
 * began later is not overwritten: it says more.
 */
export async function noteFailedRun(config: Config, stateDir: string, attempt: Attempt): Promise<void> {
  if (NO_FAILURE.includes(attempt.error.code)) return;
  const { record } = await readBackupStatus(stateDir);
  if (!record) return;
  const run = failedRun(config.cluster, databasesIn(record), attempt);
  // Hooks may take a minute; another run may end meanwhile.
  const warnings = await tellHooks(config, run);
  await changeBackupStatus(stateDir, (before) => {
    if (!before || (before.last_run?.started_at ?? "") > attempt.startedAt) return undefined;
    return { ...before, written_at: attempt.finishedAt, last_run: { ...run, warnings } };
  });
}

/** The databases that a run would have backed up, as far as earlier runs know. */
function databasesIn({ proofs, last_run }: BackupStatus): string[] {
  const last = last_run?.databases.filter(({ outcome }) => outcome !== "dropped") ?? [];
  return [...new Set([...(proofs ?? []), ...last].map(({ database }) => database))];
}

function failedRun(
  cluster: string,
  databases: readonly string[],
  { error, host, startedAt, finishedAt }: Attempt,
): RunReport {
  const why = oneLine(error.message);
  return {
    version: 1,
    kind: "backup",
    cluster,
    host,
    started_at: startedAt,
    finished_at: finishedAt,
    ok: false,
    not_begun: why,
    databases: databases.map((database) => ({
      database,
      outcome: "failed",
      id: null,
      seconds: 0,
      size_bytes: 0,
      copied_bytes: 0,
      error: why,
      ...(error.safe === undefined ? {} : { safe: error.safe }),
      ...(error.next === undefined ? {} : nextInDocument(error.next, undefined)),
      warnings: [],
    })),
    removed: [],
    warnings: [],
  };
}
