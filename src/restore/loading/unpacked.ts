import path from "node:path";
import type { BackupSource } from "../../backup/source.ts";
import { OdooPgError } from "../../errors.ts";
import { ensureDirectory, removeTree } from "../../system/files/files.ts";
import { markOf } from "../target/new-database.ts";
import type { Filling } from "./filling.ts";

/** Archives inside one another that are unpacked. */
const DEPTH = 4;

/** Unpacks what must be a file; it is removed when `use` ends. A killed restore's file goes with the next one. */
export async function unpacked<T>(filling: Filling, use: (folder: string) => Promise<T>): Promise<T> {
  const depth = filling.unpacked;
  if (depth >= DEPTH) {
    throw new OdooPgError("dump_unusable", {
      message: "It is packed in too many archives, one inside another.",
      safe: "Nothing that existed was changed.",
      next: "Unpack it, and restore what is inside.",
    });
  }
  filling.unpacked = depth + 1;
  try {
    return await unpackedUnder(filling.source, markOf(filling.target.name), use, depth);
  } finally {
    filling.unpacked = depth;
  }
}

/** As `unpacked`, for work whose mark is locked meanwhile. @param depth how many of them it has already */
export async function unpackedUnder<T>(
  { restoresDir }: Pick<BackupSource, "restoresDir">,
  mark: string,
  use: (folder: string) => Promise<T>,
  depth = 0,
): Promise<T> {
  const folder = path.join(restoresDir, `unpacked_${mark}_${depth}`);
  await ensureDirectory(restoresDir, { mode: 0o700 });
  await ensureDirectory(folder, { mode: 0o700 });
  try {
    return await use(folder);
  } finally {
    await removeTree(folder);
  }
}
