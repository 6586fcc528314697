import { readFileSync } from "node:fs";
import { execa, type Options } from "execa";
import { dirname, join } from "node:path";
import { inject } from "vitest";
import { isAlive } from "./processes.ts";
import { atEnd } from "./scope.ts";

export interface Ran {
  readonly stdout: string;
  readonly stderr: string;
  /** 128 and above: ended by a signal. */
  readonly exitCode: number;
}

export interface RunOptions {
  /** Added to an otherwise nearly empty environment. */
  readonly env?: Readonly<Record<string, string>>;
  readonly input?: string;
  /** Milliseconds; default 60 000. */
  readonly timeout?: number;
  readonly cwd?: string;
  /** User to run as; default the present one. */
  readonly user?: User;
  /** In a process of its own, as a user would, also where the test's own would do. */
  readonly apart?: boolean;
  /** Another program than the one of this run, such as an earlier version. */
  readonly program?: string;
}

const TIMEOUT = 60_000;

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** The built program of this run. */
export function program(): string {
  const error = inject("buildError");
  if (error !== "") throw new Error(`The program cannot be built: ${error}`);
  return inject("program");
}

let build: string | undefined;

/** Which build the program of this run is, as its agent says it. */
export function buildOfProgram(): string {
  build ??= /odoo-pg-build-[0-9a-f]{16}/.exec(readFileSync(program(), "utf8"))?.[0];
  if (build === undefined) throw new Error("The program does not say which build it is");
  return build;
}

/**
 * Runs the built program to its end, as a user would, and returns what it printed, whatever its exit status.
 * @throws Error at the time limit
 */
export async function runProgram(
  args: readonly string[],
  options: RunOptions & { readonly home: string },
): Promise<Ran> {
  const timeout = options.timeout ?? TIMEOUT;
  const result = await execa(process.execPath, [options.program ?? program(), ...args], {
    ...surroundings(options),
    timeout,
    ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
  });
  if (result.timedOut) {
    throw new Error(
      `odoo-pg ${args.join(" ")} did not end within ${timeout / 1000} s\n${result.stdout}\n${result.stderr}`,
    );
  }
  return { stdout: result.stdout, stderr: result.stderr, exitCode: exitCodeOf(result) };
}

/** A program that runs beside the test; killed at the end of the present test when it still runs. */
export interface Running {
  readonly pid: number;
  /** What it has written to its standard output until now. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly signal: (signal: NodeJS.Signals) => void;
  /** What it printed, when it has ended. */
  readonly ended: Promise<Ran>;
}

/** Starts the built program, as `runProgram`, and does not wait for its end. */
export function startProgram(
  args: readonly string[],
  options: Omit<RunOptions, "input" | "timeout"> & { readonly home: string },
): Running {
  const child = execa(process.execPath, [program(), ...args], { ...surroundings(options), stdin: "ignore" });
  const { pid } = child;
  if (pid === undefined) throw new Error("The program cannot be started");
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.on("data", (chunk: Buffer) => {
      texts[name] += chunk.toString("utf8");
    });
  }
  const ended = child.then((result) => ({ ...texts, exitCode: exitCodeOf(result) }));
  atEnd(async () => {
    if (isAlive(pid)) child.kill("SIGKILL");
    await ended;
  });
  return {
    pid,
    stdout: () => texts.stdout,
    stderr: () => texts.stderr,
    signal: (signal) => void child.kill(signal),
    ended,
  };
}

/** What a command of this run is called with, wherever it runs. */
export function placeOf(options: RunOptions & { readonly home: string }) {
  return {
    environment: {
      PATH: `${join(dirname(program()), "bin")}:${process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin"}`,
      TMPDIR: process.env["TMPDIR"] ?? "/tmp",
      HOME: options.home,
      LC_ALL: "C.UTF-8",
      ...options.env,
    },
    cwd: options.cwd ?? options.home,
    timeout: options.timeout ?? TIMEOUT,
  };
}

function surroundings(options: RunOptions & { readonly home: string }) {
  const { environment: env, cwd } = placeOf(options);
  return {
    env,
    cwd,
    extendEnv: false,
    ...options.user,
    reject: false,
    stripFinalNewline: false,
  } satisfies Options;
}

function exitCodeOf(result: { readonly exitCode?: number }): number {
  return result.exitCode ?? 128;
}
