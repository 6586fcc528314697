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
  readlinkSync,
  readSync,
  renameSync,
  statSync,
  type Stats,
} from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { explain, isErrno } from "./errno.ts";
import { writeFileAtomic } from "./files.ts";
import { isOfGroup, mayPass, mayRead, type Owner } from "./rights.ts";

/** open(2): the place alone, nothing is read and no device is touched. Linux; Node.js has no name for it. */
const O_PATH = 0o10000000;
const DIRECTORY = constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Whether a folder has to be held: root has every right, so nothing else keeps a link from leading it astray. What an
 * ordinary user does by a link, the system allows or refuses with the user's own rights. Elsewhere than on Linux there
 * is no way to name what lies in a folder that is held; there paths are used.
 */
export function isHeld(): boolean {
  return process.platform === "linux" && process.geteuid?.() === 0;
}

/** Links in one path. */
const MOST_LINKS = 40;

/** Bytes of a small file, such as postmaster.pid: its writer could make it endless. */
const SMALL = 64 * 1024;

/**
 * A folder that another user may change while root works in it. It is held open: what is done in it is done there,
 * wherever its path leads by now, and no link in it is followed.
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
   * Opens a folder by its path. Links on the way are followed where nobody but root and the owner of the folder may
   * change where the path leads: what the owner could change, leads to what is the owner's anyway.
   * @returns undefined when there is no such folder
   * @throws OdooPgError state_dir_unusable, naming what a third may change
   */
  static open(named: string): Folder | undefined {
    if (!isHeld()) {
      const stat = statAt(named, () => statSync(named));
      return stat?.isDirectory() ? new Folder(named, undefined, stat) : undefined;
    }
    const { changers, held, stat } = walk(path.resolve(named));
    if (held === undefined || !stat) return undefined;
    const third = changers.find(({ uid }) => uid !== 0 && uid !== stat.uid);
    if (!third) return new Folder(named, held, stat);
    closeSync(held);
    throw changedByOthers(named, third);
  }

  /** One that was opened before, and is closed with this. */
  static ofHeld(named: string, held: number, stat: Stats): Folder {
    return new Folder(named, held, stat);
  }

  /** What lies in the folder, as a path that is valid as long as the folder is open. It must not lead through a link. */
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

  /** What an entry is, not what a link leads to; undefined when there is none. */
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
   * Holds a regular file that a user may read, without opening it: opening alone does something to a pipe or a device.
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

  /** Makes a folder in this one, and gives it away. @throws Error with `code` EEXIST when something has the name */
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

  /** Gives the folder an owner and a mode: itself, not what lies at its path. */
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
   * Gives away a file that has but this one name and belongs to whom it is thought to belong. Its content is not looked
   * at: a process that has it open goes on writing.
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
      // A large file takes its time.
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
        // Its owner may have closed it to himself, as pg_tblspc of a replica is.
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

  /** Makes durable what the folder lists: without it a rename may be undone by a power cut. */
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

/** The text of a small file in a folder that another user may change; undefined when there is no such file. */
export async function readTextOfOthers(file: string): Promise<string | undefined> {
  return await inFolder(path.dirname(file), (folder) => folder.readText(path.basename(file)));
}

/** Reads a small file as `readTextOfOthers`, from the end: at most `bytes`. Empty when there is none. */
export async function tailOfOthers(file: string, bytes: number): Promise<string> {
  return (await pieceOfOthers(file, (size) => Math.max(0, size - bytes), bytes))?.text ?? "";
}

/** Bytes of a log that are read at once. */
const PIECE = 1024 * 1024;

/**
 * Reads what a file of another user holds from a byte on, in pieces, and the offset after it. A file that shrank is read
 * from its start. An offset beyond every file asks for its end.
 */
export async function readOnOfOthers(
  file: string,
  offset: number,
): Promise<{ text: string; offset: number }> {
  const start = (size: number): number =>
    offset >= Number.MAX_SAFE_INTEGER - 1 ? size : size < offset ? 0 : offset;
  return (await pieceOfOthers(file, start, PIECE)) ?? { text: "", offset: 0 };
}

async function pieceOfOthers(
  file: string,
  startOf: (size: number) => number,
  most: number,
): Promise<{ text: string; offset: number } | undefined> {
  return await inFolder(path.dirname(file), (folder) => {
    const handle = folder.openToRead(path.basename(file));
    if (handle === undefined) return undefined;
    try {
      const { size } = fstatSync(handle);
      const start = startOf(size);
      const buffer = Buffer.alloc(Math.min(most, size - start));
      const read = readSync(handle, buffer, 0, buffer.length, start);
      return { text: buffer.toString("utf8", 0, read), offset: start + read };
    } finally {
      closeSync(handle);
    }
  });
}

