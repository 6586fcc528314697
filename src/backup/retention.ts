import type { CataloguedBackup } from "./catalogue.ts";
import { lacksAttachments, type BackupKind } from "./manifest.ts";

const DAY = 86_400_000;

/** Which backups are kept, and for how long: the defaults are those of the image `odoo/pgsql`. */
export interface Rotation {
  readonly days_to_keep: number;
  /** 1 (Monday) to 7 (Sunday). */
  readonly day_of_week_to_keep: number;
  readonly weeks_to_keep: number;
  readonly months_to_keep: number;
}

type Kept = Pick<CataloguedBackup, "id" | "checks"> & {
  readonly manifest: Pick<CataloguedBackup["manifest"], "database" | "finished_at" | "kinds" | "filestore">;
};

/**
 * The kinds of a backup that is finished at a moment: the first of its day, week or month is more than hourly, at
 * whatever time it is made. Weeks begin on the day that is kept. All in UTC.
 * @param earlier the backups of the same database
 */
export function kindsAt(at: number, earlier: readonly Kept[], rotation: Rotation): BackupKind[] {
  const isFirst = (kind: BackupKind, period: (at: number) => string): boolean =>
    !earlier.some(
      ({ manifest }) =>
        manifest.kinds.includes(kind) && period(Date.parse(manifest.finished_at)) === period(at),
    );
  const kinds: BackupKind[] = ["hourly"];
  if (isFirst("daily", dayOf)) kinds.push("daily");
  if (isFirst("weekly", (time) => weekOf(time, rotation.day_of_week_to_keep))) kinds.push("weekly");
  if (isFirst("monthly", (time) => dayOf(time).slice(0, 7))) kinds.push("monthly");
  return kinds;
}

function dayOf(at: number): string {
  return new Date(at).toISOString().slice(0, 10);
}

/** The day on which the week of a moment began. */
function weekOf(at: number, dayOfWeek: number): string {
  const since = (new Date(at).getUTCDay() - (dayOfWeek % 7) + 7) % 7;
  return dayOf(at - since * DAY);
}

/**
 * The backups that have expired. Decided from the catalogue alone. Never expired: the newest of each database, and its
 * newest verified one; and the same two of those that hold its attachments, where some do not. The newest backup tells
 * the time, not a clock that is ahead of it: while no backup succeeds, none expires.
 */
export function expired(backups: readonly Kept[], now: number, rotation: Rotation): string[] {
  const newest = Math.max(...backups.map(finishedAt));
  const time = Math.min(now, newest);
  const keep = new Set<string>();
  for (const database of new Set(backups.map(({ manifest }) => manifest.database))) {
    const own = backups
      .filter(({ manifest }) => manifest.database === database)
      .sort((a, b) => finishedAt(a) - finishedAt(b));
    for (const some of [own, own.filter(({ manifest }) => !lacksAttachments(manifest.filestore))]) {
      const last = some.at(-1);
      const lastVerified = some.findLast(isVerified);
      if (last) keep.add(last.id);
      if (lastVerified) keep.add(lastVerified.id);
    }
  }
  return backups
    .filter((backup) => !keep.has(backup.id) && !isStillKept(backup, time, rotation))
    .map(({ id }) => id);
}

/** Whether a rule of the rotation still keeps it. */
function isStillKept(backup: Kept, time: number, rotation: Rotation): boolean {
  const at = finishedAt(backup);
  const { kinds } = backup.manifest;
  if (at > time - rotation.days_to_keep * DAY) return true;
  if (kinds.includes("weekly") && at > time - rotation.weeks_to_keep * 7 * DAY) return true;
  return kinds.includes("monthly") && at > monthsBefore(time, rotation.months_to_keep);
}

function monthsBefore(time: number, months: number): number {
  const date = new Date(time);
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() - months);
  // The 31st of a month one month before is the end of that month.
  const lastDay = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(new Date(time).getUTCDate(), lastDay));
  return date.getTime();
}

function finishedAt({ manifest }: Kept): number {
  return Date.parse(manifest.finished_at);
}

function isVerified({ checks }: Kept): boolean {
  return checks.problems.length === 0 && (checks.verified_at !== null || checks.drilled_at !== null);
}
