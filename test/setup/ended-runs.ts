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
    rmSync(folder, { recursive: true, force: true });
  }
  const locks = portLockFolder();
  if (!existsSync(locks)) return;
  for (const port of readdirSync(locks)) {
    if (isOfEndedProcess(join(locks, port))) rmSync(join(locks, port), { force: true });
  }
}

function isOfEndedProcess(file: string): boolean {
  try {
    const pid = Number(readFileSync(file, "utf8"));
    return pid > 0 && !isAlive(pid);
  } catch {
    return false;
  }
}
