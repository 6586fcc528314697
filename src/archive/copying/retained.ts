import { currentOf, type InfoBase, type StanzaInfo } from "./info-text.ts";
import { fullOf } from "./names.ts";

const DAY = 86_400_000;

/**
 * The base backups that pgBackRest's expiry by time leaves: the newest full one that is older than the window, and all that
 * are younger than that one. What it would remove is not copied: it would come back each time. Source: pgBackRest's
 * expireTimeBasedBackup.
 * @param now milliseconds since the epoch
 */
export function retained(bases: readonly InfoBase[], days: number, now: number): InfoBase[] {
  const sorted = bases.toSorted((a, b) => (a.label < b.label ? -1 : 1));
  const fulls = sorted.filter(({ label }) => fullOf(label) === label);
  const oldest = fulls.findLast(({ stoppedAt }) => stoppedAt < now - days * DAY) ?? fulls[0];
  if (!oldest) return [];
  const labels = new Set(fulls.map(({ label }) => label));
  // One whose full base backup is gone is of no use.
  return sorted.filter(({ label }) => label >= oldest.label && labels.has(fullOf(label)));
}

/** The oldest WAL of each PostgreSQL of a stanza that is wanted, by its archive id: all of it, where that is empty. */
export type Floors = ReadonlyMap<string, string>;

/**
 * From which WAL on a repository is to have all of it.
 * @param bases whose WAL is wanted; without any all of the present PostgreSQL's
 */
export function floorsOf(info: StanzaInfo, bases: readonly InfoBase[]): Floors {
  const floors = new Map<string, string>();
  for (const { id, version } of info.databases) {
    const starts = bases.flatMap(({ databaseId, archiveStart }) =>
      databaseId === id && archiveStart !== undefined ? [archiveStart] : [],
    );
    const first = starts.toSorted()[0];
    if (first !== undefined || id === currentOf(info)?.id) floors.set(`${version}-${id}`, first ?? "");
  }
  return floors;
}

/** Whether WAL is not older than what is wanted. pgBackRest compares names alone, timelines first. @param position as in WalFile */
export function isWanted(position: string, floor: string): boolean {
  return position >= floor.slice(0, position.length);
}

/** Whether any WAL of a folder can be. @param folder an archive id, or one of its folders of segments */
export function isFolderWanted(folder: string, floors: Floors): boolean {
  const [id = "", segments] = folder.split("/");
  const floor = floors.get(id);
  return floor !== undefined && (segments === undefined || isWanted(segments, floor));
}
