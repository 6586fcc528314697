import { renameEntry, syncFolder } from "../../system/files/folder-files.ts";
import { branchOf, labelsLost, timelineOf, timelineOfHistory, type Lineage } from "./branches.ts";
import { making, within } from "./folders.ts";
import { currentOf, stanzaInfo } from "./info-text.ts";
import { isLabel, isWalFolder, walFile } from "./names.ts";
import type { OwnFolders, OwnRepository } from "./own.ts";

/** What was put aside of a repository, as it was of another branch than the one that the cluster goes on from. */
export interface Shed {
  /** Where it is now: nothing is removed. */
  readonly aside: string;
  readonly timelines: readonly number[];
}

/**
 * Puts aside what a repository has of timelines that have the number of one of the cluster's own, and came out of another
 * place: WAL of both would be taken for one, and a recovery would follow whichever is there. Run again it goes on.
 * @param more timelines of which it is known by other ways
 * @param isNewest whether no newer timeline than the server's can be the cluster's
 * @param spares a timeline whose WAL stays, as the server of this host archives it by now
 */
export async function shedLost(
  folders: OwnFolders,
  own: OwnRepository,
  lineage: Lineage,
  {
    more = new Set(),
    isNewest,
    spares,
  }: {
    readonly more?: ReadonlySet<number> | undefined;
    readonly isNewest: boolean;
    readonly spares?: number;
  },
): Promise<Shed | undefined> {
  const infos = await folders.infos();
  const current = currentOf(stanzaInfo(infos.archive ?? "") ?? { id: 0, databases: [] });
  if (current?.systemIdentifier !== own.systemIdentifier) return undefined;
  const id = `${current.version}-${current.id}`;
  const archive = ["archive", own.stanza, id];
  const lost = new Set(more);
  await within(folders.root, archive, (folder) => {
    for (const name of folder.names()) {
      const timeline = timelineOfHistory(name);
      const of = timeline ?? (isWalFolder(name) ? timelineOf(name) : 0);
      if (isNewest && of > lineage.timeline) lost.add(of);
      else if (timeline !== undefined && branchOf(timeline, folder.readText(name) ?? "", lineage) === "lost")
        lost.add(timeline);
    }
  });
  const whole = await folders.labels();
  const bases = folders
    .bases(infos)
    .filter(({ label, databaseId }) => databaseId === current.id && whole.has(label));
  const labels = new Set(labelsLost(bases, lost, lineage));
  if (!lost.size && !labels.size) return undefined;
  const aside = folders.newAside();
  const isOf = (name: string): boolean => lost.has(timelineOf(name)) && timelineOf(name) !== spares;
  const isLost = (name: string): boolean => isLabel(name) && labels.has(name);
  const moved = [
    await move(folders, own, aside, ["backup", own.stanza], isLost),
    await move(folders, own, aside, archive, (name) => isWalFolder(name) && isOf(name)),
    // By it the rest is found again, where this is cut off.
    await move(folders, own, aside, archive, (name) => timelineOfHistory(name) !== undefined && isOf(name)),
  ];
  if (!moved.some(Boolean)) return undefined;
  return { aside: `${own.repository}/${aside}`, timelines: [...lost].sort((a, b) => a - b) };
}

/**
 * The same of single segments of one timeline, into which the server of this host archives by now.
 * @param names of segments as PostgreSQL names them
 */
export async function shedSegments(
  folders: OwnFolders,
  own: OwnRepository,
  id: string,
  names: ReadonlySet<string>,
): Promise<string> {
  const aside = folders.newAside();
  for (const folder of new Set([...names].map((name) => name.slice(0, 16))))
    await move(folders, own, aside, ["archive", own.stanza, id, folder], (name) =>
      names.has(walFile(name)?.key ?? ""),
    );
  return `${own.repository}/${aside}`;
}

async function move(
  folders: OwnFolders,
  { owner }: OwnRepository,
  aside: string,
  parts: readonly string[],
  which: (name: string) => boolean,
): Promise<boolean> {
  const moved = await within(folders.root, parts, async (folder) => {
    const names = folder.names().filter(which);
    if (!names.length) return false;
    await making(folders.root, [aside, ...parts], owner, async (target) => {
      for (const name of names) await renameEntry(folder, name, target, name);
      await syncFolder(target);
    });
    await syncFolder(folder);
    return true;
  });
  return moved === true;
}
