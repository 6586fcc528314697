import { createHash, hash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { explain, isErrno, type Owner } from "./files.ts";
import { hashFile } from "../process/streams.ts";

/** Files up to this size are read at once: asking the thread pool for each of many small files would take longer. */
const SMALL = 1024 * 1024;

/** Names and sizes in bytes of the regular files in a directory; none when it is absent. */
export function filesIn(directory: string): Map<string, number> {
  const files = new Map<string, number>();
  try {
    for (const name of readdirSync(directory)) {
      const stat = lstatSync(path.join(directory, name), { throwIfNoEntry: false });
      if (stat?.isFile()) files.set(name, stat.size);
    }
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR")) throw explain(error, directory);
  }
  return files;
}

/** Names in a directory, at once; none when it is absent. */
export function namesNow(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw explain(error, directory);
  }
}

/** Bytes of a regular file; undefined when there is none. */
export function regularFileBytes(file: string): number | undefined {
  try {
    const stat = statSync(file, { throwIfNoEntry: false });
    return stat?.isFile() ? stat.size : undefined;
  } catch (error) {
    if (isErrno(error, "ENOTDIR", "ENAMETOOLONG")) return undefined;
    throw explain(error, file);
  }
}

/** Pairs of directories between which blocks cannot be shared: the file systems were asked once. */
const withoutClones = new Set<string>();

/**
 * Copies a file to a new place and says what the copy holds, read from the copy or hashed while it is written. Blocks
 * are shared where the file system can. It never becomes a hard link: damage to the one must not reach the other.
 * @param clonesFor names source and target: where sharing blocks failed once, it is not tried again
 * @returns undefined when there is no such file
 */
export async function copyHashed(
  from: string,
  to: string,
  owner: Owner | undefined,
  clonesFor: string,
): Promise<{ sha1: string; bytes: number } | undefined> {
  const bytes = regularFileBytes(from);
  if (bytes === undefined) return undefined;
  try {
    let copied: { sha1: string; bytes: number };
    if (tryClone(from, to, clonesFor)) {
      const { digest, bytes: read } = await hashFile(to, "sha1");
      chmodSync(to, 0o600);
      copied = { sha1: digest, bytes: read };
    } else copied = (bytes <= SMALL ? copySmall(from, to) : undefined) ?? (await copyStream(from, to));
    if (owner) chownSync(to, owner.uid, owner.gid);
    return copied;
  } catch (error) {
    await fs.rm(to, { force: true });
    if (isErrno(error, "ENOENT") && regularFileBytes(from) === undefined) return undefined;
    throw explain(error, isErrno(error, "ENOSPC", "EDQUOT") ? to : from);
  }
}

function tryClone(from: string, to: string, clonesFor: string): boolean {
  if (withoutClones.has(clonesFor)) return false;
  try {
    copyFileSync(from, to, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE);
    return true;
  } catch (error) {
    if (!isErrno(error, "ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY")) throw error;
    withoutClones.add(clonesFor);
    return false;
  }
}

/** Where small files pass through, one after the other: memory of its own for each would take longer than its copy. */
const passing = Buffer.allocUnsafeSlow(SMALL + 1);

/** Copies a file of at most SMALL bytes at once; undefined, and nothing was made, when it has become larger. */
function copySmall(from: string, to: string): { sha1: string; bytes: number } | undefined {
  let bytes = 0;
  const source = openSync(from, "r");
  try {
    for (let read = -1; read !== 0 && bytes < passing.length; bytes += read)
      read = readSync(source, passing, bytes, passing.length - bytes, null);
  } finally {
    closeSync(source);
  }
  if (bytes === passing.length) return undefined;
  const content = passing.subarray(0, bytes);
  const target = openSync(to, "wx", 0o600);
  try {
    for (let at = 0; at < bytes;) at += writeSync(target, content, at);
  } finally {
    closeSync(target);
  }
  return { sha1: hash("sha1", content, "hex"), bytes };
}

async function copyStream(from: string, to: string): Promise<{ sha1: string; bytes: number }> {
  const source = await fs.open(from, "r");
  try {
    const target = await fs.open(to, "wx", 0o600);
    try {
      const hash = createHash("sha1");
      const buffer = Buffer.alloc(SMALL);
      let bytes = 0;
      for (;;) {
        const { bytesRead } = await source.read(buffer, 0, buffer.length);
        if (bytesRead === 0) break;
        const piece = buffer.subarray(0, bytesRead);
        hash.update(piece);
        await target.writeFile(piece);
        bytes += bytesRead;
      }
      return { sha1: hash.digest("hex"), bytes };
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

/** Makes the content of a file, or what a directory lists, durable. */
export function syncPath(target: string): void {
  try {
    const handle = openSync(target, "r");
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  } catch (error) {
    throw explain(error, target);
  }
}

/** Renames; what `to` names before is replaced. The directory has to be synced for it to last. */
export function renameNow(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    throw explain(error, to);
  }
}

/** All regular files below a directory, as paths relative to it, sorted. */
export function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(directory, path.join(entry.parentPath, entry.name)))
    .sort();
}

/** Gives a directory with all files in it to an owner, closed to others. */
export function closeToOthers(directory: string, owner: Owner | undefined): void {
  for (const name of ["", ...filesBelow(directory)]) {
    const target = path.join(directory, name);
    if (owner) chownSync(target, owner.uid, owner.gid);
    chmodSync(target, name === "" ? 0o700 : 0o600);
  }
}
