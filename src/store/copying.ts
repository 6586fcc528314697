import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { monotonic, now, pause } from "../system/clock.ts";
import { ensureDirectory, modifiedAt, namesIn } from "../system/files/files.ts";
import { ownPid, sendSignal, waitForEnd } from "../system/process/process.ts";
import { lockHolder, releaseLock, takeLock } from "./lock.ts";

// A file must not be removed while it is copied elsewhere, nor copied while it is removed. Several copies may be
// made at once.

const COPYING = /^copying\.[a-z0-9_-]+\.lock$/;

function removingLock({ offsiteDir }: Layout): string {
  return path.join(offsiteDir, "removing.lock");
}

/**
 * Copies, while nothing that has expired is removed. Waits for who is at that now.
 * @throws OdooPgError locked while the same copy is being made
 */
export async function whileCopying<T>(
  layout: Layout,
  name: string,
  signal: AbortSignal | undefined,
  act: () => Promise<T>,
): Promise<T> {
  await ensureDirectory(layout.offsiteDir);
  const own = path.join(layout.offsiteDir, `copying.${name}.lock`);
  for (;;) {
    await takeLock(own, ownPid);
    try {
      // A removal takes its lock before it looks for ours, and we take ours before we look for its lock.
      if ((await lockHolder(removingLock(layout))) === undefined) return await act();
    } finally {
      await releaseLock(own, ownPid);
    }
    await pause(200, signal);
  }
}

/** How long a removal waits. All in milliseconds. */
export interface Patience {
  /** For a copy that is being made: no new one is begun meanwhile. */
  readonly wait: number;
  /**
   * How old a copy may be that is still being made. One that hangs would keep all that has expired, until the disk is full;
   * one that is only slow goes on where it was.
   */
  readonly oldest: number;
  /** For a copy to end once it is asked to. */
  readonly end: number;
}

const PATIENCE: Patience = { wait: 300_000, oldest: 6 * 3_600_000, end: 60_000 };

/**
 * Removes what has expired. What is still being copied after a while, or removed by another run, goes the next time.
 * Copies that have gone on for hours are ended.
 * @returns undefined where nothing was done
 */
export async function unlessCopying<T>(
  layout: Layout,
  act: () => Promise<T>,
  patience = PATIENCE,
): Promise<T | undefined> {
  await ensureDirectory(layout.offsiteDir);
  const lock = removingLock(layout);
  try {
    await takeLock(lock, ownPid);
  } catch (error) {
    if ((await lockHolder(lock)) !== undefined) return undefined;
    throw error;
  }
  try {
    const begun = monotonic();
    for (let copies = await copiesOf(layout); copies.length; copies = await copiesOf(layout)) {
      if (monotonic() - begun > patience.wait) {
        if (copies.some(({ since }) => now() - since <= patience.oldest)) return undefined;
        for (const { pid } of copies)
          if (sendSignal(pid, "SIGTERM") && !(await waitForEnd(pid, patience.end))) return undefined;
      }
      await pause(200);
    }
    return await act();
  } finally {
    await releaseLock(lock, ownPid);
  }
}

/** The process that copies, and since when, in milliseconds since the epoch. */
async function copiesOf({ offsiteDir }: Layout): Promise<{ pid: number; since: number }[]> {
  const copies: { pid: number; since: number }[] = [];
  for (const name of await namesIn(offsiteDir)) {
    if (!COPYING.test(name)) continue;
    const file = path.join(offsiteDir, name);
    const since = await modifiedAt(file);
    const pid = await lockHolder(file);
    if (pid !== undefined && since !== undefined) copies.push({ pid, since });
  }
  return copies;
}
