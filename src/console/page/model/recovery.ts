import type { Recovery } from "../../../cluster/documents/console.ts";
import { ago, bytes, clock, millisecondsOf, UNKNOWN } from "./show.ts";

export interface RecoveryTrack {
  /** Moments of backups, from 0 (the oldest) to 1 (now). */
  readonly points: readonly number[];
  /** Where the last proven restore lies. */
  readonly proven: number | undefined;
}

/** Backups on a line of time from the oldest moment to now; undefined where there is none. Milliseconds. */
export function trackOf(recovery: Recovery, now: number): RecoveryTrack | undefined {
  const times = recovery.backups.flatMap(({ at }) => millisecondsOf(at) ?? []);
  const oldest = Math.min(millisecondsOf(recovery.oldest_at) ?? Infinity, ...times);
  if (!Number.isFinite(oldest) || oldest >= now) return undefined;
  const place = (time: number): number => Math.min(1, Math.max(0, (time - oldest) / (now - oldest)));
  // Databases are backed up one after the other: backups closer together than the width of a mark become one mark.
  const points = [...new Set([oldest, ...times].map((time) => Math.round(place(time) * 200) / 200))];
  const proven = millisecondsOf(recovery.last_proven_at);
  return {
    points: points.toSorted((a, b) => a - b),
    proven: proven === undefined ? undefined : place(proven),
  };
}

export interface Fact {
  readonly name: string;
  readonly value: string;
  readonly note: string;
}

/** The answers in figures. Null is "never" only where the sentence says so; here it is not known. */
export function recoveryFacts(recovery: Recovery, now: number): readonly Fact[] {
  const none = recovery.backups.length === 0 && recovery.last_backup_at === null;
  const when = (instant: string | null, never: string): Omit<Fact, "name"> =>
    instant === null
      ? { value: none ? never : UNKNOWN, note: "" }
      : { value: ago(instant, now), note: clock(instant, now) };
  return [
    { name: "Last backup", ...when(recovery.last_backup_at, "none") },
    {
      name: "Last proven restore",
      ...(recovery.last_proven_at === null
        ? { value: "never", note: "" }
        : when(recovery.last_proven_at, "")),
    },
    { name: "As far back as", ...when(recovery.oldest_at, "nowhere") },
    { name: "All backups", value: none ? NOTHING_KEPT : bytes(recovery.size_bytes), note: "" },
  ];
}

const NOTHING_KEPT = "0 B";

/** Bytes of a name, by PostgreSQL's limit. */
const LONGEST_NAME = 63;

/** A free name for a copy: `sales_copy`, `sales_copy_2`. A long one is cut before its end. */
export function copyName(database: string, taken: readonly string[], suffix: string): string {
  for (let number = 1; ; number += 1) {
    const end = number === 1 ? `_${suffix}` : `_${suffix}_${number}`;
    const name = `${beginOf(database, LONGEST_NAME - end.length)}${end}`;
    if (!taken.includes(name)) return name;
  }
}

/** As many of its characters as fit in so many bytes. */
function beginOf(name: string, bytes: number): string {
  let left = bytes;
  let begin = "";
  for (const character of name) {
    left -= new TextEncoder().encode(character).length;
    if (left < 0) break;
    begin += character;
  }
  return begin;
}

/** A name for the database in a file, after the file's: `Prod 2026-11-22.zip` gives `prod_2026_11_22`. */
export function nameFromFile(file: string): string {
  const stem = file.replace(/(?:_\d{8}_.*|\.[^.]*)$/, "").toLowerCase();
  const name = stem.replaceAll(/[^a-z0-9_]+/g, "_").replaceAll(/^[^a-z]+|_+$/g, "");
  return name.slice(0, 40) || "odoo";
}
