import type { Archiving, BaseBackup } from "../../model/backups/archive-status.ts";

/** What is seen of a primary that archives. */
type Seen = NonNullable<Archiving["primary"]>;

/** What the repository has of a former primary, once its disk and the new one's were looked at. */
export interface Left {
  /** Whether WAL of before is missing there. */
  readonly lacks: boolean;
  /** Milliseconds since the epoch up to when all is archived, by the former one's disk; undefined where that has no say. */
  readonly archivedAt: number | undefined;
  /** ISO 8601, since when nothing is sure, where what is missing is older than what was noted; else undefined. */
  readonly unsure?: string | undefined;
}

/**
 * The record with what is seen of the primary: the same one where nothing of it has changed. WAL that another one had not
 * archived, and that could not be taken from either one's disk, is a gap.
 * @param left by the primary of the record; undefined where its disk cannot be read: it may have finished more
 * @param at ISO 8601, now
 */
export function withPrimary(
  record: Archiving,
  seen: Seen,
  left: Left | undefined,
  at: string,
): { readonly record: Archiving; readonly lostWith: Seen | undefined } {
  const before = record.primary;
  const isOther = before?.node !== seen.node;
  if (!isOther && before.waits === seen.waits && before.timeline === seen.timeline) {
    // A gap begins with what was noted last: all before it could be brought back.
    const isSame = seen.archived_at === before.archived_at;
    return { record: isSame ? record : { ...record, primary: seen }, lostWith: undefined };
  }
  const lost = record.archiving && isOther && before && (left === undefined || left.lacks);
  if (!lost) return { record: { ...record, primary: seen }, lostWith: undefined };
  const archivedAt = Math.max(Date.parse(before.archived_at), left?.archivedAt ?? 0);
  const lostWith = {
    ...before,
    archived_at: unsureIn(record, left?.unsure) ?? new Date(archivedAt).toISOString(),
  };
  const gaps = [...record.gaps, { from: lostWith.archived_at, to: at }];
  return { record: { ...record, since: at, gaps, primary: seen }, lostWith };
}

/** The same time where no gap that is known explains what is missing since then. @param unsure ISO 8601 */
export function unsureIn({ gaps }: Pick<Archiving, "gaps">, unsure: string | undefined): string | undefined {
  if (unsure === undefined) return undefined;
  return gaps.some(({ to }) => Date.parse(to) > Date.parse(unsure)) ? undefined : unsure;
}

/**
 * Replaces a record that is gone or damaged: what came after the last base backup may be missing, so all of it is a
 * gap. Undefined where there is none.
 */
export function recordAnew(
  bases: readonly Pick<BaseBackup, "stopped_at">[],
  of: Pick<Archiving, "program" | "system_identifier">,
): Archiving | undefined {
  const last = bases.at(-1);
  return last && { format: 1, ...of, archiving: false, since: last.stopped_at, gaps: [] };
}
