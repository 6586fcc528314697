import type { HostsStatus } from "../documents/report.ts";

export interface LeastMachine {
  readonly memoryBytes: number;
  readonly cpus: number;
  readonly disk: "ssd" | "hdd";
  /** Hosts that have said what they give, and those that have not. */
  readonly of: readonly string[];
  readonly unknown: readonly string[];
}

/**
 * What every host with a database gives its server at least: the settings are the same on all, and any of them may be
 * the primary. Undefined where none says so. Pure.
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
