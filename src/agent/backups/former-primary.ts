import path from "node:path";
import { takeSegment, type Pgbackrest } from "../../archive/pgbackrest.ts";
import { pushLacking, type NewPrimary } from "../../archive/push-lacking.ts";
import { segmentsReady } from "../../archive/segments-ready.ts";
import { heldSegments, type Repository } from "../../archive/wal-folder.ts";
import { ARCHIVE_TIMEOUT_SECONDS } from "../../config/settings/archiving.ts";
import type { Archiving, BaseBackup } from "../../model/backups/archive-status.ts";
import { inFolder } from "../../system/files/held/folder.ts";
import type { Left } from "./archived-primary.ts";

/** Segments that are taken from a former primary's disk: 1 GB. Where more wait, archiving has failed for long. */
const MOST_TAKEN = 64;

/**
 * Takes into the repository what a former primary had finished and not archived, and what the new one has received of it:
 * neither server archives it any more. What is missing after that is nowhere.
 * @param former its data directory, and the pgBackRest that is configured for it
 * @param seen what was noted of it last
 * @param bases the oldest first
 * @returns undefined where the former one's disk cannot be read
 */
export async function takeFromFormer(
  { place, pgbackrest }: { readonly place: Repository; readonly pgbackrest: Pgbackrest },
  former: { readonly dataDir: string; readonly pgbackrest: Pgbackrest },
  seen: NonNullable<Archiving["primary"]>,
  bases: readonly BaseBackup[],
  primary: NewPrimary,
): Promise<Left | undefined> {
  const notes = await segmentsReady(former.dataDir).catch(() => undefined);
  if (!notes?.found) return undefined;
  const { finishedAt } = notes;
  const archivedAt =
    finishedAt === undefined ? undefined : Math.floor(finishedAt) - ARCHIVE_TIMEOUT_SECONDS * 1000;
  const waiting = await notArchived(place, former.dataDir, notes.waiting);
  if (waiting.length > MOST_TAKEN) return { lacks: true, archivedAt };
  try {
    for (const name of waiting)
      await takeSegment(former.pgbackrest, path.join(former.dataDir, "pg_wal", name));
    // Before the first base backup nothing can be brought back: it may have ended after what was noted last.
    const whole = Math.max(
      Date.parse(seen.archived_at),
      Date.parse(bases[0]?.stopped_at ?? seen.archived_at),
    );
    const { missing, leads, unsure } = await pushLacking({ place, pgbackrest }, bases, whole, primary);
    // Where no base backup leads to the new primary, only what was seen of the former one tells.
    const lacks = leads ? missing.length > 0 : bases.length > 0 && seen.waits && notes.waiting.length === 0;
    // What is missing may be older than what waited.
    if (missing.length) return { lacks, archivedAt: undefined, unsure };
    return { lacks, archivedAt };
  } catch {
    // A repository that takes nothing lacks what waited; where nothing did, nothing was to be taken.
    return { lacks: seen.waits || waiting.length > 0, archivedAt };
  }
}

/**
 * Those of a server's notes of which something is to be taken: a note outlives its segment, and of one that is in the
 * repository nothing is missing. What is on the disk still pgBackRest compares with what it holds.
 */
async function notArchived(
  place: Repository,
  dataDir: string,
  noted: readonly string[],
): Promise<readonly string[]> {
  const onDisk = await inFolder(path.join(dataDir, "pg_wal"), (folder) => new Set(folder.names()));
  const gone = noted.filter((name) => onDisk?.has(name) !== true);
  const held = await heldSegments(place, gone);
  return noted.filter((name) => !held.has(name));
}
