import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import path from "node:path";
import { explain, isErrno, type Owner } from "./files.ts";
import { renameIn } from "./held/by-path.ts";
import type { Folder } from "./held/folder.ts";
import { copyHashed, filesBelow, syncPath } from "./pool-files.ts";
import { run } from "../process/process.ts";

/** To whom new files belong, and who may read them: as the directory of all filestores has it. */
export interface Likeness {
  readonly owner: Owner;
  readonly directoryMode: number;
  readonly fileMode: number;
}

/** The likeness of a directory. */
export function likenessOf({ owner, mode }: Folder): Likeness {
  return { owner, directoryMode: mode & 0o777, fileMode: mode & 0o666 };
}

/** Makes a directory below one that is there, where no other user may put anything. */
export function makeDirectory(directory: string, like: Likeness): void {
  try {
    mkdirSync(directory, { recursive: true });
    chownSync(directory, like.owner.uid, like.owner.gid);
    chmodSync(directory, like.directoryMode);
  } catch (error) {
    throw explain(error, directory);
  }
}

function makeAlike(file: string, like: Likeness): void {
  chownSync(file, like.owner.uid, like.owner.gid);
  chmodSync(file, like.fileMode);
}

/** Writes a new file from a stream and says what it holds. */
export async function writeHashed(
  content: AsyncIterable<Buffer>,
  to: string,
  like: Likeness,
): Promise<{ sha1: string; bytes: number }> {
  const hash = createHash("sha1");
  let bytes = 0;
  try {
    const handle = openSync(to, "wx", 0o600);
    try {
      for await (const chunk of content) {
        hash.update(chunk);
        let at = 0;
        while (at < chunk.length) at += writeSync(handle, chunk, at);
        bytes += chunk.length;
      }
    } finally {
      closeSync(handle);
    }
    makeAlike(to, like);
  } catch (error) {
    throw explain(error, to);
  }
  return { sha1: hash.digest("hex"), bytes };
}

/**
 * Copies a file that others keep, and says what the copy holds. Blocks are shared where the file system can.
 * @returns undefined when there is no such file
 */
export async function copyChecked(
  from: string,
  to: string,
  like: Likeness,
  clonesFor: string,
): Promise<{ sha1: string; bytes: number } | undefined> {
  const copied = await copyHashed(from, to, undefined, clonesFor);
  if (copied) makeAlike(to, like);
  return copied;
}

/**
 * Gives a file that never changes a second name: by shared blocks, else by a hard link, else by a copy. Odoo writes an
 * attachment once, under its SHA-1, and only ever deletes it.
 * @param named by what name it may be given another one: a hard link of anything else that lies there is not kept
 * @returns false when there is no such file
 */
export async function shareFile(
  from: string,
  named: string,
  to: string,
  like: Likeness,
  clonesFor: string,
): Promise<boolean> {
  try {
    if (!withoutClones.has(clonesFor)) {
      try {
        copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
        makeAlike(to, like);
        return true;
      } catch (error) {
        if (isErrno(error, "EEXIST")) return true;
        if (isErrno(error, "ENOENT")) return false;
        withoutClones.add(clonesFor);
      }
    }
    linkSync(named, to);
    const [seen, given] = [statSync(from), lstatSync(to)];
    if (seen.dev === given.dev && seen.ino === given.ino) return true;
    unlinkSync(to);
    return false;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return true;
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    if (!isErrno(error, "EXDEV", "EPERM", "EMLINK", "ENOTSUP", "EOPNOTSUPP")) throw explain(error, to);
  }
  return (await copyChecked(from, to, like, clonesFor)) !== undefined;
}

const withoutClones = new Set<string>();

/**
 * Makes everything below a directory durable: by one call of the file system where the system has it.
 * @param held the same directory, where another user may put another one in its place
 */
export async function syncTree(directory: string, held: string): Promise<void> {
  // GNU coreutils: syncfs(2) on the file system of the directory.
  const synced = await run("sync", ["--file-system", directory], { timeout: 0 }).catch(() => undefined);
  if (synced?.exitCode === 0) return;
  for (const file of filesBelow(held)) syncPath(path.join(held, file));
  syncPath(held);
}

/** Renames a directory, and makes that durable; says whether it was there. */
export async function moveIfThere(from: string, to: string): Promise<boolean> {
  try {
    await renameIn(from, to);
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}
