import { spawn } from "node:child_process";
import { onLifeline } from "./attended.ts";
import { childEnvironment, loadExeca, programFailure } from "./child.ts";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";
import { Readable } from "node:stream";
import { OdooPgError } from "../../errors.ts";
import { monotonic, pause } from "../clock.ts";
import type { Owner } from "../files/files.ts";

export interface RunOptions {
  /** User to run as; the present one when undefined. */
  readonly owner?: Owner | undefined;
  /** The whole environment of the child besides PATH and locale: nothing else is inherited. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Milliseconds; default 60 000. 0 means no timeout. What may take longer than the default ends with this process. */
  readonly timeout?: number;
  readonly cwd?: string;
  /** Called with what the program writes to its standard error, as it comes. */
  readonly onStderr?: (text: string) => void;
  readonly signal?: AbortSignal | undefined;
  /** By how much others go first where they want the same processor: nice(1). */
  readonly niceness?: number;
}

export interface Ran {
  /** 128 and above: ended by a signal. */
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Ends what is left of the process group of a program that was killed. */
function endGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nothing is left of it.
  }
}

/** Milliseconds for a program that says nothing else. */
const TIMEOUT = 60_000;

/** Exit status of a shell that does not find a program, or may not run it. */
const NOT_STARTED = [126, 127];

/**
 * Runs a program to its end and returns what it printed, whatever its exit status. No shell reads its arguments.
 * A program that is killed, by its timeout or by anybody, takes its helpers along: pg_basebackup's second process would
 * go on, hold the slot, and keep the output open for ever. One that may take long does not outlive this process: a base
 * backup that is still written, or a copy that is still made, would be in the way of the next one.
 * @throws OdooPgError program_missing when it cannot be started, timed_out at the timeout.
 */
export async function run(program: string, args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  const timeout = options.timeout ?? TIMEOUT;
  const { execa } = await loadExeca();
  const attended = timeout === 0 || timeout > TIMEOUT;
  const words = options.niceness === undefined ? [] : ["nice", "-n", String(options.niceness)];
  const [first = program, ...rest] = [...words, program, ...args];
  const [started, given] = attended ? onLifeline(first, rest) : [first, rest];
  const stdin = options.input === undefined ? "ignore" : "pipe";
  const child = execa(started, given, {
    env: childEnvironment(options.environment),
    extendEnv: false,
    cwd: options.cwd ?? "/",
    reject: false,
    timeout,
    // A process group of its own.
    detached: true,
    stdio: attended ? [stdin, "pipe", "pipe", "pipe"] : [stdin, "pipe", "pipe"],
    ...(options.input === undefined ? {} : { input: options.input }),
    ...(options.owner ? { uid: options.owner.uid, gid: options.owner.gid } : {}),
    ...(options.signal ? { cancelSignal: options.signal } : {}),
  });
  child.once("exit", (code, signal) => {
    // A shell tells by its exit status that a signal ended what it ran.
    const killed = signal !== null || (attended && code !== null && code > 128);
    if (killed && child.pid !== undefined) endGroup(child.pid);
  });
  const { onStderr } = options;
  if (onStderr) child.stderr?.on("data", (chunk: Buffer) => onStderr(chunk.toString("utf8")));
  const result = await child;
  if (result.timedOut) {
    throw new OdooPgError("timed_out", {
      message: `${program} did not end within ${timeout / 1000} s; it was stopped.`,
    });
  }
  if (result.isCanceled) throw new OdooPgError("interrupted", { message: `${program} was interrupted.` });
  const exitCode = result.exitCode ?? 128;
  const notStarted = result.exitCode === undefined && result.signal === undefined;
  if (notStarted || (attended && NOT_STARTED.includes(exitCode))) {
    throw new OdooPgError("program_missing", {
      message: `${program} cannot be started: ${result.originalMessage ?? result.stderr ?? ""}`,
    });
  }
  return {
    exitCode,
    stdout: result.stdout ?? "",
    stderr: result.stderr ?? "",
  };
}

/** As `run`, but an exit status other than 0 is an error that holds the program's last words. */
export async function runOrFail(
  program: string,
  args: readonly string[],
  options: RunOptions = {},
): Promise<Ran> {
  const ran = await run(program, args, options);
  if (ran.exitCode === 0) return ran;
  throw programFailure(program, `failed (exit status ${ran.exitCode})`, ran.stderr.trim() || ran.stdout);
}

