import { execa } from "execa";
import { inject } from "vitest";

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
}

/** The built program of this run. */
export function program(): string {
  const error = inject("buildError");
  if (error !== "") throw new Error(`The program cannot be built: ${error}`);
  return inject("program");
}

/**
 * Runs the built program to its end, as a user would, and returns what it printed, whatever its exit status.
 * @throws Error at the time limit
 */
export async function runProgram(
  args: readonly string[],
  options: RunOptions & { readonly home: string },
): Promise<Ran> {
  const timeout = options.timeout ?? 60_000;
  const result = await execa(process.execPath, [program(), ...args], {
    env: {
      PATH: process.env["PATH"] ?? "/usr/local/bin:/usr/bin:/bin",
      TMPDIR: process.env["TMPDIR"] ?? "/tmp",
      HOME: options.home,
      LC_ALL: "C.UTF-8",
      ...options.env,
    },
    extendEnv: false,
    cwd: options.cwd ?? options.home,
    reject: false,
    stripFinalNewline: false,
    timeout,
    ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
  });
  if (result.timedOut) {
    throw new Error(
      `odoo-pg ${args.join(" ")} did not end within ${timeout / 1000} s\n${result.stdout}\n${result.stderr}`,
    );
  }
  return { stdout: result.stdout, stderr: result.stderr, exitCode: result.exitCode ?? 128 };
}
