import { OdooPgError } from "../errors.ts";
import { takeLock } from "../store/lock.ts";
import { monotonic, pause } from "../system/clock.ts";
import { ownPid } from "../system/process/process.ts";
import type { ArchivePlace } from "./place.ts";

/** Milliseconds that the agent may take to remove what a killed recovery has left: it holds the lock meanwhile. */
const TIDYING = 30_000;

/**
 * Takes the lock of recoveries. Who removes what is left of the last one is waited for.
 * @throws OdooPgError locked where another recovery is made
 */
export async function takeMomentLock(
  { momentLock }: ArchivePlace,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const begun = monotonic(); ; await pause(200, signal)) {
    try {
      return await takeLock(momentLock, ownPid);
    } catch (error) {
      const isHeld = error instanceof OdooPgError && error.code === "locked";
      if (!isHeld || monotonic() - begun > TIDYING) throw error;
    }
  }
}
