import { AsyncLocalStorage } from "node:async_hooks";
import { createRequire } from "node:module";
import process from "node:process";
import { inject } from "vitest";
import type * as Commands from "../setup/commands.ts";
import { program, type Ran } from "./program.ts";

/** What was printed by a command that runs in this process. */
type Printed = Record<"stdout" | "stderr", string>;

const printed = new AsyncLocalStorage<Printed>();
let loaded: typeof Commands | undefined;

/** The program's commands, loaded into this process once. */
export function commands(): typeof Commands {
  if (loaded) return loaded;
  program();
  const bundle: typeof Commands = createRequire(import.meta.url)(inject("commands"));
  for (const name of ["stdout", "stderr"] as const) keepWhatIsPrinted(name);
  loaded = bundle;
  return bundle;
}

/** Of commands alone: what the test itself prints goes on. */
function keepWhatIsPrinted(name: "stdout" | "stderr"): void {
  const stream = process[name];
  const write = stream.write.bind(stream);
  stream.write = (chunk: string | Uint8Array, ...rest: unknown[]): boolean => {
    const into = printed.getStore();
    const [encoding, done] = typeof rest[0] === "string" ? [rest[0], rest[1]] : [undefined, rest[0]];
    const told = typeof done === "function" ? () => void Reflect.apply(done, undefined, []) : undefined;
    if (!into) return write(chunk, encoding === "latin1" ? "latin1" : "utf8", told);
    into[name] += typeof chunk === "string" ? chunk : Buffer.from(chunk).toString("utf8");
    if (told) queueMicrotask(told);
    return true;
  };
}

/**
 * Runs a command in this process: a process of its own for each is most of what short tests would cost. What only a
 * process has (another user, signals, standard input, its own environment) is not seen here.
 * @param timeout milliseconds
 * @throws Error at the timeout; the command goes on
 */
export async function runHere(
  args: readonly string[],
  options: {
    readonly environment: Readonly<Record<string, string>>;
    readonly cwd: string;
    readonly timeout: number;
  },
): Promise<Ran> {
  const { runProgram } = commands();
  const into: Printed = { stdout: "", stderr: "" };
  const ended = printed.run(
    into,
    async () =>
      await runProgram({
        args,
        environment: options.environment,
        cwd: options.cwd,
        program: [process.execPath, program()],
        called: "odoo-pg",
      }),
  );
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), options.timeout);
  });
  const exitCode = await Promise.race([ended, late]).finally(() => clearTimeout(timer));
  if (exitCode !== undefined) return { ...into, exitCode };
  ended.catch(() => {});
  throw new Error(
    `odoo-pg ${args.join(" ")} did not end within ${options.timeout / 1000} s\n${into.stdout}\n${into.stderr}`,
  );
}
