import { execFileSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { freemem } from "node:os";
import { join } from "node:path";

/** Bytes that a run may take at once, and as many that stay free for the programs. */
const needed = 4 * 2 ** 30;
/** The type of a file system in memory on Linux. See statfs(2). */
const TMPFS = 0x0102_1994;

/** Every folder that runs may have been made in. All are short, because the path of a Unix socket has at most 107 bytes. */
export const runPlaces = ["/tmp", "/dev/shm"] as const;

/**
 * Where a run makes its folder: in memory where there is plenty, else in /tmp. Servers are killed in tests, machines are
 * not, so nothing is proven by waiting for a disk; and to make and remove hundreds of data directories on one took a
 * third of the processors' time.
 */
export function runPlace(): string {
  return realpathSync(hasPlenty("/dev/shm") ? "/dev/shm" : "/tmp");
}

function hasPlenty(place: string): boolean {
  try {
    const { type, bavail, bsize } = statfsSync(place);
    return type === TMPFS && bavail * bsize > needed && freemem() > 2 * needed && mayRunIn(place);
  } catch {
    return false;
  }
}

/** Tests put programs into their folders; /dev/shm may be mounted so that none is run there. */
function mayRunIn(place: string): boolean {
  const folder = mkdtempSync(join(place, "opg-try-"));
  try {
    writeFileSync(join(folder, "true"), "#!/bin/sh\n", { mode: 0o755 });
    execFileSync(join(folder, "true"));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
