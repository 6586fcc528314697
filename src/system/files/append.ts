import { closeSync, constants, fchmodSync, fchownSync, fstatSync, openSync } from "node:fs";
import { OdooPgError } from "../../errors.ts";
import type { Owner } from "./rights.ts";

const APPEND = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT;

/**
 * Opens a file of this user to append to it, and makes it of mode 0640 where it is not there. No link is followed, and
 * what is not a file of its own, such as a second name of another file, is left alone.
 * @param place where to open it; @param named as errors call it; @param reader by whose group it may be read
 * @returns an open file, to be closed by the caller
 * @throws OdooPgError state_dir_unusable, or what the file system answers
 */
export function openOurs(place: string, named: string, reader: Owner | undefined): number {
  const file = openSync(place, APPEND | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  const stat = fstatSync(file);
  if (!stat.isFile() || stat.nlink !== 1) {
    closeSync(file);
    throw new OdooPgError("state_dir_unusable", {
      message: `${named} is not an ordinary file: something else was put there.`,
      safe: "It was not written to.",
      next: `Look at it (ls -l ${named}), and remove it.`,
    });
  }
  if (stat.size === 0) {
    if (reader) fchownSync(file, stat.uid, reader.gid);
    fchmodSync(file, 0o640);
  }
  return file;
}