/**
 * Runs a program in the user's own terminal; returns its exit status.
 * @param environment goes before the user's own
 * @param inherits which variables of the user's own it gets
 */
export async function runInTerminal(
  program: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  inherits: (name: string) => boolean,
): Promise<number> {
  const { execa } = await loadExeca();
  const own = Object.entries(process.env).filter(([name]) => inherits(name));
  const env = { ...Object.fromEntries(own), ...environment };
  const child = execa(program, args, { stdio: "inherit", env, extendEnv: false, reject: false });
  // Ctrl-C belongs to the program in the foreground (psql cancels a query with it).
  const ignore = (): void => {};
  process.on("SIGINT", ignore);
  try {
    const result = await child;
    return result.exitCode ?? 128;
  } finally {
    process.off("SIGINT", ignore);
  }
}

/**
 * Arguments of Node.js for an odoo-pg that stays. By default V8 lets the room for young objects grow to 48 MB, which one
 * that does little, for months, has filled and keeps; with 6 MB it takes as much of the processor.
 */
export const SMALL_HEAP: readonly string[] = ["--max-semi-space-size=2"];

export interface Started {
  readonly pid: number;
  /** Resolves when the process ended, as long as this process lives: with its exit status, null where a signal ended it. */
  readonly ended: Promise<number | null>;
}

/**
 * Starts a server that outlives this process: own session, no terminal, output to a log file. The log is this user's, in
 * a directory that no other user changes; the server only goes on writing to it.
 * @throws OdooPgError program_missing when it cannot be started.
 */
export async function startDetached(
  program: string,
  args: readonly string[],
  options: {
    owner?: Owner | undefined;
    logFile: string;
    environment?: Readonly<Record<string, string>>;
    cwd?: string;
  },
): Promise<Started> {
  const log = openSync(options.logFile, "a", 0o600);
  try {
    // Not by execa: the log has to be the child's own file, not a stream that ends with this process.
    const child = spawn(program, args, {
      detached: true,
      stdio: ["ignore", log, log],
      cwd: options.cwd ?? "/",
      env: childEnvironment(options.environment),
      ...(options.owner ? { uid: options.owner.uid, gid: options.owner.gid } : {}),
    });
    const ended = new Promise<number | null>((resolve) => {
      child.once("exit", (code) => resolve(code));
      child.once("error", () => resolve(null));
    });
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", (error) =>
        reject(
          new OdooPgError("program_missing", {
            message: `${program} cannot be started: ${error.message}`,
            cause: error,
          }),
        ),
      );
    });
    child.unref();
    return { pid: child.pid ?? 0, ended };
  } finally {
    closeSync(log);
  }
}

/** Whether a process with this id lives; one that ended and was not waited for yet (a zombie) does not. */
export function isAlive(pid: number): boolean {
  return exists(pid) && processState(pid) !== "Z";
}

/** Whether the id is taken, be it by a zombie. */
function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** One letter as in ps: R, S, D, T (stopped), Z …; undefined where /proc is not there or the process is gone. */
export function processState(pid: number): string | undefined {
  return procStat(pid)?.[0];
}

/** The fields of /proc/PID/stat from the state on (field 3), after the name in parentheses. */
function procStat(pid: number): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch {
    return undefined;
  }
}

/**
 * A text that tells this process from any later one with the same id: start time in clock ticks since boot
 * (proc(5), field 22), with the boot's id. Elsewhere what ps says. Undefined when the process is gone: also when only
 * its entry is left, because its parent has not collected its exit status yet (in a container perhaps never).
 */
export async function processIdentity(pid: number): Promise<string | undefined> {
  const stat = procStat(pid);
  if (stat?.[0] === "Z") return undefined;
  if (stat) {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    return `${boot}/${stat[19] ?? ""}`;
  }
  if (process.platform === "linux") return undefined;
  const ps = await run("ps", ["-o", "lstart=", "-p", String(pid)]);
  return ps.exitCode === 0 ? ps.stdout.trim() : undefined;
}

/** Start of a process in seconds since the epoch, or undefined. Source: btime of /proc/stat plus field 22 at 100 ticks a second. */
export async function processStartSeconds(pid: number): Promise<number | undefined> {
  const stat = procStat(pid);
  if (stat) {
    const boot = /^btime (\d+)$/m.exec(readFileSync("/proc/stat", "utf8"))?.[1];
    return boot === undefined ? undefined : Number(boot) + Number(stat[19]) / 100;
  }
  if (process.platform === "linux") return undefined;
  const ps = await run("ps", ["-o", "lstart=", "-p", String(pid)], { environment: { TZ: "UTC" } });
  const parsed = Date.parse(`${ps.stdout.trim()} UTC`);
  return Number.isNaN(parsed) ? undefined : parsed / 1000;
}

