import { closeSync, constants, fstatSync, read, readlinkSync, realpathSync } from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { explain, isErrno } from "./errno.ts";
import { diskSpace, fileBytes, writeStream } from "./files.ts";
import type { ArchivedFile } from "./tar.ts";
import { isRootsAlone } from "./held/changers.ts";
import { Folder } from "./held/folder.ts";
import { isHeld } from "./held/opening.ts";
import { mayRead } from "./rights.ts";

/**
 * Whether root reads a folder here in which, or in whose place, somebody else may put another file, another folder or a
 * link at any time.
 */
export function isOthers(folder: string): boolean {
  return isHeld() && !isRootsAlone(folder);
}

export interface NotCopied {
  readonly name: string;
  /** Else it is not regular, or not the folder's owner's to read. */
  readonly isLink: boolean;
}

/** Links that are followed in root's own folders. */
const MOST_LINKS = 40;

/**
 * Where root reads a file in whose place somebody else may put another one, or a link: it is held as it lies there now, for as
 * long as this program runs, and the path leads to it, for programs that this one starts too. In folders that are root's
 * alone links are followed, and the file itself is named.
 * @returns what is not read: a link, or what the folder's owner may not read and has other names
 * @throws OdooPgError state_dir_unusable as `Folder.openThere`
 */
export function heldPlace(named: string): string | NotCopied {
  let file = path.resolve(named);
  if (!isHeld()) return file;
  for (let links = 0; links < MOST_LINKS; links += 1) {
    const folder = Folder.openThere(path.dirname(file));
    try {
      const name = path.basename(file);
      if (folder === undefined) return { name: file, isLink: false };
      const isLink = folder.look(name)?.isSymbolicLink() === true;
      if (isOthers(folder.path)) return held(folder, name) ?? { name: file, isLink };
      if (!isLink) return file;
      file = path.resolve(realpathSync(path.dirname(file)), readlinkSync(folder.at(name)));
    } finally {
      folder?.close();
    }
  }
  return { name: file, isLink: true };
}

function held(folder: Folder, name: string): string | undefined {
  const file = folder.see(name, ROOT);
  if (file === undefined) return undefined;
  const stat = fstatSync(file);
  // A second name could be one that somebody gave to a file of root's.
  const isTheirs = folder.owner.uid === 0 ? (folder.mode & 0o022) === 0 : mayRead(stat, folder.owner);
  if (isTheirs || stat.nlink === 1) return `/proc/${process.pid}/fd/${file}`;
  closeSync(file);
  return undefined;
}

const ROOT = { uid: 0, gid: 0 };

/** Bytes that stay free where a copy is made: a sparse file is small until it is copied. */
const STAYS_FREE = 256 * 1024 * 1024;

/** What is thrown where a file cannot be copied as it was when it was opened, by the file's name. */
interface NotAsItWas {
  /** It has more bytes than there is room for. */
  readonly noRoom: (name: string) => Error;
  /** It has other bytes than it had, so room was not looked for as many. */
  readonly changed: (name: string) => Error;
}

/**
 * Copies files of a folder that another user may change: regular ones that the owner of the folder may read, and never
 * what a link leads to, nor more bytes than a file had when it was opened.
 * @param isWanted by the name
 * @returns those that are wanted and cannot be copied
 * @throws OdooPgError state_dir_unusable as `Folder.openThere`
 */
export async function copyOfOthers(
  named: string,
  to: string,
  isWanted: (name: string) => boolean,
  { noRoom, changed }: NotAsItWas,
): Promise<readonly NotCopied[]> {
  const left: NotCopied[] = [];
  const folder = Folder.openThere(named);
  try {
    for (const name of folder?.names().filter(isWanted) ?? []) {
      const file = folder?.openToRead(name);
      if (folder === undefined || file === undefined) {
        left.push({ name, isLink: folder?.look(name)?.isSymbolicLink() === true });
        continue;
      }
      try {
        const { size, nlink } = fstatSync(file);
        // Who may write to root's own folder could have given a file of root's a second name there.
        if (folder.owner.uid === 0 && (folder.mode & 0o022) !== 0 && nlink !== 1) {
          left.push({ name, isLink: false });
          continue;
        }
        if (size + STAYS_FREE > (await diskSpace(to)).freeBytes) throw noRoom(name);
        if (!(await copyOfSize(file, path.join(to, name), size))) throw changed(name);
      } finally {
        closeSync(file);
      }
    }
  } finally {
    folder?.close();
  }
  return left;
}

