import { OdooPgError } from "../errors.ts";
import { realPath } from "../system/files/files.ts";
import { sendSignal, waitForEnd } from "../system/process/process.ts";
import { processesWorkingIn } from "../system/files/working-directory.ts";

/** Milliseconds for a process to be gone after it was killed: one that waits for a dead disk is not. */
const END_TIMEOUT = 5000;

/**
 * Ends what a server has left behind whose postmaster is gone (kill -9, out of memory). Its sessions end by themselves
 * when they next wait for something; one that hangs or works may still commit, and have its client told so, at any time
 * later. They are found by the data directory, in which all processes of a server work (postmaster.c, ChangeToDataDir).
 * SIGKILL takes nothing from the data: the next start replays the WAL anyway.
 *
 * Only for a data directory whose postmaster is known to be gone. One that is not there (its disk is gone) has none that
 * could be told.
 * @returns how many there were
 * @throws OdooPgError timed_out when one cannot be ended, node_not_ready where the system does not tell which there are
 */
export async function endOrphans(dataDir: string, node: string): Promise<number> {
  const place = await realPath(dataDir);
  if (place === undefined) return 0;
  const left = await processesWorkingIn(place, "postgres");
  if (left === undefined) {
    throw new OdooPgError("node_not_ready", {
      message: `It cannot be determined whether processes of ${node} are left: the system does not show where processes work.`,
      safe: "Nothing was changed.",
      next: "Run it as the user that owns the data directory; without /proc, install lsof.",
    });
  }
  for (const pid of left) sendSignal(pid, "SIGKILL");
  for (const pid of left) {
    if (await waitForEnd(pid, END_TIMEOUT)) continue;
    throw new OdooPgError("timed_out", {
      message: `Process ${pid} is left of ${node} and cannot be ended: it might still commit.`,
      safe: `The data of ${node} is untouched.`,
      next: `Look at what it waits for: ps -o pid,stat,wchan,args -p ${pid}. A restart of this host ends it.`,
    });
  }
  return left.length;
}
