import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  statSync,
  type Stats,
} from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { explain, isErrno } from "../errno.ts";
import { mayPass, mayRead, type Owner } from "../rights.ts";
import { changedByOthers, walk, type Changer, type Walked } from "./changers.ts";
import { DIRECTORY, isHeld, O_PATH, openAt, openRegular, statAt } from "./opening.ts";

/** Bytes of a small file, such as postmaster.pid: its writer could make it endless. */
const SMALL = 64 * 1024;

/**
 * A folder that another user may change while root works in it. It is held open, so that all is done in this folder, even
 * if its path leads elsewhere by now, and no link in it is followed.
 */
export class Folder {
  readonly path: string;
  /** To whom it belongs. */
  readonly owner: Owner;
  readonly mode: number;
  readonly #held: number | undefined;
  #closed = false;

  private constructor(named: string, held: number | undefined, stat: Stats) {
    this.path = named;
    this.#held = held;
    this.owner = { uid: stat.uid, gid: stat.gid };
    this.mode = stat.mode & 0o7777;
  }

  /**
   * Opens a folder by its path. Links on the way are followed where only root and the folder's owner may change where the
   * path leads: the owner could lead it to nothing but a folder of the owner's.
   * @returns undefined when there is no such folder
   * @throws OdooPgError state_dir_unusable, naming what another user may change
   */
  static open(named: string): Folder | undefined {
    return Folder.#openWhere(named, ({ changers }) => changers);
  }

  /**
   * Opens a folder as `open`, also where a third may put another one in its place: what lies there, and is reached by no
   * link of a third's, was put there by its owner or by root.
   * @returns undefined when there is no such folder
   * @throws OdooPgError state_dir_unusable, naming the third who may change a link on the way
   */
  static openThere(named: string): Folder | undefined {
    return Folder.#openWhere(named, ({ linkers }) => linkers);
  }

