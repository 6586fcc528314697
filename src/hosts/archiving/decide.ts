import { unsureIn } from "../../agent/backups/archived-primary.ts";
import { mergedTimelines } from "../../archive/continuity.ts";
import type { ArchivePlace } from "../../archive/place.ts";
import { archiveCommand } from "../../archive/render.ts";
import type { Archiving, Gap } from "../../model/backups/archive-status.ts";
import { newestOf, type Travelling } from "./travelling.ts";

/**
 * By what the server of a host is to archive while it is the primary. Also a replica has its command: who becomes primary
 * archives from its first segment on, and what its repository does not take yet stays. Undefined where any second is off
 * there, where no pgBackRest was ever known, and where this very host has given up what fills its disk. Pure.
 * @param program that was found; where it is gone, or does not answer, the one that archived so far is seen to fail
 * @param gaveUp whether this host has given it up before its record says so
 */
export function commandOf({
  enabled,
  program: found,
  record,
  place,
  node,
  gaveUp: givenUp = false,
}: {
  readonly enabled: boolean;
  readonly program: string | undefined;
  readonly record: Pick<Archiving, "archiving" | "primary" | "program"> | undefined;
  readonly place: ArchivePlace;
  readonly node: string;
  readonly gaveUp?: boolean;
}): string | undefined {
  const program = found ?? record?.program;
  if (!enabled || program === undefined || givenUp) return undefined;
  const gaveUp = record?.archiving === false && (record.primary?.node ?? node) === node;
  return gaveUp ? undefined : archiveCommand(program, place, { name: node });
}

/** Whether a record says that this very primary archives: on this timeline, from its begin on. Pure. */
export function isTaken({ primary }: Pick<Archiving, "primary">, node: string, timeline: number): boolean {
  return primary?.node === node && (primary.timeline ?? timeline) === timeline;
}

/** Whether a record is of another primary on a timeline which this one began: two hosts were promoted to the same number. Pure. */
export function isRival({ primary }: Pick<Archiving, "primary">, node: string, timeline: number): boolean {
  return primary?.timeline === timeline && primary.node !== node;
}

/**
 * The timeline that a copy's own record knows of another primary than the one that archives on it now, and which this host's
 * server follows. What that one has of it is not to be believed alone: any host could have another's copy put aside. Pure.
 */
export function rivalOf(
  own: Pick<Archiving, "primary">,
  { primary }: Pick<Archiving, "primary">,
  timeline: number,
): number | undefined {
  if (primary?.timeline !== timeline) return undefined;
  return isRival(own, primary.node, timeline) ? timeline : undefined;
}

/**
 * The record of a primary that another one was made from, as far as it is of that one's history: what it archived after the
 * new timeline began is not. Pure.
 * @param timeline of the new primary
 * @param begun when that began, in milliseconds since the epoch; undefined where that is not known
 */
export function leftBy(record: Archiving, timeline: number, begun: number | undefined): Archiving {
  const { primary } = record;
  if (!primary || begun === undefined || (primary.timeline ?? timeline) >= timeline) return record;
  if (Date.parse(primary.archived_at) <= begun) return record;
  return { ...record, primary: { ...primary, archived_at: new Date(begun).toISOString() } };
}

/**
 * What another host's record tells a primary of the time before its own timeline, as far as that is of its own history. Pure.
 * @param lost timelines that the other host has of another branch
 * @param begun as for `leftBy`
 * @returns undefined where it tells of another branch: what was archived there after the branches parted is of nobody
 */
export function toldBefore(
  told: Archiving,
  {
    node,
    timeline,
    begun,
    lost,
  }: {
    readonly node: string;
    readonly timeline: number;
    readonly begun: number | undefined;
    readonly lost: readonly number[];
  },
): Archiving | undefined {
  if (isRival(told, node, timeline) || lost.includes(told.primary?.timeline ?? 0)) return undefined;
  return leftBy(told, timeline, begun);
}

