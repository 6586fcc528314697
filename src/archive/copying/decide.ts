import { currentOf, type InfoBase, type StanzaInfo } from "./info-text.ts";
import { fullOf, liesIn, walFile } from "./names.ts";
import { isAllowed, isSize, type WalLimits } from "./limits.ts";
import { MOST_BASE_FOLDERS, type Listed } from "./protocol.ts";
import { isWanted } from "./retained.ts";
import { shareOf } from "../../model/troubles/troubles.ts";

/** The share of a disk of its own that stays free. */
const LEAST_FREE = 0.05;

/** What a host's own repository is, before something is copied into it. */
export interface OwnStanza {
  /** What archive.info and backup.info say; undefined: missing, or not to be read. */
  readonly archive: StanzaInfo | undefined;
  readonly backup: StanzaInfo | undefined;
  /** Whether there is any WAL or base backup, whole or not. */
  readonly holdsAnything: boolean;
}

/**
 * What becomes of a host's own repository first. `begin`: it gets the source's archive.info and backup.info. `aside`: what
 * is there is not of this cluster, or nothing says what it is, and goes aside before that. `older`: the source has been
 * upgraded to another PostgreSQL since, and its info files replace these. `foreign`: the source is of another cluster, and
 * nothing is taken. `unfit`: both say that they are of this cluster, and do not fit: nothing is taken, and what is here stays.
 */
export type Standing = "same" | "begin" | "aside" | "older" | "foreign" | "unfit";

/** @param systemIdentifier of the cluster: a repository of another one is never taken, whatever the source says */
export function standingOf(
  own: OwnStanza,
  source: { readonly archive: StanzaInfo; readonly backup: StanzaInfo },
  systemIdentifier: string,
): Standing {
  const { archive, backup } = source;
  if (currentOf(archive)?.systemIdentifier !== systemIdentifier || !agree(archive, backup)) return "foreign";
  if (!own.archive || !own.backup) return own.holdsAnything ? "aside" : "begin";
  // pgBackRest refuses one whose two files differ.
  if (!agree(own.archive, own.backup)) return "aside";
  const fits = isWithin(own.archive, archive);
  if (currentOf(own.archive)?.systemIdentifier !== systemIdentifier) return fits ? "older" : "aside";
  if (fits && own.archive.id === archive.id) return "same";
  // The source is the one that is behind, such as a copy of a primary that was upgraded.
  return isWithin(archive, own.archive) ? "same" : "unfit";
}

function agree(a: StanzaInfo, b: StanzaInfo): boolean {
  return a.id === b.id && isWithin(a, b) && isWithin(b, a);
}

function isWithin(a: StanzaInfo, b: StanzaInfo): boolean {
  return a.databases.every(({ id, systemIdentifier, version }) =>
    b.databases.some(
      (other) => other.id === id && other.systemIdentifier === systemIdentifier && other.version === version,
    ),
  );
}

/** A segment that is here with another content than there; of each its checksum, as pgBackRest adds it to the name. */
export interface Conflict {
  /** As in WalFile. */
  readonly key: string;
  readonly here: string | undefined;
  readonly there: string | undefined;
}

/** What a folder of WAL lacks. */
export interface Lacking {
  /** The oldest first. */
  readonly files: readonly Listed[];
  /** Never a second one of a name, or pgBackRest reads neither. */
  readonly conflicts: readonly Conflict[];
  /** What cannot be a file of WAL, by its bytes: nothing of it is taken. */
  readonly wrong: readonly string[];
  /** What the limits do not allow. */
  readonly beyond: readonly string[];
}

/**
 * Which files of a folder of WAL are to be copied.
 * @param folder an archive id, or one of its folders of segments
 * @param own names of the files in it
 * @param floor the oldest position that is wanted
 * @param limits what may be true; undefined: anything
 */
export function lackingIn(
  folder: string,
  listed: readonly Listed[],
  own: readonly string[],
  floor: string,
  limits?: WalLimits,
): Lacking {
  const present = new Map<string, string | undefined>();
  for (const name of own) {
    const file = walFile(name);
    if (file) present.set(file.key, file.checksum);
  }
  const files: Listed[] = [];
  const conflicts: Conflict[] = [];
  const wrong: string[] = [];
  const beyond: string[] = [];
  // Of two that the source itself has, the first one only.
  for (const one of listed.toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const file = liesIn(one[0], folder) ? walFile(one[0]) : undefined;
    if (!file || !isWanted(file.position, floor)) continue;
    if (limits && !isAllowed(file, limits)) {
      beyond.push(file.key);
      continue;
    }
    if (!isSize(file, one[1], limits?.segmentBytes)) {
      wrong.push(file.key);
      continue;
    }
    const [here, there] = [present.get(file.key), file.checksum];
    if (!present.has(file.key)) {
      files.push(one);
      present.set(file.key, there);
    } else if (here !== there) conflicts.push({ key: file.key, here, there });
  }
  return { files, conflicts, wrong, beyond };
}

/**
 * Which base backup is copied next: those that need no further WAL, then the newest full one, and the older ones after it.
 * @param wanted of the source, without those that expiry would remove
 * @param own labels that are whole here
 */
export function nextBase(wanted: readonly InfoBase[], own: ReadonlySet<string>): InfoBase | undefined {
  const missing = wanted.filter(({ label }) => !own.has(label));
  const fits = missing.find(({ label }) => fullOf(label) !== label && own.has(fullOf(label)));
  return fits ?? missing.findLast(({ label }) => fullOf(label) === label);
}

/**
 * Whether a file may be written: the disk keeps room. One that the data lies on, too, keeps as much as for which status
 * warns of a disk that fills; another one a little, for pgBackRest's own files.
 * @param bytes that are still to come
 */
export function leavesRoom(
  bytes: number,
  disk: { readonly totalBytes: number; readonly freeBytes: number },
  holdsData: boolean,
): boolean {
  return disk.freeBytes - bytes >= disk.totalBytes * (holdsData ? 1 - shareOf("disk_filling") : LEAST_FREE);
}

/** The error of a base backup's list; undefined where it can be whole. */
export function baseProblem(files: readonly Listed[]): string | undefined {
  const names = new Set(files.map(([name]) => name));
  if (names.size !== files.length) return "names a file twice";
  if (!names.has("backup.manifest")) return "has no manifest";
  const folders = foldersOf(files);
  if (folders.size > MOST_BASE_FOLDERS) return "has more folders than can be";
  // A file cannot be a folder, too.
  return files.some(([name]) => folders.has(name)) ? "names a file as a folder" : undefined;
}

/** The folders in which files lie, and those around these. */
export function foldersOf(files: readonly Listed[]): ReadonlySet<string> {
  const folders = new Set<string>();
  for (const [name] of files)
    for (let end = name.lastIndexOf("/"); end > 0; end = name.lastIndexOf("/", end - 1)) {
      const folder = name.slice(0, end);
      // Then those around it are there, too.
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  return folders;
}
