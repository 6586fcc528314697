import * as fs from "node:fs/promises";
import path from "node:path";
import { isErrno } from "./errno.ts";
import { Folder, inFolder } from "./held/folder.ts";

/** Folders inside one another that are looked at: a filestore has two. */
const DEPTH = 16;

/** How often is looked again for what was written meanwhile. */
const ROUNDS = 5;

/**
 * Moves files of one folder, which another user may be writing into, to their places in another one beside it, where
 * nothing has their names.
 * @param since those that were written since then, in milliseconds since the epoch, by the clock of the file system
 */
export async function moveWritten(from: string, to: string, since: number): Promise<void> {
  await inFolder(path.dirname(from), (root) => {
    const source = entryOf(root, from);
    try {
      if (source && hasWritten(source, since, DEPTH))
        mergeInto(source, root, path.basename(to), since, DEPTH);
    } finally {
      source?.close();
    }
  });
}

/**
 * Moves all of a folder into another one beside it, and removes it. A file whose name is taken there holds the same:
 * attachments are named by their content.
 */
export async function moveAllInto(from: string, to: string): Promise<void> {
  await inFolder(path.dirname(from), async (root) => {
    for (let round = 1; root.look(path.basename(from)) !== undefined; round++) {
      await moveWritten(from, to, 0);
      // Only what is empty, or has nothing that is not there: something may have been written since it was looked at.
      if (await removeDuplicates(root, path.basename(from), entryOf(root, to), DEPTH)) return;
      if (round === ROUNDS) throw new Error(`${from} is written to all the time`);
    }
  });
}

/** A folder beside others; a link in its place only where its owner could have made it (`Folder.open`). */
function entryOf(root: Folder, named: string): Folder | undefined {
  const name = path.basename(named);
  return root.into(name) ?? (root.look(name) ? Folder.open(named) : undefined);
}

function hasWritten(folder: Folder, since: number, depth: number): boolean {
  return folder.names().some((name) => {
    const seen = folder.look(name);
    if (!seen?.isDirectory()) return seen !== undefined && seen.ctimeMs >= since;
    return depth > 0 && withInner(folder, name, (inner) => hasWritten(inner, since, depth - 1)) === true;
  });
}

/** @param root in which the target lies, by its name; it is made where it is not there */
function mergeInto(source: Folder, root: Folder, name: string, since: number, depth: number): void {
  const target = root.into(name) ?? madeLike(source, root, name);
  if (!target) return;
  try {
    for (const entry of source.names()) {
      const seen = source.look(entry);
      if (seen?.isDirectory()) {
        if (depth === 0) continue;
        withInner(source, entry, (inner) => {
          if (hasWritten(inner, since, depth - 1)) mergeInto(inner, target, entry, since, depth - 1);
        });
      } else if (seen !== undefined && seen.ctimeMs >= since && target.look(entry) === undefined) {
        try {
          source.rename(entry, target, entry);
        } catch (error) {
          // Its owner was quicker.
          if (!isErrno(error, "ENOENT")) throw error;
        }
      }
    }
  } finally {
    target.close();
  }
}

function madeLike(source: Folder, root: Folder, name: string): Folder | undefined {
  return root.look(name) ? undefined : root.make(name, source.mode & 0o777, source.owner);
}

/** @returns whether the folder is gone; it stays where it holds what the other one has not */
async function removeDuplicates(
  root: Folder,
  name: string,
  other: Folder | undefined,
  depth: number,
): Promise<boolean> {
  const folder = root.into(name);
  try {
    for (const entry of folder?.names() ?? []) {
      const seen = folder?.look(entry);
      if (folder === undefined || seen === undefined) continue;
      if (seen.isDirectory()) {
        if (depth > 0) await removeDuplicates(folder, entry, other?.into(entry), depth - 1);
      } else if (other?.look(entry) !== undefined) await folder.remove(entry);
    }
    await fs.rmdir(root.at(name));
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return true;
    if (isErrno(error, "ENOTEMPTY", "EEXIST")) return false;
    throw error;
  } finally {
    folder?.close();
    other?.close();
  }
}

function withInner<T>(folder: Folder, name: string, use: (inner: Folder) => T): T | undefined {
  const inner = folder.into(name);
  try {
    return inner && use(inner);
  } finally {
    inner?.close();
  }
}

/** When an entry was last changed, in milliseconds since the epoch; undefined where there is none. */
export async function changedAt(file: string): Promise<number | undefined> {
  return await inFolder(path.dirname(file), (folder) => folder.look(path.basename(file))?.ctimeMs);
}
