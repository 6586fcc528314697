import { constants } from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { explain, isErrno } from "./errno.ts";
import type { Owner } from "./rights.ts";

export { explain, isErrno } from "./errno.ts";
export type { Owner } from "./rights.ts";

async function explained<T>(target: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw explain(error, target);
  }
}

/** The text of a file, or undefined when there is none. */
export async function readTextIfAny(file: string): Promise<string | undefined> {
  return await explained(file, async () => {
    try {
      return await fs.readFile(file, "utf8");
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  });
}

/** The last `bytes` bytes of a file as text; empty when there is none. */
export async function readTail(file: string, bytes: number): Promise<string> {
  const handle = await fs.open(file, "r").catch(() => undefined);
  if (!handle) return "";
  try {
    const { size } = await handle.stat();
    const start = Math.max(0, size - bytes);
    const buffer = Buffer.alloc(size - start);
    await handle.read(buffer, 0, buffer.length, start);
    return buffer.toString("utf8");
  } finally {
    await handle.close();
  }
}

/** Reads what a file holds from byte `offset` on, and the offset after it. A file that shrank is read from its start. */
export async function readFrom(file: string, offset: number): Promise<{ text: string; offset: number }> {
  const handle = await fs.open(file, "r").catch(() => undefined);
  if (!handle) return { text: "", offset: 0 };
  try {
    const { size } = await handle.stat();
    // A log that was truncated is shorter than what was read of it; "from the end" asks for more than any file has.
    const start = offset >= Number.MAX_SAFE_INTEGER - 1 ? size : size < offset ? 0 : offset;
    const buffer = Buffer.alloc(size - start);
    await handle.read(buffer, 0, buffer.length, start);
    return { text: buffer.toString("utf8"), offset: size };
  } finally {
    await handle.close();
  }
}

export interface WriteOptions {
  /** Permission bits; default 0600. */
  readonly mode?: number;
  readonly owner?: Owner | undefined;
}

/** Makes what a directory lists durable: without it a rename may be undone by a power cut. */
async function syncDirectory(directory: string): Promise<void> {
  const handle = await fs.open(directory, constants.O_RDONLY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes names of temporary files of this process different: the same file may be written twice at once. */
let written = 0;

/** Writes a whole file or nothing: temporary name, fsync, rename, fsync of the directory. */
export async function writeFileAtomic(file: string, text: string, options: WriteOptions = {}): Promise<void> {
  await explained(file, async () => {
    written += 1;
    const temporary = `${file}.${process.pid}.${written}.tmp`;
    // Left by a process that was killed and had the same id.
    await fs.rm(temporary, { force: true });
    const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
    const handle = await fs.open(temporary, flags, options.mode ?? 0o600);
    try {
      try {
        if (options.owner) await handle.chown(options.owner.uid, options.owner.gid);
        await handle.chmod(options.mode ?? 0o600);
        await handle.writeFile(text);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await fs.rename(temporary, file);
    } catch (error) {
      await fs.rm(temporary, { force: true });
      throw error;
    }
    await syncDirectory(path.dirname(file));
  });
}

/** Writes the file only when its text differs; says whether it did. */
export async function writeFileIfChanged(
  file: string,
  text: string,
  options: WriteOptions = {},
): Promise<boolean> {
  if ((await readTextIfAny(file)) === text) return false;
  await writeFileAtomic(file, text, options);
  return true;
}

/** Creates the file, or fails with false when it exists: the basis of a lock. */
export async function createExclusive(file: string, text: string): Promise<boolean> {
  written += 1;
  const own = `${file}.${process.pid}.${written}.new`;
  await writeFileAtomic(own, text);
  try {
    await fs.link(own, file);
    return true;
  } catch (error) {
    if (isErrno(error, "EEXIST")) return false;
    throw explain(error, file);
  } finally {
    await fs.rm(own, { force: true });
  }
}

/** Writes a new file of mode 0600 from pieces, as they come. */
export async function writeStream(file: string, pieces: AsyncIterable<Buffer>): Promise<void> {
  await explained(file, async () => {
    const handle = await fs.open(file, "wx", 0o600);
    try {
      for await (const piece of pieces) await handle.writeFile(piece);
    } finally {
      await handle.close();
    }
  });
}

/** Makes a directory with all its parents (0755 for the parents), the last with the given mode and owner. */
export async function ensureDirectory(directory: string, options: WriteOptions = {}): Promise<void> {
  await explained(directory, async () => {
    await fs.mkdir(directory, { recursive: true, mode: 0o755 });
    const handle = await fs.open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      if (options.owner) await handle.chown(options.owner.uid, options.owner.gid);
      await handle.chmod(options.mode ?? 0o700);
    } finally {
      await handle.close();
    }
  });
}

/** A directory that only this user changes, and that another one may look into. Without the other it is ours alone. */
export function passableFor(other: Owner | undefined): WriteOptions {
  return other ? { mode: 0o750, owner: groupOf(other) } : { mode: 0o700 };
}

/** A file that this user writes and another one may read. Without a reader it is ours alone. */
export function readableBy(reader: Owner | undefined): WriteOptions {
  return reader ? { mode: 0o640, owner: groupOf(reader) } : { mode: 0o600 };
}

/** Ours, with another user's group. */
function groupOf(other: Owner): Owner {
  return { uid: process.geteuid?.() ?? 0, gid: other.gid };
}

/** Gives a file that this user has just written, in a directory that only this user changes, an owner and a mode. */
export async function giveFile(file: string, options: WriteOptions): Promise<void> {
  await explained(file, async () => {
    const handle = await fs.open(file, constants.O_RDONLY | constants.O_NOFOLLOW);
    try {
      if (options.owner) await handle.chown(options.owner.uid, options.owner.gid);
      await handle.chmod(options.mode ?? 0o600);
    } finally {
      await handle.close();
    }
  });
}

export type Kind = "file" | "directory" | "other" | undefined;

/** What lies at a path; undefined when nothing does. */
export async function kindOf(target: string): Promise<Kind> {
  return await explained(target, async () => {
    try {
      const stat = await fs.stat(target);
      return stat.isFile() ? "file" : stat.isDirectory() ? "directory" : "other";
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  });
}

export async function ownerOf(target: string): Promise<Owner | undefined> {
  const stat = await fs.stat(target).catch(() => undefined);
  return stat && { uid: stat.uid, gid: stat.gid };
}

/** Owner and permission bits of a file; undefined when it is not there. */
export async function permissionsOf(target: string): Promise<{ owner: Owner; mode: number } | undefined> {
  const stat = await fs.stat(target).catch(() => undefined);
  return stat && { owner: { uid: stat.uid, gid: stat.gid }, mode: stat.mode & 0o7777 };
}

/** Whether root may act by what a file says: only root could have written it. Another user acts with own rights anyway. */
export async function isBelievable(file: string): Promise<boolean> {
  if (process.geteuid?.() !== 0) return true;
  const stat = await fs.lstat(file).catch(() => undefined);
  return stat === undefined || (stat.uid === 0 && (stat.mode & 0o022) === 0);
}

/** Milliseconds since the epoch at which the file was last written; undefined when it is not there. */
export async function modifiedAt(target: string): Promise<number | undefined> {
  return (await fs.stat(target).catch(() => undefined))?.mtimeMs;
}

/** Names in a directory, sorted; none when it is absent. */
export async function namesIn(directory: string): Promise<string[]> {
  return await explained(directory, async () => {
    try {
      return (await fs.readdir(directory)).sort();
    } catch (error) {
      if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
      throw error;
    }
  });
}

/** Renames and makes the rename durable. */
export async function move(from: string, to: string): Promise<void> {
  await explained(from, async () => {
    await fs.rename(from, to);
    await syncDirectory(path.dirname(to));
    if (path.dirname(from) !== path.dirname(to)) await syncDirectory(path.dirname(from));
  });
}

export async function removeFile(file: string): Promise<void> {
  await explained(file, async () => await fs.rm(file, { force: true }));
}

/** Removes a directory with all that is in it. Callers must have proven that it is theirs. */
export async function removeTree(directory: string): Promise<void> {
  await explained(
    directory,
    async () => await fs.rm(directory, { recursive: true, force: true, maxRetries: 3 }),
  );
}

export interface DiskSpace {
  readonly totalBytes: number;
  /** Bytes that an unprivileged process may still use. */
  readonly freeBytes: number;
}

/** The disk on which a path, or its nearest existing parent, lies. */
export async function diskSpace(target: string): Promise<DiskSpace> {
  let place = target;
  while ((await kindOf(place)) === undefined && place !== path.dirname(place)) place = path.dirname(place);
  const stat = await fs.statfs(place);
  return { totalBytes: stat.blocks * stat.bsize, freeBytes: stat.bavail * stat.bsize };
}

/** The file system that a path lies on; undefined when nothing is there. */
export async function deviceOf(target: string): Promise<number | undefined> {
  return (await fs.stat(target).catch(() => undefined))?.dev;
}

/** Bytes of a file; 0 when there is none. */
export async function fileBytes(file: string): Promise<number> {
  return (await fs.stat(file).catch(() => undefined))?.size ?? 0;
}

/** Bytes that all files below a directory use; files that vanish meanwhile count nothing. */
export async function treeBytes(directory: string): Promise<number> {
  let total = 0;
  for (const entry of await fs.readdir(directory, { withFileTypes: true }).catch(() => [])) {
    const full = path.join(directory, entry.name);
    if (entry.isDirectory()) total += await treeBytes(full);
    else total += (await fs.lstat(full).catch(() => undefined))?.size ?? 0;
  }
  return total;
}

/** The path with symbolic links resolved, or undefined when it is not there. */
export async function realPath(target: string): Promise<string | undefined> {
  return await fs.realpath(target).catch(() => undefined);
}

/** Whether the path is a program that may be run. */
export async function isExecutable(file: string): Promise<boolean> {
  return await fs.access(file, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Whether something is mounted on this directory. Two volumes may lie on one disk, so that the devices say too little:
 * where the system lists its mounts, the list says (proc(5), mountinfo: the fifth field, blanks as \040).
 */
export async function isMountPoint(directory: string): Promise<boolean> {
  const mounts = await fs.readFile("/proc/self/mountinfo", "utf8").catch(() => undefined);
  if (mounts !== undefined) {
    const place = (await fs.realpath(directory)).replaceAll(" ", "\\040");
    return mounts.split("\n").some((line) => line.split(" ")[4] === place);
  }
  const [own, parent] = await Promise.all([fs.stat(directory), fs.stat(path.dirname(directory))]);
  return own.dev !== parent.dev;
}

/** Whether this process may read a file or folder: also where it is not there. */
export async function isReadable(target: string): Promise<boolean> {
  return await fs.access(target, constants.R_OK).then(
    () => true,
    (error: unknown) => !isErrno(error, "EACCES", "EPERM"),
  );
}

/** Whether this process may write to a file, or make files in a directory. */
export async function isWritable(target: string): Promise<boolean> {
  return await fs.access(target, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** What a link says, as it stands there; undefined for what is no link. */
export async function linkTarget(link: string): Promise<string | undefined> {
  return await fs.readlink(link).catch(() => undefined);
}

/** Removes a link, not what it leads to. What is no link is left as it is. */
export async function removeLink(link: string): Promise<void> {
  await explained(link, async () => {
    if ((await fs.lstat(link).catch(() => undefined))?.isSymbolicLink()) await fs.rm(link);
  });
}

/** A link that leads to `target`, in place of one that led elsewhere. What is no link is left as it is. */
export async function leadLink(link: string, target: string): Promise<void> {
  await explained(link, async () => {
    const present = await fs.lstat(link).catch(() => undefined);
    if (present && !present.isSymbolicLink()) return;
    if (present && (await fs.readlink(link)) === target) return;
    await fs.rm(link, { force: true });
    await fs.symlink(target, link);
  });
}
