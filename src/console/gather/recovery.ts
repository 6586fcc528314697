import { knownProofs } from "../../cluster/backups/proofs.ts";
import type { BackupStatus, DatabaseProof } from "../../model/backups/backup-report.ts";
import type { Recovery } from "../../cluster/documents/console.ts";
import { ago } from "./durations.ts";

/** What the console needs to know about a backup in the folder. */
export interface KnownBackup {
  readonly id: string;
  readonly database: string;
  /** The moment that it shows, ISO 8601. */
  readonly at: string;
  /** When it was last restored and compared. */
  readonly drilledAt: string | null;
  readonly damaged: boolean;
}

interface RecoveryInput {
  /** Whether backups are made by a schedule. */
  readonly enabled: boolean;
  /** Undefined before the first read. */
  readonly backups: readonly KnownBackup[] | undefined;
  readonly record: BackupStatus | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

const SHOWN = 50;

/** "Can I go back?" Answered from the folder of the backups and the record of the last run. */
export function recoveryOf({ enabled, backups, record, now }: RecoveryInput): Recovery {
  const sound = (backups ?? []).filter(({ damaged }) => !damaged).sort((a, b) => order(b.at, a.at));
  const last = record?.last_good_at ?? sound[0]?.at ?? null;
  const proven = record?.proofs ? provenUpTo(record.proofs) : lastProof(sound, record);
  const oldest = sound.at(-1)?.at ?? null;
  return {
    sentence: sentenceOf({ enabled, catalogued: backups !== undefined, last, proven, oldest, record, now }),
    last_backup_at: last,
    last_proven_at: proven,
    oldest_at: oldest,
    size_bytes: record?.size_bytes ?? null,
    backups: sound
      .slice(0, SHOWN)
      .map(({ id, database, at, drilledAt }) => ({ id, database, at, proven_at: drilledAt })),
  };
}

/** When each database was last backed up. */
export function lastBackups(backups: readonly KnownBackup[]): Map<string, string> {
  const newest = new Map<string, string>();
  for (const { database, at, damaged } of backups) {
    const before = newest.get(database);
    if (!damaged && (before === undefined || at > before)) newest.set(database, at);
  }
  return newest;
}

interface Words {
  readonly enabled: boolean;
  readonly catalogued: boolean;
  readonly last: string | null;
  readonly proven: string | null;
  readonly oldest: string | null;
  readonly record: BackupStatus | undefined;
  readonly now: number;
}

function sentenceOf({ enabled, catalogued, last, proven, oldest, record, now }: Words): string {
  const since = (at: string): string => ago(now - Date.parse(at));
  const schedule = enabled ? "" : " None are made automatically: backups are turned off.";
  if (last === null) {
    if (!catalogued) return "The backups have not been checked yet.";
    return `There is no backup: nothing can be brought back.${schedule}`;
  }
  const proof =
    failureOf(record) ??
    neverProven(record) ??
    (proven === null ? NEVER : `proven by restoring ${since(proven)}`);
  const back = oldest === null ? "" : `; you can go back to ${oldest.slice(0, 16).replace("T", " ")} UTC`;
  const without = record?.without_backup ?? [];
  const lacking = without.length ? ` Not backed up at all: ${without.join(", ")}.` : "";
  return `Last backup ${since(last)}, ${proof}${back}.${lacking}${schedule}`;
}

const NEVER = "never proven by restoring";

/** Whether the last attempt to restore failed, and of which database. */
function failureOf(record: BackupStatus | undefined): string | undefined {
  const [failed, ...more] = knownProofs(record).filter((proof) => proof.failed);
  if (failed)
    return `but the last attempt to restore ${failed.database}${more.length ? ` and ${more.length} more` : ""} failed`;
  return record?.proofs === undefined && record?.last_drill?.ok === false
    ? "but the last attempt to restore failed"
    : undefined;
}

/** Which databases were never proven, where others were. */
function neverProven(record: BackupStatus | undefined): string | undefined {
  const proofs = record?.proofs ?? [];
  const [first, ...more] = proofs.filter(({ proven }) => !proven);
  if (!first) return undefined;
  if (more.length + 1 === proofs.length) return NEVER;
  return `${first.database}${more.length ? ` and ${more.length} more databases` : ""} never proven by restoring`;
}

/** Until when every database is proven; null while one was never proven. */
function provenUpTo(proofs: readonly DatabaseProof[]): string | null {
  const moments = proofs.map(({ proven }) => proven?.at ?? "").sort();
  return moments[0] || null;
}

/** Where the record does not say it for each database: one of version 0.1.0, or none. */
function lastProof(sound: readonly KnownBackup[], record: BackupStatus | undefined): string | null {
  return latest([
    ...sound.map(({ drilledAt }) => drilledAt),
    record?.last_drill?.ok ? record.last_drill.finished_at : null,
  ]);
}

function latest(moments: readonly (string | null)[]): string | null {
  return moments.reduce<string | null>(
    (newest, at) => (at !== null && (newest === null || at > newest) ? at : newest),
    null,
  );
}

function order(one: string, other: string): number {
  return one < other ? -1 : one > other ? 1 : 0;
}
