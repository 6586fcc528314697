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

function inProc(mentions: (text: string) => boolean): readonly Process[] {
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    const command = orEmpty(() => readFileSync(`/proc/${name}/cmdline`, "utf8"))
      .replaceAll("\0", " ")
      .trim();
    return mentions(command) || placesOf(name).some(mentions) ? [{ pid: Number(name), command }] : [];
  });
}

/** Working directory and open files of a process. */
function placesOf(pid: string): readonly string[] {
  try {
    const cwd = readlinkSync(`/proc/${pid}/cwd`);
    const open = readdirSync(`/proc/${pid}/fd`).map((fd) =>
      orEmpty(() => readlinkSync(`/proc/${pid}/fd/${fd}`)),
    );
    return [cwd, ...open];
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EACCES" ? asItsOwner(pid) : [];
  }
}

/** Root in a container may lack the right to look at others' processes (CAP_SYS_PTRACE); their user has it. */
function asItsOwner(pid: string): readonly string[] {
  if (process.geteuid?.() !== 0) return [];
  try {
    const { uid, gid } = statSync(`/proc/${pid}`);
    const places = [`/proc/${pid}/cwd`, `/proc/${pid}/fd`];
    const found = spawnSync("find", [...places, "-type", "l", "-printf", "%l\n"], {
      uid,
      gid,
      encoding: "utf8",
    });
    return found.stdout.split("\n");
  } catch {
    return [];
  }
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