/** Renames what lies in a folder that another user may change, and makes that durable. @throws Error ENOENT */
export async function renameIn(from: string, to: string): Promise<void> {
  await inPresentFolder(path.dirname(from), async (source) => {
    await inPresentFolder(path.dirname(to), (target) => {
      source.rename(path.basename(from), target, path.basename(to));
      target.sync();
      if (path.dirname(from) !== path.dirname(to)) source.sync();
    });
  });
}

/** Makes a folder with all its parents (0755, of this user); what is there already is left as it is. */
export async function makeFolder(named: string, mode: number, owner: Owner | undefined): Promise<void> {
  const parent = path.dirname(named);
  if (statAt(parent, () => statSync(parent)) === undefined) await makeFolder(parent, 0o755, undefined);
  await inPresentFolder(parent, (folder) => {
    try {
      folder.make(path.basename(named), mode, owner).close();
    } catch (error) {
      if (!isErrno(error, "EEXIST")) throw error;
    }
  });
}

/** Writes a whole file or nothing into a folder that another user may change. */
export async function writeIn(file: string, text: string): Promise<void> {
  await inPresentFolder(
    path.dirname(file),
    async (folder) => await writeFileAtomic(folder.at(path.basename(file)), text),
  );
}

/** Makes a folder ours, with the folders in it two levels deep, where it belongs to another user. Files stay as they are. */
export async function takeFolders(named: string, from: Owner): Promise<void> {
  await inFolder(named, (folder) => {
    if (folder.owner.uid === from.uid) takeIn(folder, 2);
  });
}

function takeIn(folder: Folder, depth: number): void {
  folder.give(0o700, { uid: process.geteuid?.() ?? 0, gid: process.getegid?.() ?? 0 });
  if (depth === 0) return;
  for (const name of folder.names()) {
    const inner = folder.into(name);
    if (!inner) continue;
    try {
      takeIn(inner, depth - 1);
    } finally {
      inner.close();
    }
  }
}

/** Removes what lies in a folder that another user may change, with all that is in it. */
export async function removeIn(named: string): Promise<void> {
  await inFolder(path.dirname(named), async (folder) => await folder.remove(path.basename(named)));
}

/** Bytes of all files below a folder that another user may change; files that vanish meanwhile count nothing. */
export async function bytesBelow(named: string): Promise<number> {
  return (await inFolder(named, bytesIn).catch(() => 0)) ?? 0;
}

async function bytesIn(folder: Folder): Promise<number> {
  let total = 0;
  for (const entry of await fs.readdir(folder.place, { withFileTypes: true }).catch(() => [])) {
    if (!entry.isDirectory()) {
      total += (await fs.lstat(folder.at(entry.name)).catch(() => undefined))?.size ?? 0;
      continue;
    }
    const inner = folder.into(entry.name);
    if (!inner) continue;
    try {
      total += await bytesIn(inner);
    } finally {
      inner.close();
    }
  }
  return total;
}

async function inPresentFolder<T>(named: string, use: (folder: Folder) => T | Promise<T>): Promise<T> {
  const folder = Folder.open(named);
  if (!folder) throw Object.assign(new Error(`there is no folder ${named}`), { code: "ENOENT" });
  try {
    return await use(folder);
  } finally {
    folder.close();
  }
}

function statAt(named: string, look: () => Stats): Stats | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP")) return undefined;
    throw explain(error, named);
  }
}

/** Undefined when there is nothing of that kind: no entry, a link, no folder. */
function openAt(place: string, flags: number): number | undefined {
  try {
    return openSync(place, flags);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")) return undefined;
    throw explain(error, place);
  }
}

function openRegular(file: string): number | undefined {
  const handle = openAt(file, constants.O_RDONLY | constants.O_NONBLOCK);
  if (handle === undefined || fstatSync(handle).isFile()) return handle;
  closeSync(handle);
  return undefined;
}

/** What a path leads to, and who may change that. */
interface Walked {
  readonly changers: readonly Changer[];
  /** Of a folder, held open. */
  readonly held?: number;
  readonly stat?: Stats;
  /** Of anything else. */
  readonly file?: Stats;
}

/** The users who may change where a path leads, and by which part of it. */
interface Changer {
  /** Undefined: every user. */
  readonly uid: number | undefined;
  readonly at: string;
}

/**
 * Holds a path against users who must not decide where it leads, such as that of a file that root believes.
 * @param named what is there need not be all of it
 * @throws OdooPgError state_dir_unusable, naming what one of them, or every user, may change
 */
export function refuseChangesBy(named: string, users: readonly Owner[]): void {
  if (!isHeld()) return;
  const walked = walk(path.resolve(named));
  if (walked.held !== undefined) closeSync(walked.held);
  const uids = new Set(users.map(({ uid }) => uid));
  const { file } = walked;
  const ofFile = file ? [{ uid: file.uid, at: named }, ...writersOf(file, named, users)] : [];
  const changer = [...walked.changers, ...ofFile].find(({ uid }) => uid === undefined || uids.has(uid));
  if (changer) throw changedByOthers(named, changer);
}

