import { readdirSync, readFileSync } from "node:fs";

/** What this process uses. What the system does not tell is null. */
export interface OwnProcess {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly virtualBytes: number | null;
  readonly openFiles: number | null;
  readonly maxFiles: number | null;
  /** Seconds since the epoch. */
  readonly startedAt: number;
}

export function readOwnProcess(): OwnProcess {
  const { user, system } = process.cpuUsage();
  const limit = /^Max open files\s+(\d+)/m.exec(readProc("limits") ?? "")?.[1];
  const pages = /^VmSize:\s+(\d+) kB/m.exec(readProc("status") ?? "")?.[1];
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: process.memoryUsage.rss(),
    virtualBytes: pages === undefined ? null : Number(pages) * 1024,
    openFiles: countOpenFiles(),
    maxFiles: limit === undefined ? null : Number(limit),
    startedAt: performance.timeOrigin / 1000,
  };
}

/** Linux only. */
function readProc(name: string): string | undefined {
  try {
    return readFileSync(`/proc/self/${name}`, "utf8");
  } catch {
    return undefined;
  }
}

function countOpenFiles(): number | null {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return null;
  }
}
