import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { endProcesses, isAlive, processesUsing } from "../support/processes.ts";
import { portLockFolder } from "../support/port-reservation.ts";

/** File in a run's folder that holds the process id of its test runner. */
export const ownerFile = "owner";

/** Clears away what runs left behind that were killed: their servers, folders and reserved ports. */
export async function forgetEndedRuns(parent: string): Promise<void> {
  for (const name of readdirSync(parent)) {
    const folder = join(parent, name);
    if (!/^opg-\w{6}$/.test(name) || !isOfEndedProcess(join(folder, ownerFile))) continue;
    await endProcesses(() => processesUsing(folder));
    for (const mount of mountsBelow(folder)) execFileSync("umount", [mount]);
    rmSync(folder, { recursive: true, force: true });
  }
  const locks = portLockFolder();
  if (!existsSync(locks)) return;
  for (const port of readdirSync(locks)) {
    if (isOfEndedProcess(join(locks, port))) rmSync(join(locks, port), { force: true });
  }
}

/** Small disks that a test has mounted. */
function mountsBelow(folder: string): readonly string[] {
  if (!existsSync("/proc/mounts")) return [];
  const places = readFileSync("/proc/mounts", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  return places.filter((place) => place.startsWith(`${folder}/`));
}

function isOfEndedProcess(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    return pid > 0 && !isAlive(pid);
  } catch {
    return false;
  }
}