export type Signal =
  | "SIGTERM"
  | "SIGINT"
  | "SIGQUIT"
  | "SIGHUP"
  | "SIGKILL"
  | "SIGUSR1"
  | "SIGUSR2"
  | "SIGCONT";

/** Sends a signal; says whether there was a process to take it. */
export function sendSignal(pid: number, signal: Signal): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false;
    throw error;
  }
}

/** Waits until a process is gone; false when it is still there after `timeout` milliseconds. */
export async function waitForEnd(pid: number, timeout: number): Promise<boolean> {
  const start = monotonic();
  while (isAlive(pid)) {
    if (monotonic() - start > timeout) return false;
    await pause(10);
  }
  return true;
}

/** Calls `act` at each of the signals instead of ending the process. Returns what takes that back. */
export function onSignals(signals: readonly Signal[], act: (signal: Signal) => void): () => void {
  const listeners = signals.map((signal) => ({ signal, listener: (): void => act(signal) }));
  for (const { signal, listener } of listeners) process.on(signal, listener);
  return () => {
    for (const { signal, listener } of listeners) process.off(signal, listener);
  };
}

/** Sends this process a signal, as another process would. */
export function endSelf(signal: Signal): void {
  process.kill(process.pid, signal);
}

export const ownPid: number = process.pid;

export interface Companion {
  /** Exit status, once it has ended and all was read; 128 when a signal ended it. */
  readonly ended: Promise<number>;
  /** Asks it to end, and kills it with its helpers after `timeout` milliseconds. Resolves when it is gone. */
  readonly end: (timeout: number) => Promise<void>;
}

/** Characters of a line that are passed on: a program may write without an end. */
const LINE_LIMIT = 2000;

/**
 * Starts a program that goes on beside this one and passes on each line that it writes. Its standard input stays open
 * as long as this process lives: by its end the program knows that nobody waits for it any more. When it cannot be
 * started, that is its only line, and the exit status is 128.
 */
export function startCompanion(
  program: string,
  args: readonly string[],
  options: {
    readonly environment: Readonly<Record<string, string>>;
    readonly onLine: (line: string) => void;
    /** Called with each line that it tells beside its output, at TOLD_BY. */
    readonly onTold?: (line: string) => void;
  },
): Companion {
  const { environment, onLine, onTold = () => {} } = options;
  const child = spawn(program, args, {
    detached: true,
    stdio: ["pipe", "pipe", "pipe", "pipe"],
    cwd: "/",
    env: childEnvironment(environment),
  });
  // It may end without ever reading.
  child.stdin.on("error", () => {});
  const ended = new Promise<number>((resolve) => {
    child.once("error", (error) => {
      onLine(`${program} cannot be started: ${error.message}`);
      resolve(128);
    });
    child.once("close", (code) => resolve(code ?? 128));
  });
  child.once("exit", (_code, signal) => {
    if (signal !== null && child.pid !== undefined) endGroup(child.pid);
  });
  const told = child.stdio[TOLD_BY];
  for (const [output, pass] of [
    [child.stdout, onLine],
    [child.stderr, onLine],
    [told instanceof Readable ? told : Readable.from([]), onTold],
  ] as const) {
    let rest = "";
    output.setEncoding("utf8");
    output.on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = (lines.pop() ?? "").slice(0, LINE_LIMIT);
      for (const line of lines) pass(line.slice(0, LINE_LIMIT));
    });
    output.once("end", () => {
      if (rest !== "") pass(rest);
    });
  }
  return {
    ended,
    end: async (timeout) => {
      child.kill("SIGTERM");
      const kill = setTimeout(() => child.pid !== undefined && endGroup(child.pid), timeout);
      await ended;
      clearTimeout(kill);
    },
  };
}

/** Where a companion tells its starter how far it is. */
const TOLD_BY = 3;

/** Tells the starter of this program, if it is a companion; otherwise does nothing. */
export function tellStarter(line: string): void {
  try {
    writeSync(TOLD_BY, `${line}\n`);
  } catch {
    // Nobody listens, or not fast enough: the next line tells more.
  }
}

/** Calls `act` when the process at the other end of our standard input is gone. */
export function whenInputEnds(act: () => void): void {
  process.stdin.once("close", act);
  process.stdin.resume();
}
