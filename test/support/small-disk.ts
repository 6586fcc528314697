import { execFileSync } from "node:child_process";
import { chownSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { atEnd } from "./scope.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { waitFor } from "./wait.ts";

/** Bit of CAP_SYS_ADMIN, without which nothing is mounted: root has it, except in most containers. See capabilities(7). */
const SYS_ADMIN = 21n;

/** Whether this process may mount a file system of limited size. */
export const mayMount = process.platform === "linux" && hasCapability(SYS_ADMIN);

function hasCapability(bit: bigint): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return ((BigInt(`0x${effective}`) >> bit) & 1n) === 1n;
}

/** Mounts a file system of a limited size, such as `384m`, over a folder. Whoever calls unmounts it. */
export function mountSmallDisk(folder: string, size: string, mode = "0755"): void {
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size},mode=${mode}`, "odoo-pg-test", folder]);
}

/** Unmounts it. What has just ended may hold it for a moment still. */
export async function unmountSmallDisk(folder: string): Promise<void> {
  await waitFor(`${folder} to be free`, () => {
    execFileSync("umount", [folder], { stdio: "pipe" });
    return true;
  });
}

/** A file system of a limited size, unmounted at the end of the present scope. */
export function smallDisk(megabytes: number, owner: { uid: number; gid: number } | undefined): string {
  const disk = temporaryFolder();
  mountSmallDisk(disk, `${megabytes}m`);
  atEnd(async () => await unmountSmallDisk(disk));
  if (owner) chownSync(disk, owner.uid, owner.gid);
  return disk;
}

/** Bytes of a file system that can be frozen: ext4 wants some for itself. */
const FREEZABLE = 400 * 1024 * 1024;

/** A disk that can be made to hang, as one does whose storage is gone: what writes to it waits and cannot be ended. */
export interface HangingDisk {
  readonly hang: () => void;
  readonly goOn: () => void;
  readonly remove: () => void;
}

/** Mounts such a disk over a folder. Whoever calls removes it, which also lets it go on. */
export function mountHangingDisk(folder: string): HangingDisk {
  const image = join(temporaryFolder(), "disk");
  writeFileSync(image, "");
  truncateSync(image, FREEZABLE);
  execFileSync("mkfs.ext4", ["-q", image]);
  execFileSync("mount", ["-o", "loop", image, folder]);
  rmSync(join(folder, "lost+found"), { recursive: true });
  let hangs = false;
  const goOn = (): void => {
    if (hangs) execFileSync("fsfreeze", ["--unfreeze", folder]);
    hangs = false;
  };
  return {
    hang() {
      execFileSync("fsfreeze", ["--freeze", folder]);
      hangs = true;
    },
    goOn,
    remove() {
      goOn();
      execFileSync("umount", [folder]);
    },
  };
}

/** Whether such a disk can be made here: containers have no loop devices. */
export const mayHang = mayMount && existsSync("/dev/loop-control") && existsSync("/usr/sbin/fsfreeze");
