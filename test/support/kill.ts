import { readdirSync, readFileSync } from "node:fs";
import { processesUsing } from "./processes.ts";
import { waitFor } from "./wait.ts";

function killNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}

/** Processes by the one that has started each. */
function children(): ReadonlyMap<number, readonly number[]> {
  const found = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
      found.set(parent, [...(found.get(parent) ?? []), Number(name)]);
    } catch {
      // It has ended.
    }
  }
  return found;
}

/** Kills a process with all that it has started, as far as that still knows it: the process first. */
export function killWithChildren(pid: number): void {
  const of = children();
  const all = [pid];
  for (const one of all) all.push(...(of.get(one) ?? []));
  for (const one of all) killNow(one);
}

/**
 * As a host or a disk ends that is gone: nothing is told, nothing is written any more.
 * @param but a process that only looks there now and then
 */
export async function killAllUsing(folder: string, but?: number): Promise<void> {
  await waitFor("nothing to run there", () => {
    const running = processesUsing(folder).filter(({ pid }) => pid !== but);
    for (const { pid } of running) killNow(pid);
    return running.length === 0;
  });
}
