import type { Config } from "../config/schema.ts";
import type { ErrorCode, OdooPgError } from "../errors.ts";
import { nextInDocument } from "../next-step.ts";
import { oneLine } from "../printable.ts";
import type { RunReport } from "../model/backup-report.ts";
import { backupStatusFile, readBackupStatus } from "../store/backup-status.ts";
import { writeFileAtomic } from "../system/files/files.ts";
import { tellHooks } from "./hooks.ts";

/** What keeps a run out, or is said already where the servers are told of, is no failure of backups. */
const NO_FAILURE: readonly ErrorCode[] = [
  "locked",
  "interrupted",
  "usage",
  "database_unknown",
  "not_running",
  "primary_unreachable",
];

/** A run that could not begin: when it did, on which host, and why not. */
interface Attempt {
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly host: string;
  readonly error: OdooPgError;
}

/**
 * Notes that a run of all databases could not even begin, as when the disk of backups or of the filestore is not mounted,
 * and tells the hooks: status and alarms would go on saying that all is well until the last backup is too old. Without a
 * record of earlier runs there is nothing that could say so.
 */
export async function noteFailedRun(config: Config, stateDir: string, attempt: Attempt): Promise<void> {
  const { error, host, startedAt, finishedAt } = attempt;
  if (NO_FAILURE.includes(error.code)) return;
  const { record } = await readBackupStatus(stateDir);
  if (!record) return;
  const known = [
    ...(record.proofs ?? []).map(({ database }) => database),
    ...(record.last_run?.databases ?? []).map(({ database }) => database),
  ];
  const run: RunReport = {
    version: 1,
    kind: "backup",
    cluster: config.cluster,
    host,
    started_at: startedAt,
    finished_at: finishedAt,
    ok: false,
    databases: [...new Set(known)].map((database) => ({
      database,
      outcome: "failed",
      id: null,
      seconds: 0,
      size_bytes: 0,
      copied_bytes: 0,
      error: oneLine(error.message),
      ...(error.safe === undefined ? {} : { safe: error.safe }),
      ...(error.next === undefined ? {} : nextInDocument(error.next, undefined)),
      warnings: [],
    })),
    removed: [],
    warnings: [],
  };
  const warnings = await tellHooks(config, run);
  const status = { ...record, written_at: finishedAt, last_run: { ...run, warnings } };
  await writeFileAtomic(backupStatusFile(stateDir), `${JSON.stringify(status, undefined, 2)}\n`, {
    mode: 0o644,
  });
}
