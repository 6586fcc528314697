import { closeSync, constants, fstatSync, lstatSync, openSync, readlinkSync, type Stats } from "node:fs";
import path from "node:path";
import { OdooPgError } from "../../../errors.ts";
import { isOfGroup, type Owner } from "../rights.ts";
import { DIRECTORY, isHeld, O_PATH, openAt, statAt } from "./opening.ts";

/** Links that are followed in one path, as in Linux. */
const MOST_LINKS = 40;

/**
 * Whether nobody but root decides what lies in a folder, and where its path leads: members of a group count, to whom `open`
 * trusts a folder that was given to them.
 */
export function isRootsAlone(named: string): boolean {
  const { held, stat, shared } = walk(path.resolve(named));
  if (held !== undefined) closeSync(held);
  return !shared && stat?.uid === 0 && (stat.mode & 0o022) === 0;
}

/** Where a path leads, and which users may change that. */
export interface Walked {
  readonly changers: readonly Changer[];
  /** Those of them who may change a link on the way. */
  readonly linkers: readonly Changer[];
  /** Whether anybody but root, members of groups included, may change where it leads. */
  readonly shared: boolean;
  /** Of a folder, held open. */
  readonly held?: number;
  readonly stat?: Stats;
  /** Of anything else. */
  readonly file?: Stats;
}

/** The users who may change where a path leads, and by which part of it. */
export interface Changer {
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
 * Holds a path against everybody but root and these users, such as that of a file that root finds by chance.
 * @throws OdooPgError state_dir_unusable, naming what another user, or every user, may change
 */
export function refuseChangesByOthers(named: string, trusted: readonly number[]): void {
  if (!isHeld()) return;
  const { changers, held, file } = walk(path.resolve(named));
  if (held !== undefined) closeSync(held);
  const ofFile = file ? [{ uid: file.mode & 0o002 ? undefined : file.uid, at: named }] : [];
  const other = [...changers, ...ofFile].find(
    ({ uid }) => uid === undefined || (uid !== 0 && !trusted.includes(uid)),
  );
  if (other) throw changedByOthers(named, other);
}

/** The users who may write to a file besides its owner: all, or those of the users that are in its group. */
function writersOf({ mode, gid }: Stats, at: string, users: readonly Owner[]): Changer[] {
  if (mode & 0o002) return [{ uid: undefined, at }];
  if (!(mode & 0o020)) return [];
  return users.filter((user) => isOfGroup(user, gid)).map(({ uid }) => ({ uid, at }));
}

/** Follows a path from the root on, each part of it by what is held of the part before. */
export function walk(named: string): Walked {
  const parts = named.split("/").filter((part) => part !== "");
  const changers: Changer[] = [];
  const linkers: Changer[] = [];
  let shared = false;
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
      const folder = fstatSync(held);
      const here = changersOf(folder, stat, at);
      changers.push(...here);
      shared ||= isShared(folder, stat);
      if (!stat) return { changers, linkers, shared };
      if (stat.isSymbolicLink()) {
        if (++links > MOST_LINKS) return { changers, linkers, shared };
        const ofLink = { uid: stat.uid, at: path.join(at, part) };
        changers.push(ofLink);
        linkers.push(...here, ofLink);
        shared ||= stat.uid !== 0;
        const target = readlinkSync(entry);
        parts.unshift(...target.split("/").filter((piece) => piece !== "" && piece !== "."));
        if (target.startsWith("/")) enter(openSync("/", O_PATH | constants.O_DIRECTORY), "/");
        continue;
      }
      const next = openAt(entry, O_PATH | DIRECTORY);
      if (next === undefined) return { changers, linkers, shared, file: stat };
      enter(next, path.join(at, part));
    }
    const result = { changers, linkers, shared, held, stat: fstatSync(held) };
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

/** Whether anybody but root may put something else in the place of an entry. */
function isShared(folder: Stats, entry: Stats | undefined): boolean {
  if (folder.uid !== 0) return true;
  if (!(folder.mode & 0o022)) return false;
  return !(folder.mode & 0o1000) || entry?.uid !== 0;
}

/** The end of a sentence. */
export function whoChanges({ uid, at }: Changer): string {
  return `${uid === undefined ? "everybody" : `the user with id ${uid}`} may change ${at}`;
}

export function changedByOthers(named: string, changer: Changer): OdooPgError {
  const { at } = changer;
  return new OdooPgError("state_dir_unusable", {
    message: `${named} cannot be trusted: ${whoChanges(changer)}, and so where that path leads.`,
    safe: "Nothing was changed.",
    next: `Let nobody but root and the owner of ${named} write to ${at}, or choose another place.`,
  });
}
