import path from "node:path";
import { messageOf, toOdooPgError } from "../errors.ts";
import { oneLine } from "../printable.ts";
import {
  kindOf,
  move,
  namesIn,
  readTextIfAny,
  removeFile,
  removeTree,
  writeFileAtomic,
} from "../system/files/files.ts";
import { FilestoreReader } from "../system/files/filestore-reader.ts";
import { assertFilestores } from "../odoo/filestore.ts";
import { eachLineStart } from "../system/process/streams.ts";
import { readCatalogue } from "./catalogue.ts";
import { FILESTORE_LIST_FILE } from "./manifest.ts";
import { folderName, idOfFolder, isLeftOverName, removingName } from "./naming.ts";
import type { BackupPlace } from "./place.ts";
import { filesOfPrefix, poolPrefixes, removeFromPool, removeLeftOverCopies } from "./attachments/pool.ts";
import { expired, type Rotation } from "./retention.ts";

export interface Pruned {
  /** Backups that had expired, the oldest first. */
  readonly removed: readonly string[];
  /** Files of the pool that no backup names any more, and their bytes. */
  readonly pool_files: number;
  readonly pool_bytes: number;
  /** Why the pool was left alone; null when it was pruned. */
  readonly pool_kept: string | null;
}

interface PruneOptions {
  readonly now: number;
  readonly dryRun: boolean;
  readonly pool: boolean;
  readonly window: number;
  readonly filestores?: string | undefined;
}

/**
 * Removes what has expired. The caller holds the lock of the place, and a backup has just succeeded or somebody
 * asked for it.
 * @param options.pool whether the pool is looked through: that reads the lists of all backups
 * @param options.window milliseconds that a file of the pool is kept after the last backup that names it, and the last
 *   filestore that has it: a second that can be brought back may need it
 * @param options.filestores directory of all filestores; without one only backups count
 */
export async function prune(place: BackupPlace, rotation: Rotation, options: PruneOptions): Promise<Pruned> {
  const { backups } = await readCatalogue(place);
  const removed = expired(backups, options.now, rotation);
  if (!options.dryRun) {
    for (const id of removed) await removeBackup(place, id);
    await removeLeftOvers(place);
  }
  if (!options.pool) return { removed, pool_files: 0, pool_bytes: 0, pool_kept: null };
  return { removed, ...(await prunePool(place, new Set(removed.map(folderName)), options)) };
}

/** Renames a backup, so that no reader mistakes what is left of it for one; then removes it. */
async function removeBackup(place: BackupPlace, id: string): Promise<void> {
  const going = path.join(place.dir, removingName(id));
  await move(path.join(place.dir, folderName(id)), going);
  await removeTree(going);
}

/** Leftovers of a killed odoo-pg. The caller holds the lock, so no process is at work on them. */
export async function removeLeftOvers(place: BackupPlace): Promise<void> {
  for (const name of await namesIn(place.dir)) {
    const target = path.join(place.dir, name);
    // The origin's files of this form are files.
    if (isLeftOverName(name) && (await kindOf(target)) === "directory") await removeTree(target);
  }
  await removeLeftOverCopies(place);
}

/** 2^28: of a million files at most one in 250 is kept without need. */
const MARKS = 2 ** 28;
/** Hexadecimal digits of a SHA-1 that choose its mark. */
const MARK_DIGITS = 7;
const SHA1_DIGITS = 40;

/**
 * Removes the files of the pool that no backup names. Every name is marked in a field of 32 MB, chosen by the SHA-1
 * itself: two names may share a mark, so that a file is kept without need now and then, but none is ever removed that a
 * backup names. Backups whose manifest cannot be read count too. If any list cannot be read, nothing is removed.
 */
