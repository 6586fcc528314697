import * as z from "zod";
import {
  archiveStatusSchema,
  archivingSchema,
  type ArchiveStatus,
  type Archiving,
} from "../../model/backups/archive-status.ts";
import { secondDrillSchema } from "../../model/backups/second-drill.ts";

/** As pgBackRest names base backups. */
const LABEL = /^\d{8}-\d{6}F(?:_\d{8}-\d{6}[DI])?$/;

/** Base backups, gaps, changes of the primary and tablespaces that one may name: pgBackRest's window has some dozens. */
const MOST = 1000;

/** Milliseconds by which the clocks of two hosts may differ. */
const CLOCKS = 300_000;

/**
 * What the agent of one host says of its repository to those of the others: what the primary's host says is kept beside
 * each copy, so that whoever takes over knows what there is and what is missing.
 */
export const travellingSchema = z.object({
  format: z.literal(1),
  /** Up to when everything is in its repository, ISO 8601; null while nothing is. */
  up_to: z.iso.datetime().nullable(),
  archiving: archivingSchema.refine(
    ({ gaps, timelines = [] }) => gaps.length <= MOST && timelines.length <= MOST,
    "names too many gaps or timelines",
  ),
  status: archiveStatusSchema
    .refine(
      ({ bases, tablespaces }) => bases.length <= MOST && tablespaces.length <= MOST,
      "names too many base backups or tablespaces",
    )
    .refine(
      ({ bases }) => bases.every(({ label }) => LABEL.test(label)),
      "names something else than a base backup",
    )
    .nullable(),
  drill: secondDrillSchema.nullable().catch(null),
});
export type Travelling = z.output<typeof travellingSchema>;

/**
 * The newest of what several hosts say: on the newest timeline, and there the one that goes furthest. Pure.
 * @returns undefined where there is none
 */
export function newestOf(records: readonly Travelling[]): Travelling | undefined {
  return records.toSorted((a, b) => {
    const [one, other] = [a.archiving.primary, b.archiving.primary];
    return (
      (other?.timeline ?? 0) - (one?.timeline ?? 0) ||
      Date.parse(other?.archived_at ?? b.archiving.since) - Date.parse(one?.archived_at ?? a.archiving.since)
    );
  })[0];
}

/** What a host knows by itself, by which it judges what another one says. */
interface KnownHere {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Of the cluster; undefined: not known. */
  readonly systemIdentifier: string | undefined;
  /** The newest timeline that this host's own server has seen; undefined: not known. */
  readonly timeline: number | undefined;
}

/** What a host says that another one can be: whole, but for notes of what it has begun. */
type Believed =
  | { readonly ok: true; readonly told: Travelling }
  | { readonly ok: false; readonly problem: string };

/** What of another host's record is kept here. A time of the future would hold up for ever what waits for it. Pure. */
export function believed(told: Travelling, { now, systemIdentifier, timeline }: KnownHere): Believed {
  const { archiving, status, drill } = told;
  if (systemIdentifier !== undefined && archiving.system_identifier !== systemIdentifier)
    return { ok: false, problem: "it is of another cluster" };
  const theirs = archiving.primary?.timeline ?? 0;
  if (timeline !== undefined && theirs > timeline)
    return { ok: false, problem: `this host's server does not know timeline ${theirs} yet` };
  const isFuture = (time: string | null | undefined): boolean =>
    typeof time === "string" && Date.parse(time) > now + CLOCKS;
  const future = [told.up_to, ...timesOf(archiving), ...(status ? timesOfStatus(status) : [])].find(isFuture);
  if (future !== undefined) return { ok: false, problem: "it names a time in the future" };
  const ifPast = (time: string | null): string | null => (isFuture(time) ? null : time);
  const begun = status && { full: ifPast(status.begun.full), diff: ifPast(status.begun.diff) };
  const isDrillFuture = [drill?.begun_at, drill?.proven?.at, drill?.proven?.second, drill?.failed?.at].some(
    isFuture,
  );
  return {
    ok: true,
    told: {
      ...told,
      status: status && begun && { ...status, begun },
      drill: isDrillFuture ? null : drill,
    },
  };
}

function timesOf({ since, gaps, primary, timelines = [] }: Archiving): (string | undefined)[] {
  return [
    since,
    primary?.archived_at,
    ...gaps.flatMap(({ from, to }) => [from, to]),
    ...timelines.map(({ at }) => at),
  ];
}

function timesOfStatus({ written_at, bases, expiry_skipped_since }: ArchiveStatus): (string | null)[] {
  return [
    written_at,
    expiry_skipped_since,
    ...bases.flatMap(({ started_at, stopped_at }) => [started_at, stopped_at]),
  ];
}
