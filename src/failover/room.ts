import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { tablespacesOf } from "../postgres/tablespaces.ts";
import { diskSpace, isMountPoint, kindOf } from "../system/files/files.ts";
import { bytesBelow } from "../system/files/held/by-path.ts";

/**
 * Whether a copy has room beside the data that it is to replace, and can take its place: before anything is stopped or
 * copied, as a disk that fills up stops the server that is there.
 * @param bytes that the copy will take
 * @throws OdooPgError refused, disk_full
 */
export async function requireRoom(bytes: number, dataDir: string): Promise<void> {
  if ((await kindOf(dataDir)) === "directory" && (await isMountPoint(dataDir))) {
    throw new OdooPgError("refused", {
      message: `${dataDir} is a mount point: it cannot be renamed to keep it while the copy takes its place.`,
      safe: "Nothing was changed.",
      next: "Mount the volume one directory higher, so that the data directory is an ordinary one in it.",
    });
  }
  const { freeBytes } = await diskSpace(path.dirname(dataDir));
  if (freeBytes > bytes * 1.05) return;
  const mb = (amount: number): number => Math.ceil(amount / 1024 / 1024);
  throw new OdooPgError("disk_full", {
    message: `The copy needs ${mb(bytes * 1.05)} MB in ${path.dirname(dataDir)}, and there are ${mb(freeBytes)} MB: the old data is kept until the new streams.`,
    safe: "Nothing was changed.",
    next: "Make room (old copies end in .aside-TIME), then run the same command again.",
  });
}

/** Bytes of a data directory, with its tablespaces. */
export async function bytesWithTablespaces(dataDir: string): Promise<number> {
  const places = [dataDir, ...(await tablespacesOf(dataDir)).values()];
  const each = await Promise.all(places.map(bytesBelow));
  return each.reduce((all, bytes) => all + bytes, 0);
}
