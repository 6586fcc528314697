import type { Archiving } from "../../model/archive-status.ts";

/** What is seen of a primary that archives. */
type Seen = NonNullable<Archiving["primary"]>;

/**
 * The record with what is seen of the primary: the same one where nothing of it has changed. WAL that another one had not
 * archived yet is a gap.
 * @param at ISO 8601, now
 */
export function withPrimary(
  record: Archiving,
  seen: Seen,
  at: string,
): { readonly record: Archiving; readonly lostWith: Seen | undefined } {
  const before = record.primary;
  const isOther = before?.node !== seen.node;
  if (!isOther && before.waits === seen.waits && before.timeline === seen.timeline)
    return { record, lostWith: undefined };
  const lostWith = record.archiving && isOther && before?.waits === true ? before : undefined;
  if (!lostWith) return { record: { ...record, primary: seen }, lostWith };
  const gaps = [...record.gaps, { from: lostWith.archived_at, to: at }];
  return { record: { ...record, since: at, gaps, primary: seen }, lostWith };
}