/** The record where this host's own file has turned any second off: what came after it cannot be counted on. Pure. */
export function endedByOff(record: Archiving | undefined): Archiving | undefined {
  if (record?.archiving !== true) return undefined;
  return { ...record, archiving: false, since: record.primary?.archived_at ?? record.since };
}

/**
 * Labels of the base backups that a new primary takes from other hosts: those of its own record, and those that the primary
 * before says that it has. Pure.
 * @param own what this host knows; undefined where it has no record: then the newest of the others counts
 */
export function basesToTake(
  own: Pick<Travelling, "archiving" | "status"> | undefined,
  others: readonly { readonly host: string; readonly told: Travelling }[],
): ReadonlySet<string> {
  const former = own?.archiving.primary?.node;
  const trusted =
    others.find(({ host }) => host === former)?.told ??
    (own ? undefined : newestOf(others.map(({ told }) => told)));
  return new Set([own, trusted].flatMap((one) => one?.status?.bases.map(({ label }) => label) ?? []));
}

/** What a new primary knows of the time before it, from its own copy and from other hosts. */
export interface Before {
  /** The newest record of all. */
  readonly known: Archiving;
  /** The newest of those whose WAL is here; undefined where there is none. */
  readonly here: Archiving | undefined;
  /** Whether WAL is missing in the repository from there up to where the new primary writes, or may be. */
  readonly lacks: boolean;
  /** ISO 8601, since when nothing is sure, where what is missing is older than what these say; else undefined. */
  readonly unsure?: string | undefined;
}

/** Up to when everything is here, in ISO 8601, by the records. Pure. */
export function wholeUpTo({ known, here }: Pick<Before, "known" | "here">): string {
  return endOf(here) ?? known.since;
}

/**
 * The record once a new primary archives. What its repository lacks of the timelines before, and what another one had
 * given up, is a gap up to now. Pure.
 * @param by the new primary
 * @param at ISO 8601, now
 */
export function taken(
  { known, here, lacks, unsure }: Before,
  by: { readonly node: string; readonly timeline: number; readonly program: string },
  at: string,
): { readonly record: Archiving; readonly gap: Gap | undefined } {
  const gap =
    lacks || !known.archiving
      ? { from: unsureIn(known, unsure) ?? wholeUpTo({ known, here }), to: at }
      : undefined;
  const { node, timeline, program } = by;
  return {
    gap,
    record: {
      ...known,
      program,
      archiving: true,
      since: gap ? at : known.since,
      gaps: gap ? [...known.gaps, gap] : known.gaps,
      primary: { node, timeline, waits: false, archived_at: gap ? at : (endOf(known) ?? known.since) },
    },
  };
}

/**
 * The record of a primary that began without knowing of any, once another host tells of what was archived before: that ends
 * where the other one does. Pure.
 * @returns undefined where nothing of it is new
 */
export function withEarlier(record: Archiving, earlier: Archiving): Archiving | undefined {
  // A record that goes back to an earlier one has its time of begin, or a gap up to its own.
  const isBegun = record.gaps.some(({ to }) => to === record.since);
  if (isBegun || Date.parse(earlier.since) >= Date.parse(record.since)) return undefined;
  if (earlier.system_identifier !== record.system_identifier) return undefined;
  const { gaps, timelines = [] } = earlier;
  const end = endOf(earlier) ?? earlier.since;
  return {
    ...record,
    gaps: [...gaps, { from: end < record.since ? end : record.since, to: record.since }, ...record.gaps],
    timelines: mergedTimelines(timelines, record.timelines ?? []),
  };
}

/** The record without a gap, once what was missing in it was fetched from another host. Pure. */
export function healed(record: Archiving, gap: Gap, since: string): Archiving {
  const gaps = record.gaps.filter(({ from, to }) => from !== gap.from || to !== gap.to);
  return { ...record, gaps, since: record.since === gap.to ? since : record.since };
}

/** Up to when everything was archived. */
function endOf(record: Archiving | undefined): string | undefined {
  if (!record) return undefined;
  return record.archiving ? (record.primary?.archived_at ?? record.since) : record.since;
}
