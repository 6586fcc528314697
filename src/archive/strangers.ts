import { createHash } from "node:crypto";
import path from "node:path";
import type { Lsn } from "../model/lsn.ts";
import { leftAt, segmentOf, timelinesBefore } from "../model/timeline.ts";
import { pieceIn } from "../system/files/folder-files.ts";
import { inFolder, type Folder } from "../system/files/held/folder.ts";
import type { Lineage } from "./copying/branches.ts";
import type { Conflict } from "./copying/decide.ts";
import { walFile } from "./copying/names.ts";
import { walOf, type Repository } from "./wal-folder.ts";

/** Bytes of a segment that are read at once. */
const PIECE = 1024 * 1024;

/** Segments that are compared of one timeline: 1 GB. The very first one of two promotions differs. */
const MOST_COMPARED = 64;

/** The timeline to which nobody is promoted. */
export const FIRST = 1;

/** A new primary, and how far it has written on its timeline. */
export interface Promoted {
  readonly dataDir: string;
  readonly timeline: number;
  readonly segmentBytes: number;
  readonly at: Lsn;
}

/**
 * Segments that a repository has of a new primary's own timeline, and that its server did not write: another host was
 * promoted to the same number. pgBackRest would refuse those of the server for them, or take them for it. What the server has
 * archived is noted as that; so what still waits is compared, and what is of no segment that it has finished is not its own.
 * @returns their names, as PostgreSQL names segments
 */
export async function strangersIn(
  repository: Repository,
  { dataDir, timeline, segmentBytes, at }: Promoted,
): Promise<ReadonlySet<string>> {
  const wal = await walOf(repository);
  const strangers = new Set<string>();
  if (wal === undefined) return strangers;
  const prefix = timeline.toString(16).toUpperCase().padStart(8, "0");
  const own = path.join(dataDir, "pg_wal");
  const folders = (await inFolder(wal, (opened) => opened.names())) ?? [];
  for (const folder of folders.filter((name) => name.startsWith(prefix) && name.length === 16)) {
    const held = (await inFolder(path.join(wal, folder), (opened) => opened.names())) ?? [];
    // After them: what the server has finished meanwhile, and archived, is noted by now.
    const notes = await inFolder(path.join(own, "archive_status"), (opened) => new Set(opened.names()));
    for (const name of held) {
      const { key, checksum } = walFile(name) ?? {};
      const number = key === undefined ? undefined : segmentOf(key, segmentBytes)?.number;
      if (key === undefined || checksum === undefined || number === undefined) continue;
      const isAhead = number >= at / BigInt(segmentBytes);
      if (notes?.has(`${key}.ready`) === true) {
        if ((await inFolder(own, (opened) => checksumOf(opened, key))) !== checksum) strangers.add(key);
      } else if (isAhead && notes?.has(`${key}.done`) !== true) strangers.add(key);
    }
  }
  return strangers;
}

/**
 * Which of two repositories has the WAL that this host's own server has written or received, where they have segments of one
 * timeline with different contents: two primaries were promoted to it at the very same place. Its disk holds a segment for
 * some minutes: after that nobody can tell, as of a file that waits to be written anew.
 * @param conflicts of one timeline, the oldest first
 * @param dataDir of the server
 * @returns undefined where its disk has neither
 */
export async function whoseWal(
  conflicts: readonly Conflict[],
  dataDir: string,
): Promise<"here" | "there" | undefined> {
  for (const { key, here, there } of conflicts.slice(0, MOST_COMPARED)) {
    const own = await inFolder(path.join(dataDir, "pg_wal"), (opened) => checksumOf(opened, key));
    if (own !== undefined && own === there) return "there";
    if (own !== undefined && own === here) return "here";
  }
  return undefined;
}

/**
 * Timelines before a new primary's own of which its repository has a segment with another content than its disk: another
 * host was promoted to the same number at the very same place, and what is here was written by that one.
 */
export async function rivalsBefore(
  repository: Repository,
  { dataDir, segmentBytes, history }: Pick<Promoted, "dataDir" | "segmentBytes"> & Pick<Lineage, "history">,
): Promise<ReadonlySet<number>> {
  const wal = await walOf(repository);
  const rivals = new Set<number>();
  if (wal === undefined) return rivals;
  const own = path.join(dataDir, "pg_wal");
  const onDisk = (await inFolder(own, (opened) => opened.names())) ?? [];
  for (const timeline of timelinesBefore(history)) {
    if (timeline === FIRST) continue;
    const left = (leftAt(timeline, history) ?? 0n) / BigInt(segmentBytes);
    // The last one before it was left may lack its end, which is of nothing: a replica receives that after the last record.
    const whole = onDisk.filter((name) => {
      const of = segmentOf(name, segmentBytes);
      return of?.timeline === timeline && of.number + 1n < left;
    });
    let compared = 0;
    for (const name of whole) {
      const held = await inFolder(path.join(wal, name.slice(0, 16)), (opened) =>
        opened.names().map((file) => walFile(file)),
      );
      const here = held?.find((file) => file?.key === name)?.checksum;
      if (here === undefined) continue;
      if (compared === MOST_COMPARED) break;
      compared += 1;
      const isOther = await inFolder(own, async (opened) => {
        const written = await checksumOf(opened, name);
        // The server may have taken the file for later WAL meanwhile.
        return written !== undefined && written !== here && opened.look(name) !== undefined;
      });
      if (isOther !== true) continue;
      rivals.add(timeline);
      break;
    }
  }
  return rivals;
}

/** SHA-1 of a file, in hexadecimal digits; undefined where there is none. */
async function checksumOf(folder: Folder, name: string): Promise<string | undefined> {
  const hash = createHash("sha1");
  for (let offset = 0; ; offset += PIECE) {
    const piece = await pieceIn(folder, name, offset, PIECE);
    if (piece === undefined) return undefined;
    hash.update(piece);
    if (piece.length < PIECE) return hash.digest("hex");
  }
}
