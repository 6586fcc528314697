import path from "node:path";
import {
  baseSince,
  finishedSegments,
  segmentsSince,
  stretchesBefore,
  type HeldBefore,
} from "./continuity.ts";
import { takeSegment, type Pgbackrest } from "./pgbackrest.ts";
import { archivedAt, heldSegments, type Repository } from "./wal-folder.ts";
import type { BaseBackup } from "../model/backups/archive-status.ts";
import type { Lsn } from "../model/lsn.ts";
import { historyFile } from "../model/timeline.ts";
import { readTextOfOthers } from "../system/files/held/by-path.ts";
import { inFolder } from "../system/files/held/folder.ts";

/** A new primary, and where its WAL is. */
export interface NewPrimary {
  readonly dataDir: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  /** Where it writes. */
  readonly at: Lsn;
}

/** What a repository has of the time since everything was known to be there. */
export interface Continuity {
  readonly pushed: number;
  /** Segments that are neither in the repository nor on the primary's disk, in the order in which they are replayed. */
  readonly missing: readonly string[];
  /**
   * Where some of them are older than the time up to which everything was to be there: since when nothing is sure, in ISO 8601.
   */
  readonly unsure: string | undefined;
  /** Whether a base backup leads to the primary: else nobody can say what is missing. */
  readonly leads: boolean;
}

/**
 * Takes into the repository what a new primary has and the repository lacks. Of the timelines before it noted as archived
 * whatever it received, and its server archives none of it; on its own one it may have had no command that archives. What
 * it has finished and waits to archive is no concern here.
 * @param whole milliseconds since the epoch up to which everything was there
 * @throws OdooPgError command_failed where the repository takes nothing
 */
export async function pushLacking(
  { place, pgbackrest }: { readonly place: Repository; readonly pgbackrest: Pgbackrest },
  bases: readonly BaseBackup[],
  whole: number,
  { dataDir, timeline, segmentBytes, at }: NewPrimary,
): Promise<Continuity> {
  const wal = path.join(dataDir, "pg_wal");
  const history = await historyOf({ dataDir, timeline });
  const writing = { timeline, at, segmentBytes, history };
  const chain = segmentsSince(bases, whole, writing);
  const onDisk = (await inFolder(wal, (folder) => folder.names())) ?? [];
  const needed = chain ?? finishedSegments(onDisk, writing);
  // Before what the repository holds: what waits no more by now is there.
  const notes = await inFolder(path.join(wal, "archive_status"), (folder) => folder.names());
  const waiting = new Set(notes?.filter((name) => name.endsWith(".ready")));
  const held = await heldSegments(place, needed);
  const lacking = needed.filter((name) => !held.has(name) && !waiting.has(`${name}.ready`));
  const present = await inFolder(
    wal,
    (folder) => new Set(lacking.filter((name) => folder.look(name)?.size === segmentBytes)),
  );
  const own = new Set(lacking.filter((name) => present?.has(name) === true));
  const missing = lacking.filter((name) => !own.has(name));
  // By when they were archived: what is pushed now is no older than now.
  const isOlder = missing[0] !== undefined && (await isFollowed(place, needed, missing[0], whole));
  for (const name of own) await takeSegment(pgbackrest, path.join(wal, name));
  return {
    pushed: own.size,
    missing,
    unsure: isOlder ? baseSince(bases, whole, writing)?.started_at : undefined,
    leads: chain !== undefined,
  };
}

/** Whether a segment that comes after another one was archived before a time. @param at milliseconds since the epoch */
async function isFollowed(
  place: Repository,
  segments: readonly string[],
  missing: string,
  at: number,
): Promise<boolean> {
  const after = segments.slice(segments.indexOf(missing) + 1);
  const times = [...(await archivedAt(place, after)).values()];
  return times.some((time) => time <= at);
}

/**
 * What a repository holds between older base backups, as `withHoles` takes it: hosts keep other base backups than one
 * another, and at what lies before the newest one nobody has looked.
 * @param whole milliseconds since the epoch up to which everything was there, as for `pushLacking`
 */
export async function heldBefore(
  place: Repository,
  bases: readonly BaseBackup[],
  whole: number,
  { dataDir, timeline, segmentBytes, at }: NewPrimary,
): Promise<HeldBefore> {
  const history = await historyOf({ dataDir, timeline });
  const stretches = stretchesBefore(bases, whole, { timeline, at, segmentBytes, history });
  const needed = stretches.flatMap(({ segments }) => segments);
  return { stretches, held: await heldSegments(place, needed) };
}

/** How a server's timeline came out of those before, as it wrote it; undefined: it is the first. */
export async function historyOf({
  dataDir,
  timeline,
}: Pick<NewPrimary, "dataDir" | "timeline">): Promise<string | undefined> {
  if (timeline === 1) return undefined;
  return await readTextOfOthers(path.join(dataDir, "pg_wal", historyFile(timeline)));
}

/** When a server began a timeline, by the file that it wrote then: milliseconds since the epoch. */
export async function begunAt({
  dataDir,
  timeline,
}: Pick<NewPrimary, "dataDir" | "timeline">): Promise<number | undefined> {
  const wal = path.join(dataDir, "pg_wal");
  return await inFolder(wal, (folder) => folder.look(historyFile(timeline))?.mtimeMs);
}
