import { closeSync, constants, fstatSync, openSync, type Stats } from "node:fs";
import { explain, isErrno } from "../errno.ts";

/** open(2), Linux: holds an entry without opening it, so no device is touched. Node.js has no name for it. */
export const O_PATH = 0o10000000;
export const DIRECTORY = constants.O_DIRECTORY | constants.O_NOFOLLOW;

/**
 * Whether folders are held open, and not named by their path: as root on Linux. Another user's link could lead root
 * anywhere, while an ordinary user has no more than his own rights behind one. Other systems have no path for what lies in
 * an open folder.
 */
export function isHeld(): boolean {
  return process.platform === "linux" && process.geteuid?.() === 0;
}

/** Undefined when there is no such entry. */
export function statAt(named: string, look: () => Stats): Stats | undefined {
  try {
    return look();
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ENAMETOOLONG", "ELOOP")) return undefined;
    throw explain(error, named);
  }
}

/** Undefined when there is nothing of that kind: no entry, a link, no folder. */
export function openAt(place: string, flags: number): number | undefined {
  try {
    return openSync(place, flags);
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "ENAMETOOLONG")) return undefined;
    throw explain(error, place);
  }
}

/** A regular file, opened to read it; undefined when there is no such file. */
export function openRegular(file: string): number | undefined {
  const handle = openAt(file, constants.O_RDONLY | constants.O_NONBLOCK);
  if (handle === undefined || fstatSync(handle).isFile()) return handle;
  closeSync(handle);
  return undefined;
}