async function prunePool(
  place: BackupPlace,
  going: ReadonlySet<string>,
  { now, dryRun, window, filestores }: PruneOptions,
): Promise<Omit<Pruned, "removed">> {
  const marks = new Uint8Array(MARKS / 8);
  for (const name of await namesIn(place.dir)) {
    if (idOfFolder(name) === undefined || going.has(name)) continue;
    const list = path.join(place.dir, name, FILESTORE_LIST_FILE);
    if ((await kindOf(list)) === undefined) continue;
    try {
      await eachLineStart(list, SHA1_DIGITS, (start) => {
        if (!/^[0-9a-f]{40}$/.test(start)) throw new Error("a line of it cannot be read");
        const mark = Number.parseInt(start.slice(0, MARK_DIGITS), 16);
        marks[mark >> 3] = (marks[mark >> 3] ?? 0) | (1 << (mark & 7));
      });
    } catch (error) {
      const words = messageOf(error);
      return { pool_files: 0, pool_bytes: 0, pool_kept: `${list}: ${words}` };
    }
  }
  let files = 0;
  let bytes = 0;
  const unneeded = await readUnneeded(place);
  const waiting = new Map<string, number>();
  // Without a window, no second needs files that no backup names.
  let live: ((prefix: string) => ReadonlySet<string>) | undefined;
  try {
    live = window > 0 && filestores !== undefined ? await namesInFilestores(filestores) : undefined;
  } catch (error) {
    return { pool_files: 0, pool_bytes: 0, pool_kept: oneLine(toOdooPgError(error).message) };
  }
  for (const prefix of await poolPrefixes(place)) {
    let named: ReadonlySet<string> | undefined;
    try {
      named = live?.(prefix);
    } catch (error) {
      // It is not known what a filestore names: all of it stays.
      return { pool_files: files, pool_bytes: bytes, pool_kept: oneLine(toOdooPgError(error).message) };
    }
    for (const [sha1, size] of filesOfPrefix(place, prefix)) {
      const mark = Number.parseInt(sha1.slice(0, MARK_DIGITS), 16);
      if (((marks[mark >> 3] ?? 0) & (1 << (mark & 7))) !== 0) continue;
      const since = named?.has(sha1) === true ? now : (unneeded.get(sha1) ?? now);
      if (now - since < window) {
        waiting.set(sha1, since);
        continue;
      }
      files += 1;
      bytes += size;
      if (!dryRun) await removeFromPool(place, sha1);
    }
  }
  if (!dryRun) await writeUnneeded(place, waiting);
  return { pool_files: files, pool_bytes: bytes, pool_kept: null };
}

/**
 * The files in the filestores, by the first two digits of the names.
 * @throws OdooPgError filestore_unusable where their directory is missing, as when its disk is not mounted
 */
async function namesInFilestores(filestores: string): Promise<(prefix: string) => ReadonlySet<string>> {
  await assertFilestores(filestores);
  const folders = (await namesIn(filestores)).map((name) => path.join(filestores, name));
  return (prefix) => {
    const names = new Set<string>();
    for (const folder of folders) {
      const reader = new FilestoreReader(folder);
      try {
        for (const name of reader.names(prefix)) names.add(name);
      } finally {
        reader.close();
      }
    }
    return names;
  };
}

/** Since when no backup names a file of the pool, in milliseconds since the epoch, by SHA-1. A line that cannot be read counts from now. */
async function readUnneeded(place: BackupPlace): Promise<Map<string, number>> {
  const text = (await readTextIfAny(unneededFile(place))) ?? "";
  const lines = [...text.matchAll(/^([0-9a-f]{40})\t(\d{1,15})$/gm)];
  return new Map(lines.map(([, sha1 = "", since]) => [sha1, Number(since)]));
}

async function writeUnneeded(place: BackupPlace, unneeded: ReadonlyMap<string, number>): Promise<void> {
  const file = unneededFile(place);
  if (!unneeded.size) return await removeFile(file);
  await writeFileAtomic(file, [...unneeded].map(([sha1, since]) => `${sha1}\t${since}\n`).join(""));
}

function unneededFile({ dir }: BackupPlace): string {
  return path.join(dir, ".pool-unneeded.tsv");
}
