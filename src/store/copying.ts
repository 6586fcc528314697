import path from "node:path";
import type { Layout } from "../config/layout.ts";
import { monotonic, pause } from "../system/clock.ts";
import { ensureDirectory, namesIn } from "../system/files/files.ts";
import { ownPid } from "../system/process/process.ts";
import { lockHolder, releaseLock, takeLock } from "./lock.ts";

// What is copied elsewhere must not be removed meanwhile; what is removed must not be half copied. Several copies may be
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
      // Whoever removes has its lock before it looks for ours, and we ours before we look for its.
      if ((await lockHolder(removingLock(layout))) === undefined) return await act();
    } finally {
      await releaseLock(own, ownPid);
    }
    await pause(200, signal);
  }
}

/** Milliseconds that a copy which is being made is waited for: no new one is begun meanwhile. */
const WAIT = 300_000;

/**
 * Removes what has expired. Where it is still being copied after a while, or somebody else removes, it goes the next time.
 * @returns undefined where nothing was done
 */
export async function unlessCopying<T>(layout: Layout, act: () => Promise<T>): Promise<T | undefined> {
  await ensureDirectory(layout.offsiteDir);
  const lock = removingLock(layout);
  try {
    await takeLock(lock, ownPid);
  } catch (error) {
    if ((await lockHolder(lock)) !== undefined) return undefined;
    throw error;
  }
  try {
    for (const begun = monotonic(); await isCopying(layout); await pause(200))
      if (monotonic() - begun > WAIT) return undefined;
    return await act();
  } finally {
    await releaseLock(lock, ownPid);
  }
}

async function isCopying({ offsiteDir }: Layout): Promise<boolean> {
  for (const name of await namesIn(offsiteDir))
    if (COPYING.test(name) && (await lockHolder(path.join(offsiteDir, name))) !== undefined) return true;
  return false;
}
