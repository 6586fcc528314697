import type { Archiving, BaseBackup } from "../../model/archive-status.ts";

/** What is seen of a primary that archives. */
type Seen = NonNullable<Archiving["primary"]>;

/** What a former primary has left on its disk. */
export interface Left {
  /** Segments that wait to be archived. */
  readonly segments: number;
  /** Milliseconds since the epoch up to when all is archived; undefined where none waits. */
  readonly archivedAt: number | undefined;
}

/**
 * The record with what is seen of the primary: the same one where nothing of it has changed. WAL that another one had not
 * archived yet is a gap: what it had finished since it was seen last, only its disk tells.
 * @param left by the primary of the record; undefined where its disk cannot be read
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
  const lost =
    record.archiving && isOther && before && (before.waits || left === undefined || left.segments > 0);
  if (!lost) return { record: { ...record, primary: seen }, lostWith: undefined };
  const archivedAt = Math.max(Date.parse(before.archived_at), left?.archivedAt ?? 0);
  const lostWith = { ...before, archived_at: new Date(archivedAt).toISOString() };
  const gaps = [...record.gaps, { from: lostWith.archived_at, to: at }];
  return { record: { ...record, since: at, gaps, primary: seen }, lostWith };
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
