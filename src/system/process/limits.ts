import * as fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { kindOf } from "../files/files.ts";

/** What the control groups of a process allow; undefined where nothing is limited, or that is unknown. */
export interface Limits {
  readonly memoryBytes: number | undefined;
  /** Processors' worth of time, such as 1.5. */
  readonly cpus: number | undefined;
}

/** What a process has of the machine, and whether a control group (a container, a unit of systemd) makes it less. */
export interface Capacity {
  readonly memoryBytes: number;
  readonly memoryLimited: boolean;
  readonly cpus: number;
  readonly cpusLimited: boolean;
}

/** What a process may use: the machine's figures, or the limits of its control groups where they are lower. */
export async function capacityOf(pid: number | "self"): Promise<Capacity> {
  const limits = await controlGroupLimits(pid);
  const memory = os.totalmem();
  const cpus = os.availableParallelism();
  return {
    memoryBytes: Math.min(memory, limits.memoryBytes ?? memory),
    memoryLimited: limits.memoryBytes !== undefined && limits.memoryBytes < memory,
    cpus: Math.min(cpus, limits.cpus ?? cpus),
    cpusLimited: limits.cpus !== undefined && limits.cpus < cpus,
  };
}

/** What Docker, Podman and Kubernetes leave in a container. */
const MARKS = ["/.dockerenv", "/run/.containerenv", "/run/secrets/kubernetes.io"];

/** Whether this process runs in a container, as far as containers tell. */
export async function isInContainer(): Promise<boolean> {
  // One that this user may not look at says nothing: it lies among secrets.
  const found = await Promise.all(MARKS.map(async (mark) => await kindOf(mark).catch(() => undefined)));
  return found.some((kind) => kind !== undefined);
}

/**
 * The lowest limits on the way from the control group of a process up to the root, of version 1 and 2.
 * Sources: cgroups(7); Linux, Documentation/admin-guide/cgroup-v2.rst (memory.max, memory.high, cpu.max) and
 * cgroup-v1/memory.rst, scheduler/sched-bwc.rst.
 * @param root where /proc and /sys lie
 */
export async function controlGroupLimits(pid: number | "self", root = "/"): Promise<Limits> {
  const read = async (file: string): Promise<string> =>
    await fs.readFile(path.join(root, file), "utf8").catch(() => "");
  const mounts = parseMounts(await read("/proc/self/mountinfo"));
  const memory: number[] = [];
  const cpus: number[] = [];
  for (const { controllers, group } of parseGroups(await read(`/proc/${pid}/cgroup`))) {
    for (const mount of mounts) {
      const second = mount.type === "cgroup2" && controllers.length === 0;
      const first = mount.type === "cgroup" && controllers.some((name) => mount.options.includes(name));
      if (!second && !first) continue;
      for (const place of upwards(mount, group)) {
        const number = async (name: string): Promise<number> =>
          Number.parseInt(await read(path.join(place, name)), 10);
        if (second) {
          memory.push(await number("memory.max"), await number("memory.high"));
          const [quota, period] = (await read(path.join(place, "cpu.max"))).split(" ").map(Number);
          cpus.push((quota ?? Number.NaN) / (period ?? Number.NaN));
        }
        if (first && controllers.includes("memory")) memory.push(await number("memory.limit_in_bytes"));
        if (first && controllers.includes("cpu"))
          cpus.push((await number("cpu.cfs_quota_us")) / (await number("cpu.cfs_period_us")));
      }
    }
  }
  return { memoryBytes: lowest(memory), cpus: lowest(cpus) };
}

function lowest(numbers: readonly number[]): number | undefined {
  // "max" is not a number, and -1 is no limit.
  const limits = numbers.filter((number) => Number.isFinite(number) && number > 0);
  return limits.length ? Math.min(...limits) : undefined;
}

interface Mount {
  readonly type: string;
  /** What of the file system is mounted: in a container the container's own group, or /. */
  readonly of: string;
  readonly at: string;
  readonly options: readonly string[];
}

/** Lines of mountinfo, proc(5): `36 35 98:0 /of /at rw,noatime shared:1 - type source options`. */
function parseMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line) => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , of, at] = before.split(" ");
    const [type, , options = ""] = after.split(" ");
    if (of === undefined || at === undefined || type === undefined) return [];
    return [{ type, of, at, options: options.split(",") }];
  });
}

/** Lines of /proc/PID/cgroup: `4:memory:/path`, and `0::/path` for version 2. */
function parseGroups(text: string): { controllers: string[]; group: string }[] {
  return text.split("\n").flatMap((line) => {
    const [, controllers, ...group] = line.split(":");
    if (controllers === undefined) return [];
    return [{ controllers: controllers.split(",").filter(Boolean), group: group.join(":") }];
  });
}

/** The directory of a group and those above it, as far as they are mounted here. */
function upwards(mount: Mount, group: string): string[] {
  const below = path.posix.relative(mount.of, group);
  // A group outside of what is mounted here is another container's: what is mounted says all that can be known.
  const steps = below === "" || below.startsWith("..") ? [] : below.split("/");
  return [...steps.keys(), steps.length].map((count) => path.join(mount.at, ...steps.slice(0, count)));
}
