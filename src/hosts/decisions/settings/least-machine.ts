import type { HostsStatus } from "../../documents/report.ts";

export interface LeastMachine {
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly disk: "ssd" | "hdd";
  /** Hosts that reported their figures, and those that did not. */
  readonly of: readonly string[];
  readonly unknown: readonly string[];
}

/**
 * The least memory, processors and disk that any host with a database has: settings are the same on all, and each may be the
 * primary. Undefined where no host reported. Pure.
 */
export function leastMachine({ hosts }: Pick<HostsStatus, "hosts">): LeastMachine | undefined {
  const databases = hosts.filter(({ role }) => role === "database");
  const known = databases.flatMap(({ name, report }) =>
    report?.machine ? [{ name, ...report.machine }] : [],
  );
  if (!known.length) return undefined;
  const of = known.map(({ name }) => name);
  return {
    memoryBytes: Math.min(...known.map(({ memory_bytes }) => memory_bytes)),
    cpus: Math.min(...known.map(({ cpus }) => cpus)),
    disk: known.some(({ disk }) => disk === "hdd") ? "hdd" : "ssd",
    of,
    unknown: databases.map(({ name }) => name).filter((name) => !of.includes(name)),
  };
}
