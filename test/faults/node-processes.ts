import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { join } from "node:path";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

/** What can happen to the processes and the disk of one node. */
export interface NodeProcesses {
  readonly dataDir: string;
  /** Process id of the postmaster. */
  readonly pid: () => number;
  /** kill -9 of the postmaster; its children notice and end by themselves. */
  readonly killPostmaster: () => Promise<void>;
  /** The machine is gone: its data directory is out of reach, all its processes are killed in the same moment. */
  readonly lose: () => Promise<void>;
  /** The disk is back where it was. */
  readonly bringBack: () => void;
  /** SIGSTOP of all processes; they go on at `thaw`, or at the end of the test. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** The link to the primary is a black hole: the receiver hears nothing and answers nothing, the server goes on. */
  readonly cutLink: () => void;
  readonly mendLink: () => void;
  /** What archives its WAL hangs, until `thaw`. */
  readonly hangArchiver: () => void;
}

/** Processes are found from postmaster.pid and their parents, never by name alone. */
export function nodeProcesses(cluster: ThrowawayCluster, node: string): NodeProcesses {
  const dataDir = join(cluster.stateDir, "nodes", node, "data");
  const lost = `${dataDir}.lost`;
  const stopped = new Set<number>();
  const pid = (): number => cluster.postmaster(node);
  const stop = (pids: readonly number[]): void => {
    for (const one of pids) {
      process.kill(one, "SIGSTOP");
      stopped.add(one);
    }
  };
  const go = (): void => {
    for (const one of stopped) if (isAlive(one)) process.kill(one, "SIGCONT");
    stopped.clear();
  };
  return {
    dataDir,
    pid,
    async killPostmaster() {
      const killed = pid();
      process.kill(killed, "SIGKILL");
      await waitFor(`the postmaster of ${node} to be gone`, () => !isAlive(killed));
    },
    async lose() {
      const postmaster = pid();
      const memory = sharedMemoryOf(dataDir);
      const all = [postmaster, ...childrenOf(postmaster)];
      renameSync(dataDir, lost);
      for (const one of all) killed(one);
      await waitFor(`all of ${node} to be gone`, () => !all.some(isAlive));
      // Only a server on the same data would give it back.
      if (memory !== undefined) atEnd(() => removeSharedMemory(memory));
    },
    bringBack: () => renameSync(lost, dataDir),
    freeze() {
      atEnd(go);
      // The postmaster first: it makes no new children then.
      stop([pid()]);
      stop(childrenOf(pid()));
    },
    thaw: go,
    cutLink() {
      atEnd(go);
      const receivers = childrenOf(pid()).filter((child) => commandOf(child).includes("walreceiver"));
      if (receivers.length === 0) throw new Error(`${node} has no WAL receiver`);
      stop(receivers);
    },
    mendLink: go,
    hangArchiver() {
      atEnd(go);
      const archivers = childrenOf(pid()).filter((child) => commandOf(child).includes("archiver"));
      if (archivers.length === 0) throw new Error(`${node} has no archiver`);
      stop(archivers);
    },
  };
}

function killed(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It ended by itself.
  }
}

/** Children of a process, by /proc. */
export function childrenOf(parent: number): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => parentOf(name) === parent)
    .map(Number);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch {
    return undefined;
  }
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8");
  } catch {
    return "";
  }
}

/** The id of the shared memory segment by which servers on the same data recognise each other: postmaster.pid, line 7. */
function sharedMemoryOf(dataDir: string): string | undefined {
  const file = join(dataDir, "postmaster.pid");
  if (!existsSync(file)) return undefined;
  return readFileSync(file, "utf8").split("\n")[6]?.trim().split(/\s+/)[1];
}

function removeSharedMemory(id: string): void {
  try {
    execFileSync("ipcrm", ["-m", id], { stdio: "ignore" });
  } catch {
    // A server that was started on the data again has removed it.
  }
}
