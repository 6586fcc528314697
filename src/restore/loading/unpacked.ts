import path from "node:path";
import { OdooPgError } from "../../errors.ts";
import { shellWord } from "../../shell-word.ts";
import { ensureDirectory, removeTree } from "../../system/files/files.ts";
import { copyOfOthers, isOthers } from "../../system/files/others-files.ts";
import { markOf } from "../target/new-database.ts";
import type { Filling } from "./filling.ts";

/** Archives inside one another that are unpacked. */
const DEPTH = 4;

/** Unpacks what must be a file; it is removed when `use` ends. A killed restore's file goes with the next one. */
export async function unpacked<T>(filling: Filling, use: (folder: string) => Promise<T>): Promise<T> {
  const { restoresDir } = filling.source;
  const depth = filling.unpacked;
  if (depth >= DEPTH) {
    throw new OdooPgError("dump_unusable", {
      message: "It is packed in too many archives, one inside another.",
      safe: "Nothing that existed was changed.",
      next: "Unpack it, and restore what is inside.",
    });
  }
  const folder = path.join(restoresDir, `unpacked_${markOf(filling.target.name)}_${depth}`);
  await ensureDirectory(restoresDir, { mode: 0o700 });
  await ensureDirectory(folder, { mode: 0o700 });
  filling.unpacked = depth + 1;
  try {
    return await use(folder);
  } finally {
    filling.unpacked = depth;
    await removeTree(folder);
  }
}

const SAFE = "Nothing that existed was changed.";

/** What pg_restore reads of a folder that pg_dump wrote (pg_backup_directory.c), packed or not. */
const DUMPED = /^(?:toc\.dat|\d+\.dat|blobs?(?:_\d+)?\.toc|blob_\d+\.dat)(?:\.[a-z0-9]+)?$/;

/**
 * Reads a folder that pg_dump wrote (--format=directory). pg_restore follows links: as root it would read any file of the
 * machine into a database of whoever may write to the folder. So root reads a copy of regular files alone.
 * @throws OdooPgError dump_unusable where a file is something else, or is not its owner's to read
 */
export async function withDumpedFolder<T>(
  filling: Filling,
  folder: string,
  use: (folder: string) => Promise<T>,
): Promise<T> {
  if (!isOthers(folder)) return await use(folder);
  return await unpacked(filling, async (copy) => {
    const copyIt = `Where you know what it holds, copy it as root to where nobody else writes, and restore it from there: cp -r ${shellWord(folder)} PLACE`;
    const [left] = await copyOfOthers(folder, copy, (name) => DUMPED.test(name)).catch((error: unknown) => {
      // Somebody else decides where its path leads.
      if (!(error instanceof OdooPgError) || error.code !== "state_dir_unusable") throw error;
      const { message } = error;
      throw new OdooPgError("dump_unusable", { message, safe: SAFE, next: copyIt, cause: error });
    });
    if (left === undefined) return await use(copy);
    const file = path.join(folder, left.name);
    throw new OdooPgError("dump_unusable", {
      message: left.isLink
        ? `${file} is a link, which root does not follow in another user's folder.`
        : `${file} is no file that the owner of its folder may read.`,
      safe: SAFE,
      next: left.isLink
        ? "Leave such a dump alone: the link may be there to make root read what its maker may not."
        : copyIt,
    });
  });
}
