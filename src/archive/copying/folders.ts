import { now } from "../../system/clock.ts";
import type { Owner } from "../../system/files/files.ts";
import { syncFolder } from "../../system/files/folder-files.ts";
import type { Folder } from "../../system/files/held/folder.ts";

/** Folders in one another are opened for the time of `use`; undefined where one of them is missing, or a link. */
export async function within<T>(
  folder: Folder,
  parts: readonly string[],
  use: (folder: Folder) => T | Promise<T>,
): Promise<T | undefined> {
  const [part, ...rest] = parts;
  if (part === undefined) return await use(folder);
  const inner = folder.into(part);
  if (!inner) return undefined;
  try {
    return await within(inner, rest, use);
  } finally {
    inner.close();
  }
}

/** The same in folders that are made where they are missing, as pgBackRest makes them. */
export async function making<T>(
  folder: Folder,
  parts: readonly string[],
  owner: Owner | undefined,
  use: (folder: Folder) => T | Promise<T>,
): Promise<T> {
  const [part, ...rest] = parts;
  if (part === undefined) return await use(folder);
  const present = folder.into(part);
  const inner = present ?? folder.make(part, 0o750, owner);
  try {
    if (!present) await syncFolder(folder);
    return await making(inner, rest, owner, use);
  } finally {
    inner.close();
  }
}

/** Milliseconds for which a folder's own time may not tell two changes apart. */
const COARSE = 2000;

/** What tells whether a folder is as it was; null where it was changed just now. @param now milliseconds since the epoch */
export function markOf(
  { inode, modifiedAt }: { inode: number; modifiedAt: number },
  now: number,
): string | null {
  return Math.abs(now - modifiedAt) < COARSE ? null : `${inode}:${modifiedAt}`;
}

/** The same of a folder in another one; null also where there is none. */
export function markAt(parent: Folder, name: string): string | null {
  const stat = parent.look(name);
  return stat?.isDirectory() === true ? markOf({ inode: stat.ino, modifiedAt: stat.mtimeMs }, now()) : null;
}
