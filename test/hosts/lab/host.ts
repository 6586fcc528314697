import { type ChildProcess, type ChildProcessWithoutNullStreams, spawn, spawnSync } from "node:child_process";
import {
  appendFileSync,
  mkdirSync,
  openSync,
  closeSync,
  readdirSync,
  readFileSync,
  readlinkSync,
} from "node:fs";
import { join } from "node:path";
import { execa } from "execa";
import { debian13Programs } from "../../../scripts/setup/debian-13.mjs";
import { type Process } from "../../support/processes.ts";
import { waitFor } from "../../support/wait.ts";

/** Where a host sees its own disk: a folder of the lab, mounted there for this host alone. */
export const DISK = "/srv";

/** The first process of a host: it collects those that nobody waits for, as the first process of any system does. */
const FIRST_PROCESS = `ip link set lo up; while :; do sleep 3600 & wait; done`;

export interface HostRunOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds; default 60 000. */
  readonly timeout?: number;
  /** Run as the servers' user instead of root. */
  readonly asServers?: boolean;
  readonly input?: string;
}

/** A program that runs on a host until somebody ends it. */
export interface Service {
  readonly name: string;
  readonly ended: () => boolean;
  readonly log: () => string;
}

/**
 * A host: namespaces of its own for network, processes, mounts and name. The kernel ends all its processes with the first
 * one, and that one with whoever made the host: nothing is left of it after a kill either.
 */
export class Host {
  readonly name: string;
  readonly address: string;
  /** Its disk, as seen from outside. */
  readonly folder: string;
  readonly #maker: ChildProcess;
  /** Its first process, as seen from outside. */
  readonly #pid: number;
  readonly #namespace: string;
  readonly #entering: ChildProcess[] = [];

  private constructor(name: string, address: string, folder: string, maker: ChildProcess, pid: number) {
    this.name = name;
    this.address = address;
    this.folder = folder;
    this.#maker = maker;
    this.#pid = pid;
    this.#namespace = readlinkSync(`/proc/${pid}/ns/pid`);
  }

