import type { CataloguedBackup } from "./catalogue.ts";
import { knownProofs } from "../cluster/backups/proofs.ts";
import type { BackupStatus } from "../model/backups/backup-report.ts";

/** Milliseconds within which every database is to be proven again. */
const WEEK = 7 * 86_400_000;

/** The part of the time between two runs in which drills are begun. */
const SHARE = 1 / 6;

interface RoundInput {
  /** Databases that are backed up. */
  readonly databases: readonly string[];
  /** All backups in the place, oldest first. */
  readonly backups: readonly CataloguedBackup[];
  readonly record: BackupStatus | undefined;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** When the schedule runs next, in milliseconds since the epoch; undefined where there is none. */
  readonly nextAt: number | undefined;
}

/** What one run of the schedule proves. */
export interface Round {
  /** The newest backup of each database that is due; the one tried longest ago comes first. */
  readonly backups: readonly CataloguedBackup[];
  /** Milliseconds after which no drill is begun, except the first. */
  readonly budget: number;
}

/**
 * Which databases a scheduled run of drills takes, so that each is proven once a week: those that were never tried, whose
 * last try failed, or whose proof would be older than a week before the next run has come to its end. Pure.
 */
export function roundOf({ databases, backups, record, now, nextAt = now + WEEK }: RoundInput): Round {
  const budget = (nextAt - now) * SHARE;
  const known = new Map(knownProofs(record).map((proof) => [proof.database, proof]));
  const candidates = databases.flatMap((database) => {
    const own = backups.filter(({ manifest }) => manifest.database === database);
    const newest = own.at(-1);
    if (!newest) return [];
    const { proven = null, failed = null } = known.get(database) ?? {};
    // A moment in the future was noted by a wrong clock.
    const latest = (moments: readonly (string | null | undefined)[]): number =>
      Math.max(0, ...moments.map((at) => Date.parse(at ?? "")).filter((at) => at <= now));
    const provenAt = latest([proven?.at, ...own.map(({ checks }) => checks.drilled_at)]);
    const due = failed !== null || nextAt + budget - provenAt > WEEK;
    return due ? [{ newest, triedAt: Math.max(provenAt, latest([failed?.at])) }] : [];
  });
  candidates.sort((one, other) => one.triedAt - other.triedAt);
  return { backups: candidates.map(({ newest }) => newest), budget };
}
