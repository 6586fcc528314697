import { closeSync, fstatSync, readSync, statSync } from "node:fs";
import * as fs from "node:fs/promises";
import path from "node:path";
import { isErrno } from "../errno.ts";
import { writeFileAtomic, type WriteOptions } from "../files.ts";
import type { Owner } from "../rights.ts";
import { Folder, inFolder } from "./folder.ts";
import { statAt } from "./opening.ts";

/** The text of a small file in a folder that another user may change; undefined when there is no such file. */
export async function readTextOfOthers(file: string): Promise<string | undefined> {
  return await inFolder(path.dirname(file), (folder) => folder.readText(path.basename(file)));
}

/** The last `bytes` of a file, read as by `readTextOfOthers`; empty when there is none. */
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

/** Writes a whole file or nothing into a folder as `Folder.openThere` finds it; one that is gone takes nothing. */
export async function writeThere(file: string, text: string, options: WriteOptions): Promise<void> {
  const folder = Folder.openThere(path.dirname(file));
  try {
    if (folder) await writeFileAtomic(folder.at(path.basename(file)), text, options);
  } finally {
    folder?.close();
  }
}

/** Removes what lies in a folder as `Folder.openThere` finds it. */
export async function removeThere(file: string): Promise<void> {
  const folder = Folder.openThere(path.dirname(file));
  try {
    await folder?.remove(path.basename(file));
  } finally {
    folder?.close();
  }
}

/** Makes this user the owner of a folder, and of folders in it two levels deep; files keep their owners. */
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