/**
 * Who besides these users decides where a path leads or what lies there, folders and files in it included: in words, as an
 * end of a sentence. A link in it, or what is no file, is as good as somebody else's. Where this program is not root, the
 * way to the folder is not looked at: it is taken with this user's own rights.
 * @returns undefined where no other user does
 * @throws OdooPgError state_dir_unusable for a folder that may not be read
 */
export function whoElseChanges(named: string, uids: readonly number[]): string | undefined {
  const isOther = ({ uid }: Changer): boolean => uid === undefined || !uids.includes(uid);
  if (!isHeld()) {
    const folder = Folder.open(named);
    return folder ? changeIn(folder, isOther) : `${named} is no folder`;
  }
  const { changers, held, stat } = walk(path.resolve(named));
  if (held === undefined || !stat) return `${named} is no folder`;
  const folder = Folder.ofHeld(named, held, stat);
  try {
    const other = changers.find(isOther);
    return other ? whoChanges(other) : changeIn(folder, isOther);
  } finally {
    folder.close();
  }
}

function changeIn(folder: Folder, isOther: (changer: Changer) => boolean): string | undefined {
  const mine = { uid: folder.mode & 0o002 ? undefined : folder.owner.uid, at: folder.path };
  if (isOther(mine)) return whoChanges(mine);
  for (const name of folder.names()) {
    const at = path.join(folder.path, name);
    const stat = folder.look(name);
    const inner = stat?.isDirectory() ? folder.into(name) : undefined;
    if (inner) {
      try {
        const change = changeIn(inner, isOther);
        if (change !== undefined) return change;
      } finally {
        inner.close();
      }
    } else if (!stat?.isFile()) return `${at} is neither a file nor a folder`;
    else {
      const changer = { uid: stat.mode & 0o002 ? undefined : stat.uid, at };
      if (isOther(changer)) return whoChanges(changer);
    }
  }
  return undefined;
}

/** The users who may write to a file besides its owner: all, or those of the users that are in its group. */
function writersOf({ mode, gid }: Stats, at: string, users: readonly Owner[]): Changer[] {
  if (mode & 0o002) return [{ uid: undefined, at }];
  if (!(mode & 0o020)) return [];
  return users.filter((user) => isOfGroup(user, gid)).map(({ uid }) => ({ uid, at }));
}

/** Follows a path from the root on, each part of it by what is held of the part before. */
function walk(named: string): Walked {
  const parts = named.split("/").filter((part) => part !== "");
  const changers: Changer[] = [];
  let links = 0;
  let held = openSync("/", O_PATH | constants.O_DIRECTORY);
  let at = "/";
  const enter = (next: number, place: string): void => {
    closeSync(held);
    [held, at] = [next, place];
  };
  try {
    for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
      const entry = `/proc/self/fd/${held}/${part}`;
      const stat = statAt(entry, () => lstatSync(entry));
      changers.push(...changersOf(fstatSync(held), stat, at));
      if (!stat) return { changers };
      if (stat.isSymbolicLink()) {
        if (++links > MOST_LINKS) return { changers };
        changers.push({ uid: stat.uid, at: path.join(at, part) });
        const target = readlinkSync(entry);
        parts.unshift(...target.split("/").filter((piece) => piece !== "" && piece !== "."));
        if (target.startsWith("/")) enter(openSync("/", O_PATH | constants.O_DIRECTORY), "/");
        continue;
      }
      const next = openAt(entry, O_PATH | DIRECTORY);
      if (next === undefined) return { changers, file: stat };
      enter(next, path.join(at, part));
    }
    const result = { changers, held, stat: fstatSync(held) };
    held = -1;
    return result;
  } finally {
    if (held >= 0) closeSync(held);
  }
}

/** Who may put something else in the place of an entry. Groups to which root or an owner gave a folder are trusted. */
function changersOf(folder: Stats, entry: Stats | undefined, at: string): Changer[] {
  const owner = { uid: folder.uid, at };
  if (!(folder.mode & 0o002)) return [owner];
  // In a folder such as /tmp an entry is its owner's.
  return folder.mode & 0o1000 && entry ? [owner, { uid: entry.uid, at }] : [owner, { uid: undefined, at }];
}

function whoChanges({ uid, at }: Changer): string {
  return `${uid === undefined ? "everybody" : `the user with id ${uid}`} may change ${at}`;
}

function changedByOthers(named: string, changer: Changer): OdooPgError {
  const { at } = changer;
  return new OdooPgError("state_dir_unusable", {
    message: `${named} cannot be trusted: ${whoChanges(changer)}, and so where that path leads.`,
    safe: "Nothing was changed.",
    next: `Let nobody but root and the owner of ${named} write to ${at}, or choose another place.`,
  });
}
