import { historyFile, leadsTo, timelinesBefore } from "../../model/timeline.ts";
import type { InfoBase } from "./info-text.ts";
import { fullOf } from "./names.ts";

/** How a host's own server came to the timeline that it is on. */
export interface Lineage {
  readonly timeline: number;
  /** Of that timeline, as PostgreSQL writes it; undefined: it has none before it, or it is lost. */
  readonly history: string | undefined;
}

/**
 * What the history of a timeline in a repository tells of it. `own`: it is the server's own, or one of those before it.
 * `lost`: it has the number of one of these, and came out of them elsewhere: two hosts promoted to the same number, and what
 * is here was written by the one that is not gone on from. `other`: the server's history does not have the number.
 */
export type Branch = "own" | "lost" | "other";

/** Timelines that were left, and where: each begins with all that those before it have. */
function changesIn(history: string | undefined): string[] {
  return (history ?? "").split("\n").flatMap((line) => {
    const [, timeline, lsn] = /^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/.exec(line) ?? [];
    return timeline === undefined || lsn === undefined ? [] : [`${Number(timeline)} ${lsn}`];
  });
}

/**
 * Which branch a timeline is, by its history. Pure.
 * @param text its history in a repository
 */
export function branchOf(timeline: number, text: string, { timeline: newest, history }: Lineage): Branch {
  const before = timelinesBefore(history);
  // Without its history nobody can tell.
  if (newest > 1 && before.length === 0) return "other";
  const index = timeline === newest ? before.length : before.indexOf(timeline);
  if (index < 0) return "other";
  const [wanted, found] = [changesIn(history).slice(0, index), changesIn(text)];
  return found.length === wanted.length && found.every((change, at) => change === wanted[at])
    ? "own"
    : "lost";
}

/** The timeline that a file with a history is of; undefined for another name. */
export function timelineOfHistory(name: string): number | undefined {
  const [, hex] = /^([0-9A-F]{8})\.history$/.exec(name) ?? [];
  const timeline = Number.parseInt(hex ?? "", 16);
  return hex !== undefined && historyFile(timeline) === name ? timeline : undefined;
}

/** The timeline of a segment, or of a folder of segments, by its name. */
export function timelineOf(name: string): number {
  return Number.parseInt(name.slice(0, 8), 16);
}

/**
 * Whether a base backup was made on the way to a server's timeline: one that was made after its own timeline was left for
 * that of the server leads to nothing. True also where nobody can tell. Pure.
 */
export function isOnTheWay(
  { archiveStart, stopLsn }: Pick<InfoBase, "archiveStart" | "stopLsn">,
  { timeline: newest, history }: Lineage,
): boolean {
  if (archiveStart === undefined || stopLsn === undefined) return true;
  const timeline = timelineOf(archiveStart);
  if (timeline >= newest || timelinesBefore(history).length === 0) return true;
  return leadsTo({ timeline, stop_lsn: stopLsn }, newest, history);
}

/** Labels of the base backups of which nothing comes: of lost timelines, on no way to the server's, or upon one of these. Pure. */
export function labelsLost(
  bases: readonly InfoBase[],
  lost: ReadonlySet<number>,
  lineage: Lineage,
): string[] {
  const found = new Set(
    bases.flatMap((base) => {
      const { label, archiveStart } = base;
      const isLost = archiveStart !== undefined && lost.has(timelineOf(archiveStart));
      return isLost || !isOnTheWay(base, lineage) ? [label] : [];
    }),
  );
  return bases.flatMap(({ label }) => (found.has(label) || found.has(fullOf(label)) ? [label] : []));
}
