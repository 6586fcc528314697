import path from "node:path";
import type { Lineage } from "../../archive/copying/branches.ts";
import { OwnFolders, type OwnRepository } from "../../archive/copying/own.ts";
import { shedLost, shedSegments, type Shed } from "../../archive/copying/shed.ts";
import { rivalsBefore, strangersIn } from "../../archive/strangers.ts";
import type { Archiving } from "../../model/backups/archive-status.ts";
import { walOf } from "../../archive/wal-folder.ts";

/** What the log says of what was put aside. */
export function shedWords({ aside, timelines }: Shed): string {
  const of = timelines.length ? ` of timeline ${timelines.join(", ")}` : "";
  return `any second: what the repository had${of} is not of the history that the cluster goes on from: it is kept in ${aside}`;
}

/**
 * Puts aside what the repository of a new primary has of other branches: of newer timelines than its own, of timelines that
 * came out of another place than its history says or have other WAL than its disk, and of its own one what its server did not
 * write.
 */
export async function shedBefore(
  own: OwnRepository,
  lineage: Lineage,
  primary: { readonly segmentBytes: number; readonly at: bigint },
): Promise<Shed | undefined> {
  const strangers = await strangersIn(own, { ...primary, ...lineage, dataDir: own.dataDir });
  const { timeline } = lineage;
  const folders = await OwnFolders.open(own);
  try {
    const rivals = await rivalsBefore(own, { ...primary, ...lineage, dataDir: own.dataDir });
    const more = new Set([...rivals, ...(strangers.size ? [timeline] : [])]);
    const shed = await shedLost(folders, own, lineage, { more, isNewest: true, spares: timeline });
    const wal = strangers.size ? await walOf(own) : undefined;
    if (wal === undefined) return shed;
    const aside = await shedSegments(folders, own, path.basename(wal), strangers);
    return shed ?? { aside, timelines: [timeline] };
  } finally {
    folders.close();
  }
}

/**
 * The record of a host whose last primary was on a branch that is lost: what it says was archived since that began is not of
 * the cluster. Pure.
 * @returns the same where it is of none of these timelines
 */
export function withoutBranches(record: Archiving, lost: readonly number[]): Archiving {
  const { primary: { timeline } = {}, timelines = [] } = record;
  if (timeline === undefined || !lost.includes(timeline)) return record;
  const begun = timelines.find((change) => change.timeline === timeline)?.at;
  const { primary: _primary, unfetched: _unfetched, ...others } = record;
  return {
    ...others,
    archiving: false,
    since: begun ?? record.since,
    timelines: timelines.filter((change) => !lost.includes(change.timeline)),
  };
}