  static #openWhere(named: string, whoOf: (walked: Walked) => readonly Changer[]): Folder | undefined {
    if (!isHeld()) {
      const stat = statAt(named, () => statSync(named));
      return stat?.isDirectory() ? new Folder(named, undefined, stat) : undefined;
    }
    const walked = walk(path.resolve(named));
    const { held, stat } = walked;
    if (held === undefined || !stat) return undefined;
    const third = whoOf(walked).find(({ uid }) => uid !== 0 && uid !== stat.uid);
    if (!third) return new Folder(named, held, stat);
    closeSync(held);
    throw changedByOthers(named, third);
  }

  /** Of a folder that is open already; `close` closes it. */
  static ofHeld(named: string, held: number, stat: Stats): Folder {
    return new Folder(named, held, stat);
  }

  /** The path of an entry, valid as long as the folder is open. It names the entry, not what a link leads to. */
  at(name: string): string {
    if (name === "" || name === "." || name === ".." || name.includes("/"))
      throw new Error(`not the name of an entry: ${JSON.stringify(name)}`);
    return path.join(this.place, name);
  }

  /** The folder itself, as a path that is valid as long as it is open. */
  get place(): string {
    // The number may be another folder's by now.
    if (this.#closed) throw new Error(`${this.path} is closed`);
    return this.#held === undefined ? this.path : `/proc/self/fd/${this.#held}`;
  }

  /** A folder in this one; undefined where there is none, or a link. */
  into(name: string): Folder | undefined {
    const held = openAt(this.at(name), DIRECTORY | (isHeld() ? O_PATH : constants.O_RDONLY));
    if (held === undefined) return undefined;
    const stat = fstatSync(held);
    if (isHeld()) return new Folder(path.join(this.path, name), held, stat);
    closeSync(held);
    return new Folder(path.join(this.path, name), undefined, stat);
  }

  /** lstat(2) of an entry; undefined when there is none. */
  look(name: string): Stats | undefined {
    return statAt(path.join(this.path, name), () => lstatSync(this.at(name)));
  }

  /** Names of the entries, sorted. */
  names(): string[] {
    try {
      return readdirSync(this.place).sort();
    } catch (error) {
      throw explain(error, this.path);
    }
  }

  /**
   * Opens a regular file to read it: never a link, a pipe or a device, and as root only what the owner of the folder may
   * read.
   * @returns an open file, to be closed by the caller; undefined when there is no such file
   */
  openToRead(name: string): number | undefined {
    if (!isHeld()) return openRegular(this.at(name));
    const seen = this.see(name, this.owner);
    if (seen === undefined) return undefined;
    try {
      return openSync(`/proc/self/fd/${seen}`, constants.O_RDONLY);
    } catch (error) {
      throw explain(error, path.join(this.path, name));
    } finally {
      closeSync(seen);
    }
  }

  /**
   * Holds a regular file that a user may read, without opening it: opening a pipe or a device has effects.
   * Only where folders are held.
   * @returns what is held, to be closed by the caller, and to be read by `/proc/self/fd`; undefined when there is no such file
   */
  see(name: string, user: Owner): number | undefined {
    const seen = openAt(this.at(name), O_PATH | constants.O_NOFOLLOW);
    if (seen === undefined) return undefined;
    const stat = fstatSync(seen);
    if (stat.isFile() && mayRead(stat, user)) return seen;
    closeSync(seen);
    return undefined;
  }

  /** The text of a small file of the folder's owner; undefined when there is no such file. */
  readText(name: string, most = SMALL): string | undefined {
    const file = this.openToRead(name);
    if (file === undefined) return undefined;
    try {
      const buffer = Buffer.alloc(Math.min(most, fstatSync(file).size));
      let bytes = 0;
      for (let read = -1; read !== 0 && bytes < buffer.length; bytes += read)
        read = readSync(file, buffer, bytes, buffer.length - bytes, null);
      return buffer.toString("utf8", 0, bytes);
    } finally {
      closeSync(file);
    }
  }

  /** Makes a folder in this one, of this mode and owner. @throws Error with `code` EEXIST when something has the name */
  make(name: string, mode: number, owner: Owner | undefined): Folder {
    try {
      mkdirSync(this.at(name), { mode: 0o700 });
      const made = this.into(name);
      if (!made) throw new Error(`${path.join(this.path, name)} was put in the place of what was just made`);
      made.give(mode, owner);
      return made;
    } catch (error) {
      throw isErrno(error, "EEXIST") ? error : explain(error, path.join(this.path, name));
    }
  }

  /** Sets owner and mode of the folder itself, wherever its path leads. */
  give(mode: number, owner: Owner | undefined): void {
    const handle = openSync(this.place, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      if (owner) fchownSync(handle, owner.uid, owner.gid);
      fchmodSync(handle, mode);
    } finally {
      closeSync(handle);
    }
  }

  /**
   * Sets owner and mode of a regular file that belongs to `from` and has no second hard link; any other is left as it is.
   * Processes that have it open go on writing.
   */
  giveFile(name: string, from: Owner, to: Owner, mode: number): void {
    const file = openAt(this.at(name), constants.O_WRONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
    if (file === undefined) return;
    try {
      const stat = fstatSync(file);
      if (!stat.isFile() || stat.nlink !== 1 || stat.uid !== from.uid) return;
      fchownSync(file, to.uid, to.gid);
      fchmodSync(file, mode);
    } finally {
      closeSync(file);
    }
  }

  /** Renames an entry into another place; a file or an empty folder that is there is replaced. */
  rename(from: string, to: Folder, name: string): void {
    try {
      renameSync(this.at(from), to.at(name));
    } catch (error) {
      throw explain(error, path.join(to.path, name));
    }
  }

  /** Removes an entry with all that is in it. Links are removed, not followed. */
  async remove(name: string): Promise<void> {
    try {
      // Asynchronous, as removing a large file takes long.
      await fs.unlink(this.at(name));
      return;
    } catch (error) {
      if (isErrno(error, "ENOENT")) return;
      // unlink(2): EISDIR on Linux, EPERM elsewhere.
      if (!isErrno(error, "EISDIR", "EPERM")) throw explain(error, path.join(this.path, name));
    }
    const inner = this.into(name);
    if (inner) {
      try {
        // Closed even to its owner, as pg_tblspc of a replica is.
        if ((inner.mode & 0o200) === 0 && inner.owner.uid === process.getuid?.())
          inner.give(0o700, undefined);
        for (const entry of inner.names()) await inner.remove(entry);
      } finally {
        inner.close();
      }
    }
    try {
      await fs.rmdir(this.at(name));
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw explain(error, path.join(this.path, name));
    }
  }

  /** Makes the names in the folder durable: else a power cut may undo a rename. */
  sync(): void {
    const handle = openSync(this.place, constants.O_RDONLY | constants.O_DIRECTORY);
    try {
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
  }

  /** Whether the owner of a folder that this one lies in may enter it. */
  isOpenTo(owner: Owner): boolean {
    return !isHeld() || mayPass({ ...this.owner, mode: this.mode }, owner);
  }

  close(): void {
    if (this.#held !== undefined && !this.#closed) closeSync(this.#held);
    this.#closed = true;
  }
}

/** Opens a folder for the time of `use`; undefined when there is no such folder. @throws as `Folder.open` */
export async function inFolder<T>(
  named: string,
  use: (folder: Folder) => T | Promise<T>,
): Promise<T | undefined> {
  const folder = Folder.open(named);
  if (!folder) return undefined;
  try {
    return await use(folder);
  } finally {
    folder.close();
  }
}
