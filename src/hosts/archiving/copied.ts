import type { CopyState } from "../../archive/copying/copier.ts";
import type { CopyProblem } from "../../archive/copying/round-end.ts";
import type { Archiving } from "../../model/backups/archive-status.ts";
import { LONGEST_PROBLEM, type CopyReport } from "../documents/report.ts";
import { isTaken } from "./decide.ts";
import { newestOf, type Travelling } from "./travelling.ts";

/**
 * Whether a copy keeps what the primary's host says of its repository. Until that one has taken over, it says what it knew as
 * a copy, which may be older than what is known here: it would hide gaps, and changes of the primary. Pure.
 * @param own this host's record; undefined where it has none
 */
export function isNews(
  told: Travelling,
  own: Archiving | undefined,
  of: {
    readonly leader: string;
    /** On which this host's server follows it; undefined where that is not seen. */
    readonly timeline: number | undefined;
    readonly systemIdentifier: string | null;
  },
): boolean {
  if (told.archiving.system_identifier !== of.systemIdentifier) return false;
  if (!own || own.system_identifier !== of.systemIdentifier) return true;
  if (of.timeline !== undefined && isTaken(told.archiving, of.leader, of.timeline)) return true;
  return newestOf([told, { ...told, archiving: own }]) === told;
}

/**
 * What a round of a copy came to. Pure.
 * @param before what was said before it
 * @param upTo to when the copy is, if all WAL is here, and a base backup that it follows: without one nothing comes back
 */
export function copyReport(
  before: Pick<CopyReport, "up_to">,
  {
    walWhole,
    bases,
    aside,
    copying,
    problem,
  }: Pick<CopyState, "walWhole" | "bases" | "aside" | "copying" | "problem">,
  upTo: string | null,
): CopyReport {
  const isEmpty = aside !== undefined || (walWhole && bases.length === 0);
  return {
    up_to: isEmpty ? null : walWhole ? upTo : before.up_to,
    bytes_left: copying?.bytesLeft ?? 0,
    problem: problem?.text.slice(0, LONGEST_PROBLEM) ?? null,
    lasts: problem !== null && LASTS.includes(problem.kind),
  };
}

/** A host that does not answer is told of by itself, and mostly comes back. */
const LASTS: readonly CopyProblem["kind"][] = ["refused", "no_room", "foreign", "failed"];
