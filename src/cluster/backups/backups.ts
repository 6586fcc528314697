import * as z from "zod";
import type { Config } from "../../config/schema.ts";
import { knownProofs } from "./proofs.ts";
import type { BackupStatus, DatabaseProof } from "../../model/backups/backup-report.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { showSeconds } from "../../model/quantities.ts";
import { warning, type FoundWarning } from "../../model/warnings.ts";

export const backupsSchema = z.strictObject({
  /** Up to this moment every database is backed up, ISO 8601. Null while one has no backup at all. */
  last_good_at: z.string().nullable(),
  age_seconds: z.number().nullable(),
  /** Databases that are backed up. */
  databases: z.number(),
  /** All backups with the pool of attachments. */
  size_bytes: z.number(),
  /** When a backup was last tried by restoring it. */
  last_drill_at: z.string().nullable(),
  /** Whether the last try went well, for every database. */
  last_drill_ok: z.boolean().nullable(),
  /** One for each database that is backed up, by name. */
  proofs: z.array(
    z.strictObject({
      database: z.string(),
      /** When one of its backups was last restored and compared without a difference. Null when none ever was. */
      proven_at: z.string().nullable(),
      /** When a try last failed, until a later one succeeds. */
      failed_at: z.string().nullable(),
    }),
  ),
});

/** How the backups are. Null when none was ever made by this host. */
export type Backups = z.output<typeof backupsSchema>;

export function backupsOf(record: BackupStatus | undefined, now: number): Backups | null {
  if (!record) return null;
  const proofs = knownProofs(record);
  return {
    last_good_at: record.last_good_at,
    age_seconds: record.last_good_at === null ? null : secondsSince(record.last_good_at, now),
    databases: record.databases,
    size_bytes: record.size_bytes,
    last_drill_at: record.last_drill?.finished_at ?? null,
    last_drill_ok:
      record.last_drill && (record.proofs ? !proofs.some(({ failed }) => failed) : record.last_drill.ok),
    proofs: proofs.map(({ database, proven, failed }) => ({
      database,
      proven_at: proven?.at ?? null,
      failed_at: failed?.at ?? null,
    })),
  };
}

function secondsSince(at: string, now: number): number {
  return Math.max(0, Math.round((now - Date.parse(at)) / 1000));
}

/** Whether a backup of some moment, ISO 8601, is younger than `hours`; undefined is none. Pure. */
export function isYoung(at: string | undefined, hours: number, now: number): boolean {
  return at !== undefined && secondsSince(at, now) <= hours * 3600;
}

/** Databases that are there and that no run has met yet; none where nothing is backed up on purpose. Pure. */
export function notBackedUp(
  { enabled, only_filter }: Config["backup"],
  record: BackupStatus | undefined,
  databases: readonly string[] | undefined,
): string[] {
  if (!enabled) return [];
  const met = [
    ...knownProofs(record).map(({ database }) => database),
    ...(record?.last_run?.databases ?? []).map(({ database }) => database),
  ];
  return (databases ?? []).filter(
    (name) => !met.includes(name) && (only_filter === undefined || name.includes(only_filter)),
  );
}

export interface BackupView {
  readonly settings: Config["backup"];
  readonly record: BackupStatus | undefined;
  /** Why the file of that record cannot be used; undefined where it can. */
  readonly damage?: string | undefined;
  /** When the cluster was first launched, ISO 8601: before a first backup can be late. */
  readonly launchedAt: string | undefined;
  readonly now: number;
}

