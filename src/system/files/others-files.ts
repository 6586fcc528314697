import { closeSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { inFolder, isHeld } from "./folder.ts";

/** Whether root reads a folder here in which somebody else may put another file, or a link, at any time. */
export function isOthers(folder: string): boolean {
  if (!isHeld()) return false;
  const { uid, mode } = statSync(folder);
  return uid !== 0 || (mode & 0o022) !== 0;
}

export interface NotCopied {
  readonly name: string;
  /** Else it is not regular, or not the folder's owner's to read. */
  readonly isLink: boolean;
}

/**
 * Copies files of a folder that another user may change: regular ones that the owner of the folder may read, and never
 * what a link leads to.
 * @param isWanted by the name
 * @returns those that are wanted and cannot be copied
 * @throws OdooPgError state_dir_unusable as `Folder.open`
 */
export async function copyOfOthers(
  named: string,
  to: string,
  isWanted: (name: string) => boolean,
): Promise<readonly NotCopied[]> {
  const left: NotCopied[] = [];
  await inFolder(named, async (folder) => {
    for (const name of folder.names().filter(isWanted)) {
      const file = folder.openToRead(name);
      if (file === undefined) {
        left.push({ name, isLink: folder.look(name)?.isSymbolicLink() === true });
        continue;
      }
      try {
        await fs.copyFile(`/proc/self/fd/${file}`, path.join(to, name));
      } finally {
        closeSync(file);
      }
    }
  });
  return left;
}