/** Copies that many bytes of an open file. @returns whether it has just those */
async function copyOfSize(file: number, to: string, size: number): Promise<boolean> {
  try {
    // A copy that shares blocks needs no room, however large the file has become.
    const how = constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE_FORCE;
    await fs.copyFile(`/proc/self/fd/${file}`, to, how);
  } catch (error) {
    if (!isErrno(error, "ENOTSUP", "EOPNOTSUPP", "EXDEV", "EINVAL", "ENOSYS", "ENOTTY"))
      throw explain(error, to);
    await writeStream(to, contentOf(file, size));
  }
  return (await fileBytes(to)) === size && fstatSync(file).size === size;
}

/** Folders inside one another that are looked at. */
const DEPTH = 32;

/**
 * The regular files below a folder that another user may change, one after the other, as of an archive: links are passed
 * over, and as root so is what the owner of its folder may not read.
 * @throws OdooPgError state_dir_unusable as `Folder.openThere`
 */
export async function* filesOfOthers(named: string): AsyncGenerator<ArchivedFile> {
  const folder = Folder.openThere(named);
  try {
    if (folder) yield* filesIn(folder, "", DEPTH);
  } finally {
    folder?.close();
  }
}

async function* filesIn(folder: Folder, before: string, depth: number): AsyncGenerator<ArchivedFile> {
  for (const name of folder.names()) {
    const seen = folder.look(name);
    if (seen?.isDirectory() === true && depth > 0) {
      const inner = folder.into(name);
      try {
        if (inner) yield* filesIn(inner, `${before}${name}/`, depth - 1);
      } finally {
        inner?.close();
      }
    }
    const file = seen?.isFile() === true ? folder.openToRead(name) : undefined;
    if (file === undefined) continue;
    try {
      const { size } = fstatSync(file);
      yield { name: `${before}${name}`, bytes: size, content: () => contentOf(file, size) };
    } finally {
      closeSync(file);
    }
  }
}

/** Bytes that are read at once. */
const CHUNK = 256 * 1024;

const readAt = promisify(read);

/**
 * At most that many bytes of an open file: its owner could go on writing for as long as it is read. Nothing is read ahead:
 * the file is closed once the reader goes on.
 */
async function* contentOf(file: number, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < size;) {
    const length = Math.min(CHUNK, size - at);
    const { bytesRead, buffer } = await readAt(file, Buffer.allocUnsafe(length), 0, length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

/**
 * What a file holds that lies in a folder within one that another user may change, as `Folder.openToRead` opens it.
 * @param size bytes that it must have: of another nothing is read
 * @throws Error where there is no such file
 */
export async function* contentWithin(
  folder: Folder,
  inner: string,
  name: string,
  size: number,
): AsyncGenerator<Buffer> {
  const within = folder.into(inner);
  const file = within?.openToRead(name);
  within?.close();
  if (file === undefined) throw new Error(`${path.join(folder.path, inner, name)} is no file`);
  try {
    const found = fstatSync(file).size;
    if (found !== size)
      throw new Error(`${path.join(folder.path, inner, name)} has ${found} bytes, not ${size}`);
    yield* contentOf(file, size);
  } finally {
    closeSync(file);
  }
}

/** Files of a folder that is root's alone and that are no regular files. */
export function irregularIn(named: string, isWanted: (name: string) => boolean): readonly NotCopied[] {
  const folder = Folder.openThere(named);
  try {
    return (folder?.names().filter(isWanted) ?? []).flatMap((name) => {
      const seen = folder?.look(name);
      return seen === undefined || seen.isFile() ? [] : [{ name, isLink: seen.isSymbolicLink() }];
    });
  } finally {
    folder?.close();
  }
}