/** Warnings about the backups; none where they are turned off. */
export function backupWarnings({ settings, record, damage, launchedAt, now }: BackupView): FoundWarning[] {
  // The record is not known: the age of the backups is not reported.
  if (damage !== undefined)
    return [warning("record_damaged", { message: damage, next: odooPg("backup", "create", "--all") })];
  if (!settings.enabled) return [];
  const found: FoundWarning[] = [];
  const run = record?.last_run;
  if (run && !run.ok) {
    const failed = run.databases.find(({ outcome }) => outcome === "failed");
    found.push(
      warning("backup_failed", {
        message:
          run.not_begun === undefined
            ? `The last backup failed: ${failed?.database ?? "?"}: ${failed?.error ?? "?"}`
            : `The last backup failed before it began: ${run.not_begun}`,
        next: odooPg("backup", "create", "--all"),
      }),
    );
  }
  const lacking = run?.databases.filter(({ filestore_missing }) => filestore_missing === true) ?? [];
  if (lacking.length) {
    found.push(
      warning("backup_incomplete", {
        message: `The last backup found no folder in the filestore for ${lacking.map(({ database }) => database).join(", ")}: attachments are not in it.`,
        next: nextStep`Check that the disk of odoo.filestore is mounted, then: ${odooPg("backup", "create", "--all")}`,
      }),
    );
  }
  // A pattern, such as the image odoo/pgsql took, or a typing error: not intended.
  if (record?.databases === 0 && settings.only_filter !== undefined) {
    found.push(
      warning("backup_filter_matches_nothing", {
        message: `No database is backed up: none has a name that contains ${JSON.stringify(settings.only_filter)} (backup.only_filter, BACKUP_ONLY_FILTER).`,
        next: nextStep`Set it to a part of the names, not a pattern, or remove it; then: ${odooPg("backup", "create", "--all")}`,
      }),
    );
  }
  const goodAt = record?.last_good_at ?? (record?.databases === 0 ? undefined : launchedAt);
  if (goodAt !== undefined && secondsSince(goodAt, now) > settings.max_age_hours * 3600) {
    found.push(
      warning("backup_too_old", {
        message: record?.last_good_at
          ? `The last good backup of all databases is ${showSeconds(secondsSince(goodAt, now))} old.`
          : `${record?.without_backup.join(", ") || "The cluster"} was never backed up.`,
        next: odooPg("backup", "create", "--all"),
      }),
    );
  }
  if (settings.drill_schedule !== "off") found.push(...drillWarnings({ settings, record, launchedAt, now }));
  return found;
}

/** The databases that are not proven to come back. */
function drillWarnings({ settings, record, launchedAt, now }: BackupView): FoundWarning[] {
  const proofs = knownProofs(record);
  const found: FoundWarning[] = [];
  const failed = proofs.flatMap(({ failed }) => failed ?? []);
  const names = proofs.flatMap((proof) => (proof.failed ? [proof.database] : []));
  const [first] = failed;
  if (first) {
    const others = failed.length > 1 ? `, as those of ${failed.length - 1} other databases` : "";
    found.push(
      warning("drill_failed", {
        message: `A backup could not be proven by restoring it${others}: ${first.id}: ${first.error}`,
        // The same backup would only fail again.
        next: odooPg("backup", "create", ...names, "--prove"),
      }),
    );
  }
  const late = lateProofs(record, settings, launchedAt, now);
  if (late !== undefined) {
    found.push(warning("drill_too_old", { message: late, next: odooPg("backup", "restore-check") }));
  }
  return found;
}

/** The warning about databases whose last proof is too old; undefined when there is none. */
function lateProofs(
  record: BackupStatus | undefined,
  { max_drill_age_days }: Config["backup"],
  launchedAt: string | undefined,
  now: number,
): string | undefined {
  const tooOld = (at: string): boolean => secondsSince(at, now) > max_drill_age_days * 86_400;
  const proofs = knownProofs(record);
  if (!proofs.length)
    return record?.databases && launchedAt !== undefined && tooOld(launchedAt)
      ? "No backup was ever proven by restoring it."
      : undefined;
  const late = proofs.filter(({ proven, since }) => tooOld(proven?.at ?? since));
  const oldest = late.toSorted(byProof)[0];
  if (!oldest) return undefined;
  const { database, proven } = oldest;
  const last =
    proven === null
      ? `no backup of ${database} was ever proven by restoring it`
      : `the last proven restore of ${database} is ${showSeconds(secondsSince(proven.at, now))} old`;
  if (late.length === 1) return `${last[0]?.toUpperCase()}${last.slice(1)}.`;
  return `${late.length} of ${proofs.length} databases have not been proven by a restore for ${max_drill_age_days} days: ${last}.`;
}

/** Those that were never proven first, then the oldest proof. */
function byProof(one: DatabaseProof, other: DatabaseProof): number {
  const [a, b] = [one.proven?.at ?? "", other.proven?.at ?? ""];
  return a < b ? -1 : a > b ? 1 : 0;
}
