import { closeSync, constants, fstatSync, read as readAt } from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { promisify } from "node:util";
import { explain, isErrno } from "./errno.ts";
import type { Folder } from "./held/folder.ts";
import type { Owner } from "./rights.ts";

const readFrom = promisify(readAt);

/** An entry of a folder that another user may change: never what a link leads to. */
export interface Entry {
  readonly name: string;
  readonly kind: "file" | "folder" | "other";
  readonly bytes: number;
  /** Milliseconds since the epoch. */
  readonly modifiedAt: number;
  readonly inode: number;
}

/** What a folder holds, sorted by name, without what vanishes meanwhile. It may be many: nobody else waits for it. */
export async function entriesOf(folder: Folder): Promise<Entry[]> {
  const names = await fs.readdir(folder.place).catch((error: unknown) => {
    throw explain(error, folder.path);
  });
  const entries: Entry[] = [];
  for (const name of names.sort()) {
    const stat = await fs.lstat(folder.at(name)).catch(() => undefined);
    if (!stat) continue;
    const kind = stat.isFile() ? "file" : stat.isDirectory() ? "folder" : "other";
    entries.push({ name, kind, bytes: stat.size, modifiedAt: stat.mtimeMs, inode: stat.ino });
  }
  return entries;
}

/**
 * A piece of a regular file in a folder that another user may change; empty behind its end.
 * @param most bytes
 * @returns undefined where there is no such file
 */
export async function pieceIn(
  folder: Folder,
  name: string,
  offset: number,
  most: number,
): Promise<Buffer | undefined> {
  // Where folders are not held, what is opened may be what a link leads to.
  if (folder.look(name)?.isFile() !== true) return undefined;
  const file = folder.openToRead(name);
  if (file === undefined) return undefined;
  try {
    const bytes = Math.max(0, Math.min(most, fstatSync(file).size - offset));
    const buffer = Buffer.alloc(bytes);
    let filled = 0;
    while (filled < bytes) {
      const { bytesRead } = await readFrom(file, buffer, filled, bytes - filled, offset + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return buffer.subarray(0, filled);
  } catch (error) {
    throw explain(error, path.join(folder.path, name));
  } finally {
    closeSync(file);
  }
}

/** A file that grows at its end, in a folder that another user may change. */
export class GrowingFile {
  readonly #handle: fs.FileHandle;
  readonly #named: string;
  #bytes: number;

  private constructor(handle: fs.FileHandle, named: string, bytes: number) {
    this.#handle = handle;
    this.#named = named;
    this.#bytes = bytes;
  }

  /**
   * Goes on with a file, where there is one that has but this name, and makes it where there is none.
   * @param owner whose it becomes; undefined: this user's
   */
  static async open(
    folder: Folder,
    name: string,
    mode: number,
    owner: Owner | undefined,
  ): Promise<GrowingFile> {
    const named = path.join(folder.path, name);
    try {
      const found = await goOn(folder.at(name));
      if (found && found.bytes === undefined) await found.handle.close();
      if (found?.bytes !== undefined) return new GrowingFile(found.handle, named, found.bytes);
      if (found || folder.look(name)) await folder.remove(name);
      const flags = constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY | constants.O_NOFOLLOW;
      const handle = await fs.open(folder.at(name), flags, 0o600);
      try {
        if (owner) await handle.chown(owner.uid, owner.gid);
        await handle.chmod(mode);
      } catch (error) {
        await handle.close();
        throw error;
      }
      return new GrowingFile(handle, named, 0);
    } catch (error) {
      throw explain(error, named);
    }
  }

  get bytes(): number {
    return this.#bytes;
  }

  async append(piece: Uint8Array): Promise<void> {
    try {
      let written = 0;
      while (written < piece.length) {
        const at = this.#bytes + written;
        written += (await this.#handle.write(piece, written, piece.length - written, at)).bytesWritten;
      }
      this.#bytes += piece.length;
    } catch (error) {
      throw explain(error, this.#named);
    }
  }

  /** Begins again: what is in it is of no use. */
  async clear(): Promise<void> {
    await this.#handle.truncate(0);
    this.#bytes = 0;
  }

  /** Makes it durable. @param modifiedAt milliseconds since the epoch: when it is said to have been written */
  async complete(modifiedAt: number): Promise<void> {
    try {
      await this.#handle.utimes(modifiedAt / 1000, modifiedAt / 1000);
      await this.#handle.sync();
    } catch (error) {
      throw explain(error, this.#named);
    }
  }

  async close(): Promise<void> {
    await this.#handle.close();
  }
}

/** Opens a file that is there; without bytes where it is none to go on with. */
async function goOn(
  place: string,
): Promise<{ handle: fs.FileHandle; bytes: number | undefined } | undefined> {
  try {
    const flags = constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const handle = await fs.open(place, flags);
    const stat = await handle.stat();
    return { handle, bytes: stat.isFile() && stat.nlink === 1 ? stat.size : undefined };
  } catch (error) {
    // A link, or a pipe that nobody reads.
    if (isErrno(error, "ENOENT", "ELOOP", "ENXIO", "EISDIR")) return undefined;
    throw error;
  }
}

/** Renames an entry into another folder, as `Folder.rename`; no other part of the program waits for the disk. */
export async function renameEntry(from: Folder, name: string, to: Folder, as: string): Promise<void> {
  try {
    await fs.rename(from.at(name), to.at(as));
  } catch (error) {
    throw explain(error, path.join(to.path, as));
  }
}

/** Makes durable what a folder lists, in the same way. */
export async function syncFolder(folder: Folder): Promise<void> {
  const handle = await fs.open(folder.place, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
