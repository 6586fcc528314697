import * as z from "zod";
import { now } from "../system/clock.ts";
import { diskSpace, removeFile, writeFileAtomic, type DiskSpace } from "../system/files/files.ts";
import { inspectJsonFile } from "../system/files/json-file.ts";
import type { ArchivePlace } from "./place.ts";

/** Milliseconds that a recovered cluster's files are kept: a user who looks for the right second asks again by then. */
const KEPT_FOR = 3_600_000;

/** Share of the disk that has to stay free beside them. */
const STAYS_FREE = 0.15;

const keptSchema = z.object({
  /** Its name below the folder of moments. */
  folder: z.string().regex(/^\d+$/),
  until: z.iso.datetime(),
});

/**
 * The files of the last moment, shut down, from which the next recovery takes what it would write anyway: pgBackRest
 * compares each file with its checksum in the base backup. @returns their folder's name; undefined where they are to go
 */
export async function keptMoment(place: ArchivePlace): Promise<string | undefined> {
  const read = await inspectJsonFile(place.keptFile, keptSchema);
  if (read?.ok !== true) return undefined;
  const { folder, until } = read.value;
  return isKept(Date.parse(until), now(), await diskSpace(place.moments)) ? folder : undefined;
}

/** @param until milliseconds since 1970, as `at` */
export function isKept(until: number, at: number, { freeBytes, totalBytes }: DiskSpace): boolean {
  const left = until - at;
  // A clock that was set back keeps nothing for longer.
  return left > 0 && left <= KEPT_FOR && freeBytes >= totalBytes * STAYS_FREE;
}

/** Has the files of a moment kept for the next one. Nothing runs on them any more. */
export async function keepMoment(place: ArchivePlace, folder: string): Promise<void> {
  const until = new Date(now() + KEPT_FOR).toISOString();
  await writeFileAtomic(place.keptFile, `${JSON.stringify({ folder, until })}\n`);
}

/** From now on the kept files are not offered: they are in use, or to be removed. */
export async function forgetMoment(place: ArchivePlace): Promise<void> {
  await removeFile(place.keptFile);
}
