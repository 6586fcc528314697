import type { StatusDocument } from "../../../cluster/documents/status.ts";

/** What the time line needs of a backup. */
export interface DatedBackup {
  readonly id: string;
  readonly database: string;
  /** The moment that it shows, ISO 8601. */
  readonly snapshot_at: string;
  readonly drilled_at: string | null;
  readonly problems: readonly string[];
}

/** The best fact about a day: a backup that was restored and compared, one that was only made, or a damaged one. */
export type Proof = "proven" | "made" | "damaged" | "none";

export interface Day {
  /** `2026-11-22`, by the reader's clock. */
  readonly name: string;
  readonly proof: Proof;
  readonly backups: number;
}

/** Days from the oldest backup to today, at most `most`, the oldest first. `now` in milliseconds. */
export function daysOf(backups: readonly DatedBackup[], now: number, most: number): readonly Day[] {
  const byDay = new Map<string, DatedBackup[]>();
  for (const backup of backups) {
    const name = dayOf(Date.parse(backup.snapshot_at));
    byDay.set(name, [...(byDay.get(name) ?? []), backup]);
  }
  const oldest = [...byDay.keys()].sort()[0];
  if (oldest === undefined) return [];
  const days: Day[] = [];
  const day = new Date(now);
  day.setHours(12, 0, 0, 0);
  for (let count = 0; count < most; count += 1) {
    const name = dayOf(day.getTime());
    const made = byDay.get(name) ?? [];
    days.unshift({ name, proof: proofOf(made), backups: made.length });
    if (name <= oldest) break;
    day.setDate(day.getDate() - 1);
  }
  return days;
}

export function proofOf(backups: readonly DatedBackup[]): Proof {
  const sound = backups.filter(({ problems }) => problems.length === 0);
  if (sound.some(({ drilled_at }) => drilled_at !== null)) return "proven";
  if (sound.length > 0) return "made";
  return backups.length > 0 ? "damaged" : "none";
}

/** The day of a moment by the reader's clock, as `2026-11-22`. */
export function dayOf(milliseconds: number): string {
  return localTime(milliseconds).slice(0, 10);
}

/** As a field for date and time has it: `2026-11-22T08:30`, by the reader's clock. */
export function localTime(milliseconds: number): string {
  return localSecond(milliseconds).slice(0, 16);
}

/** The same to the second: `2026-11-22T08:30:07`. */
export function localSecond(milliseconds: number): string {
  const time = new Date(milliseconds);
  return new Date(milliseconds - time.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

/** A second in UTC, as plans and logs show it: `2026-11-22 07:30:07 UTC`. */
export function universalSecond(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** The newest sound backup of a database at or before a moment at which everything was still right. Milliseconds. */
export function backupBefore<T extends { readonly database: string; readonly at: string }>(
  backups: readonly T[],
  database: string,
  right: number,
): T | undefined {
  return backups
    .filter((backup) => backup.database === database && Date.parse(backup.at) <= right)
    .toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
}

/**
 * Whether a moment can be brought back to the second. WAL that is not archived yet is archived on request. Times are in
 * milliseconds.
 * @param window of the status
 */
export function isInWindow(window: StatusDocument["window"], moment: number, now: number): boolean {
  if (!window || window.from === null || window.to === null) return false;
  const end = window.archiving ? now : Date.parse(window.to);
  const isLost = window.gaps.some(({ from, to }) => Date.parse(from) < moment && moment <= Date.parse(to));
  return Date.parse(window.from) < moment && moment <= end && !isLost;
}
