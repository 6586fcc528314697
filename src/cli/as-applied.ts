import { readApplied } from "../store/state.ts";
import { layoutOf } from "../config/layout.ts";
import { OdooPgError } from "../errors.ts";
import { readMachine } from "../system/machine.ts";
import { endSelf, tellStarter, whenInputEnds } from "../system/process/process.ts";
import type { Invocation, Output } from "../system/terminal.ts";
import { loadContext, type Context } from "./context.ts";

/** A command's options from the configuration that was applied last, whatever its file says by now. */
export async function appliedContext(
  invocation: Invocation,
  output: Output,
  stateDir: string,
): Promise<Context> {
  const layout = layoutOf(stateDir);
  const applied = await readApplied(layout);
  if (!applied) throw new OdooPgError("not_running", { message: `Nothing was started in ${stateDir}.` });
  return {
    invocation,
    output,
    machine: readMachine(),
    config: applied.config,
    origins: new Map(),
    secrets: {},
    layout,
    configFile: applied.config_file ?? undefined,
  };
}

/** Runs another command line. @param load where its configuration comes from */
export type RunProgram = (invocation: Invocation, load: typeof loadContext) => Promise<number>;

/**
 * Runs a command with the configuration that was applied last, or with the file that it names: what the agent starts
 * for the console.
 * @param flags whileInputOpen: end cleanly, as at Ctrl-C, when the starting process is gone; tellProgress: report
 *   progress to it
 */
export async function asApplied(
  invocation: Invocation,
  flags: { readonly stateDir: string; readonly whileInputOpen?: boolean; readonly tellProgress?: boolean },
  runProgram: RunProgram,
): Promise<number> {
  if (flags.whileInputOpen) whenInputEnds(() => endSelf("SIGTERM"));
  const dashes = invocation.args.indexOf("--");
  if (dashes === -1) throw new OdooPgError("usage", { message: "The command goes after --." });
  const args = invocation.args.slice(dashes + 1);
  return await runProgram({ ...invocation, args }, async (inner, output, file) => {
    const told = flags.tellProgress ? { ...output, tell: tellStarter } : output;
    // A file is named where it is to be applied: what was applied is what it replaces.
    return file === undefined
      ? await appliedContext(inner, told, flags.stateDir)
      : await loadContext(inner, told, file);
  });
}