  static async make(name: string, address: string, folder: string): Promise<Host> {
    mkdirSync(folder, { recursive: true, mode: 0o755 });
    const namespaces = "--net --pid --uts --mount --propagation private --mount-proc --fork".split(" ");
    const first = `mount --bind ${folder} ${DISK}; hostname ${name}; ${FIRST_PROCESS}`;
    const unshare = ["unshare", ...namespaces, "--kill-child=KILL", "sh", "-c", first];
    const maker = spawn("setpriv", ["--pdeathsig", "KILL", ...unshare], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    let words = "";
    maker.stderr.on("data", (chunk: Buffer) => (words += chunk.toString("utf8")));
    let pid: number | undefined;
    await waitFor(`host ${name} to begin (${words})`, () => {
      pid = childrenOf(maker.pid ?? 0)[0];
      // It has come so far that it sleeps: its mounts are made.
      return pid !== undefined && childrenOf(pid).length > 0;
    });
    return new Host(name, address, folder, maker, pid ?? 0);
  }

  /** The process that stands for it where something is asked to happen in its namespaces. */
  get pid(): number {
    return this.#pid;
  }

  #entered(asServers: boolean): readonly string[] {
    const user = ["--reuid=postgres", "--regid=postgres", "--init-groups", "--"];
    const enter = ["nsenter", "--target", String(this.#pid), "--net", "--pid", "--uts", "--mount", "--wd=/"];
    return [...enter, "--", ...(asServers ? ["setpriv", ...user] : [])];
  }

  /** Runs a command to its end and returns what it printed, whatever its exit status. */
  async run(command: readonly string[], options: HostRunOptions = {}) {
    const [program = "", ...args] = [...this.#entered(options.asServers ?? false), ...command];
    const result = await execa(program, args, {
      env: { ...surroundings(), ...options.env },
      extendEnv: false,
      reject: false,
      timeout: options.timeout ?? 60_000,
      ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
    });
    if (result.timedOut)
      throw new Error(`${this.name}: ${command.join(" ")} did not end\n${result.stdout}\n${result.stderr}`);
    return { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode ?? 128 };
  }

  /** The same, which must succeed. @returns what it printed */
  async do(command: readonly string[], options: HostRunOptions = {}): Promise<string> {
    const ran = await this.run(command, options);
    if (ran.exitCode === 0) return ran.stdout;
    throw new Error(
      `${this.name}: ${command.join(" ")} ended with ${ran.exitCode}\n${ran.stdout}\n${ran.stderr}`,
    );
  }

  /** Starts a program that stays; what it writes is kept in NAME.log on the host's disk. */
  start(name: string, command: readonly string[], options: Omit<HostRunOptions, "timeout"> = {}): Service {
    const file = join(this.folder, `${name}.log`);
    appendFileSync(file, `== ${command.join(" ")}\n`);
    const log = openSync(file, "a");
    const [program = "", ...args] = [...this.#entered(options.asServers ?? false), ...command];
    const child = spawn(program, args, {
      env: { ...surroundings(), ...options.env },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    this.#entering.push(child);
    let ended = false;
    child.on("exit", () => (ended = true));
    child.on("error", (error) => {
      ended = true;
      appendFileSync(file, `${error.message}\n`);
    });
    return { name, ended: () => ended, log: () => readFileSync(file, "utf8") };
  }

  /** Starts a program that one talks with by its standard input and output. */
  converse(
    command: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): ChildProcessWithoutNullStreams {
    const [program = "", ...args] = [...this.#entered(false), ...command];
    const child = spawn(program, args, { env: { ...surroundings(), ...env } });
    this.#entering.push(child);
    return child;
  }

  /** Its processes, by their numbers as seen from outside; without the first. */
  processes(command = /./): readonly Process[] {
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name) || Number(name) === this.#pid) return [];
      try {
        if (readlinkSync(`/proc/${name}/ns/pid`) !== this.#namespace) return [];
        const words = readFileSync(`/proc/${name}/cmdline`, "utf8").replaceAll("\0", " ").trim();
        return command.test(words) ? [{ pid: Number(name), command: words }] : [];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
  }

  /** Sends a signal to all that match. @throws Error where none does: a fault that hits nobody proves nothing */
  signal(command: RegExp, signal: NodeJS.Signals): void {
    const found = this.processes(command);
    if (found.length === 0) throw new Error(`${this.name}: no process matches ${String(command)}`);
    const reached = found.filter(({ pid }) => {
      try {
        return process.kill(pid, signal);
      } catch {
        return false; // It has ended meanwhile.
      }
    });
    if (reached.length === 0) throw new Error(`${this.name}: what matches ${String(command)} has ended`);
  }

  /** Waits until no process matches. */
  async gone(command: RegExp): Promise<void> {
    await waitFor(`${this.name}: the end of ${String(command)}`, () => this.processes(command).length === 0);
  }

  /** Takes its cable out; what runs on it goes on. */
  unplug(): void {
    this.#net("ip", "link", "set", "eth0", "down");
  }

  plugIn(): void {
    this.#net("ip", "link", "set", "eth0", "up");
  }

  /** Runs a program of the system in its network. */
  #net(...command: readonly string[]): void {
    inNetwork(this.#pid, command);
  }

  /** Drops packets that come in and match an expression of nft, until `heal`. */
  drop(expression: string): void {
    const script = `add table inet lab
add chain inet lab in { type filter hook input priority 0; }
add rule inet lab in ${expression} drop
`;
    inNetwork(this.#pid, ["nft", "-f", "-"], script);
  }

  heal(): void {
    inNetwork(this.#pid, ["nft", "-f", "-"], "add table inet lab\ndelete table inet lab\n");
  }

  /** Ends the host and all that runs on it. */
  async end(): Promise<void> {
    const gone = new Promise((resolve) => this.#maker.once("exit", resolve));
    if (this.#maker.exitCode === null && this.#maker.signalCode === null) {
      process.kill(this.#pid, "SIGKILL");
      // What nsenter started was stopped, and so was nsenter itself: nobody would collect what has ended.
      for (const child of this.#entering) child.kill("SIGCONT");
      await gone;
    }
    await waitFor(`${this.name} to end`, () => this.processes().length === 0);
  }
}

/** Runs a program in the network of a process. @throws Error with what it wrote */
export function inNetwork(pid: number, command: readonly string[], input = ""): void {
  const args = ["--target", String(pid), "--net", "--", ...command];
  const { status, stderr } = spawnSync("nsenter", args, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command.join(" ")}: ${stderr}`);
}

function childrenOf(pid: number): readonly number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

function surroundings() {
  return {
    PATH: `${debian13Programs}:${process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}:/usr/sbin:/sbin`,
    HOME: DISK,
    TMPDIR: "/tmp",
    LC_ALL: "C.UTF-8",
  };
}
