import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { holdsWithin } from "./wait.ts";

export interface Process {
  readonly pid: number;
  readonly command: string;
}

/**
 * Processes that have to do with one of the folders: named in their arguments, or (where /proc tells) their working
 * directory, or a file that they hold open. Not this process, nor the one that started it.
 */
export function processesUsing(...folders: readonly string[]): readonly Process[] {
  const mentions = (text: string): boolean => folders.some((folder) => text.includes(folder));
  return (process.platform === "linux" ? inProc(mentions) : inPs(mentions)).filter(
    ({ pid }) => pid !== process.pid && pid !== process.ppid,
  );
}

/** Processes that name something in their arguments: quick, for what may end soon. */
export function processesNaming(text: string): readonly Process[] {
  const named = ({ pid, command }: Process): boolean => pid !== process.pid && command.includes(text);
  return (process.platform === "linux" ? inProcNow() : inPs(() => true)).filter(named);
}

function inProcNow(): readonly Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const command = orEmpty(() => readFileSync(`/proc/${name}/cmdline`, "utf8"));
    return [{ pid: Number(name), command: command.replaceAll("\0", " ").trim() }];
  });
}

function inProc(mentions: (text: string) => boolean): readonly Process[] {
  const hidden = new Map<string, number[]>();
  const found = inProcNow().filter(({ pid, command }) => {
    if (mentions(command)) return true;
    const places = placesOf(pid);
    if (places !== "hidden") return places.some(mentions);
    const owner = ownerOf(pid);
    hidden.set(owner, [...(hidden.get(owner) ?? []), pid]);
    return false;
  });
  const more = [...hidden].flatMap(([owner, pids]) => pidsAsOwner(owner, pids, mentions));
  if (more.length === 0) return found;
  return [...found, ...inProcNow().filter(({ pid }) => more.includes(pid))];
}

/** Working directory and open files of a process; hidden where this user may not know. */
function placesOf(pid: number): readonly string[] | "hidden" {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) =>
      orEmpty(() => readlinkSync(`/proc/${pid}/fd/${fd}`)),
    );
    return [cwd, ...open];
  } catch (error) {
    const denied = error instanceof Error && "code" in error && error.code === "EACCES";
    return denied && process.geteuid?.() === 0 ? "hidden" : [];
  }
}

function ownerOf(pid: number): string {
  return orEmpty(() => {
    const { uid, gid } = statSync(`/proc/${pid}`);
    return `${uid}:${gid}`;
  });
}

/** Root in a container may lack the right to look at others' processes (CAP_SYS_PTRACE); their user has it. */
function pidsAsOwner(
  owner: string,
  pids: readonly number[],
  mentions: (text: string) => boolean,
): readonly number[] {
  const [uid, gid] = owner.split(":").map(Number);
  if (uid === undefined || gid === undefined) return [];
  const places = pids.flatMap((pid) => [`/proc/${pid}/cwd`, `/proc/${pid}/fd`]);
  // Each link as its path and where it leads to. What ends meanwhile is left out.
  const { stdout } = spawnSync("find", [...places, "-type", "l", "-printf", "%p %l\n"], {
    uid,
    gid,
    encoding: "utf8",
  });
  return stdout.split("\n").flatMap((line) => {
    const [, pid, place = ""] = /^\/proc\/(\d+)\/\S+ (.*)$/.exec(line) ?? [];
    return mentions(place) ? [Number(pid)] : [];
  });
}

/** A process may end at any moment, or belong to somebody else. */
function orEmpty(read: () => string): string {
  try {
    return read();
  } catch {
    return "";
  }
}

function inPs(mentions: (text: string) => boolean): readonly Process[] {
  return execFileSync("ps", ["-axww", "-o", "pid=,command="], { encoding: "utf8" })
    .split("\n")
    .map((line) => ({ pid: Number.parseInt(line, 10), command: line.replace(/^\s*\d+\s+/, "") }))
    .filter(({ command }) => mentions(command));
}

/** Whether a process with this id exists. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * Ends the processes that `find` finds, until it finds none: first asked, then killed. A supervisor may start new ones
 * meanwhile, so it is looked again.
 * @returns all that had to be ended
 */
export async function endProcesses(find: () => readonly Process[]): Promise<readonly Process[]> {
  const ended = new Map<number, Process>();
  const signalAll = (signal: (found: Process) => NodeJS.Signals): void => {
    for (const found of find()) {
      ended.set(found.pid, found);
      signalOne(found.pid, signal(found));
    }
  };
  // SIGQUIT is PostgreSQL's immediate shutdown: it gives back shared memory, which SIGKILL does not.
  signalAll(({ command }) => (command.includes("postgres") ? "SIGQUIT" : "SIGTERM"));
  if (ended.size === 0 || (await holdsWithin(3_000, () => find().length === 0))) return [...ended.values()];
  const gone = await holdsWithin(10_000, () => {
    signalAll(() => "SIGKILL");
    return find().length === 0;
  });
  if (!gone)
    throw new Error(
      `Cannot be ended: ${find()
        .map(({ pid }) => pid)
        .join(", ")}`,
    );
  return [...ended.values()];
}

function signalOne(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It ended by itself.
  }
}
