import path from "node:path";
import { archivePlaceOf } from "../archive/place.ts";
import { backupPlaceOf } from "../backup/place.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import type { CopyStatus } from "../model/copy-status.ts";
import { odooPg } from "../next-step.ts";
import { oneLine } from "../printable.ts";
import type { Progress } from "../progress.ts";
import type { Layout } from "../config/layout.ts";
import type { Config } from "../config/schema.ts";
import { changeCopyStatus, readCopyStatus } from "../store/copy-status.ts";
import { whileCopying } from "../store/copying.ts";
import { monotonic, now } from "../system/clock.ts";
import { kindOf } from "../system/files/files.ts";
import { describe } from "./description.ts";
import {
  copyFolders,
  ensureRepository,
  openRestic,
  tidyRepository,
  type Elsewhere,
  type Restic,
  type ResticOptions,
} from "./restic.ts";

/** What is in the making, and what only says who is at work: pgBackRest, the pool, a backup, a lock. */
const IN_THE_MAKING = [
  "*.pgbackrest.tmp",
  ".kept",
  ".new.*",
  "*.in_progress",
  "*.removing",
  "*.tmp",
  ".odoo-pg-*.lock*",
];

/** Milliseconds between two times at which older copies are removed. */
const TIDY_EVERY = 86_400_000;

/** Times that a copy is begun where something vanishes meanwhile, as a file in the making does. */
const ATTEMPTS = 3;

/**
 * Copies elsewhere what is new since the last time, and notes what came of it.
 * @throws OdooPgError locked while the same copy is being made, or why there is none
 */
export async function copyElsewhere(
  config: Config,
  layout: Layout,
  elsewhere: Elsewhere,
  options: ResticOptions,
  progress: Progress,
): Promise<CopyStatus> {
  const { name } = elsewhere;
  return await whileCopying(layout, name, options.signal, async () => {
    const begun = monotonic();
    await changeCopyStatus(layout, name, { begun_at: iso() });
    try {
      const restic = await openRestic(elsewhere, { ...options, layout });
      const before = await readCopyStatus(layout, name);
      // Where copies have been made, one that is not there is an error, not a new beginning.
      if (before.copied_at === null) await ensureRepository(restic);
      progress.step(null, `copy to ${name}`);
      const made = await copyAll(config, layout, name, restic);
      const status = await changeCopyStatus(layout, name, {
        copied_at: made.at,
        snapshot: made.snapshot,
        added_bytes: made.addedBytes,
        seconds: Math.round((monotonic() - begun) / 10) / 100,
        error: null,
      });
      return await tidyIfDue(config, layout, restic, status, progress);
    } catch (error) {
      await changeCopyStatus(layout, name, { error: oneLine(toOdooPgError(error).message) });
      throw error;
    }
  });
}

async function copyAll(
  config: Config,
  layout: Layout,
  name: string,
  restic: Restic,
): Promise<{ at: string; snapshot: string; addedBytes: number }> {
  const folders = [backupPlaceOf(config).dir];
  if (config.backup.any_second.enabled) folders.push(archivePlaceOf(config, layout).repository);
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const at = iso();
    const description = await describe(config, layout, name);
    const present: string[] = [];
    for (const folder of folders) if ((await kindOf(folder)) === "directory") present.push(folder);
    const made = await copyFolders(restic, [description, ...present], {
      cluster: config.cluster,
      excludes: IN_THE_MAKING.map((pattern) => pattern),
    });
    if (made) return { at, ...made };
  }
  throw new OdooPgError("command_failed", {
    message: `${path.basename(restic.program)} could not read all of what is to be copied, ${ATTEMPTS} times.`,
    safe: "Earlier copies are untouched.",
    next: odooPg("backup", "copy", "--to", name),
  });
}

async function tidyIfDue(
  { cluster }: Config,
  layout: Layout,
  restic: Restic,
  status: CopyStatus,
  progress: Progress,
): Promise<CopyStatus> {
  const { name, tidied_at: tidiedAt } = status;
  // A new one has nothing to remove.
  if (tidiedAt === null) return await changeCopyStatus(layout, name, { tidied_at: iso() });
  if (now() - Date.parse(tidiedAt) < TIDY_EVERY) return status;
  progress.step(null, `remove older copies from ${name}`);
  try {
    await tidyRepository(restic, cluster);
    return await changeCopyStatus(layout, name, { tidied_at: iso() });
  } catch (error) {
    const words = oneLine(toOdooPgError(error).message);
    return await changeCopyStatus(layout, name, {
      error: `the copy was made; older ones were not removed: ${words}`,
    });
  }
}

function iso(): string {
  return new Date(now()).toISOString();
}
