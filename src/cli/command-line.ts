import { Command, CommanderError, Help } from "commander";
import { folded, OdooPgError, toOdooPgError } from "../errors.ts";
import { afterCall, type NextText } from "../next-step.ts";
import { printableLine } from "../printable.ts";
import { openOutput, type Invocation, type Output } from "../system/terminal.ts";
import {
  asItsUser,
  fileNamedBy,
  loadContext,
  suggest,
  refuseForeignConfig,
  type Context,
} from "./context.ts";
import { helpFor, understand, usageError } from "./usage.ts";
import { EXAMPLES } from "./examples.ts";
import { forHosts } from "./hosts/several.ts";
import { whichCluster, type Needs } from "./which-cluster.ts";

/** How a command was called. Flags have their names in camel case. */
export interface Call {
  /** Its name, after that of its group: `db list`. */
  readonly command: string;
  readonly args: readonly string[];
  /** Whether one JSON document is wanted. */
  readonly json: boolean;
  /** Whether a flag is set. */
  readonly on: (flag: string) => boolean;
  /** The value of a flag. */
  readonly text: (flag: string) => string | undefined;
}

type Action = (...received: unknown[]) => Promise<void>;

/** What commands are added to. */
export interface CommandLine {
  readonly invocation: Invocation;
  readonly root: Command;
  /** Commands that follow are listed in the help under this heading. */
  readonly group: (heading: string) => void;
  readonly command: (name: string, description: string) => Command;
  readonly add: (parent: Command, name: string, description: string) => Command;
  /**
   * The action of a command that works on the cluster: its configuration is loaded first, and root works in another
   * user's cluster with that user's rights.
   * @param options taking: it makes a state directory of odoo-pg up to 0.1 root's; needs: what it needs of a cluster,
   *   default one that is there
   */
  readonly withContext: (
    act: (context: Context, call: Call) => Promise<number> | number,
    where?: Invocation,
    options?: { readonly taking?: boolean; readonly needs?: Needs },
  ) => Action;
  /** The action of a command that finds its configuration itself. */
  readonly plainly: (act: (output: Output, call: Call) => Promise<number>) => Action;
  /** Runs the command that was called. @returns its exit status */
  readonly run: () => Promise<number>;
}

const CONFIG_FLAG = [
  "--config <file>",
  "configuration (else ODOO_PG_CONFIG, ./odoo-pg.yaml, or the defaults)",
] as const;

/** Examples come before everything else in each command's help. */
class HelpWithExamples extends Help {
  override formatHelp(command: Command, helper: Help): string {
    const group = command.parent?.parent ? `${command.parent.name()} ` : "";
    const examples = EXAMPLES[`${group}${command.name()}`];
    const head = examples ? `Examples:\n${examples.map((line) => `  ${line}`).join("\n")}\n\n` : "";
    return head + super.formatHelp(command, helper);
  }
}

/** @param load where the configuration comes from */
export function newCommandLine(
  invocation: Invocation,
  version: string,
  load: typeof loadContext,
): CommandLine {
  let status = 0;
  // Until the flags are known.
  let output = openOutput(undefined, invocation.called);
  let json = false;
  let quiet = false;
  let configFlag: string | undefined;

  const root = new Command("odoo-pg")
    .description("PostgreSQL for Odoo: a replicated cluster, fresh reads, safe operations.")
    .version(version, "-V, --version", "print the version")
    .option(...CONFIG_FLAG)
    .option("--no-color", "no colours (NO_COLOR and TERM=dumb say the same)")
    .helpOption("-h, --help", "print help")
    .showSuggestionAfterError(false)
    // A mistake in a command line is reported like every other error; a group without a command prints its help.
    .configureOutput({ outputError: () => {} })
    .addHelpText("after", "\nShell completion: odoo-pg completion bash|zsh|fish prints a script.")
    .enablePositionalOptions()
    .exitOverride();
  root.createHelp = () => new HelpWithExamples();

  const add = (parent: Command, name: string, description: string): Command => {
    const command = parent
      .command(name)
      .description(description)
      .option(...CONFIG_FLAG)
      .exitOverride();
    command.createHelp = () => new HelpWithExamples();
    return command;
  };

  const calledWith =
    (act: (call: Call) => Promise<number>): Action =>
    async (...received) => {
      const command = received.at(-1);
      if (!(command instanceof Command)) return;
      const flags: Record<string, unknown> = command.optsWithGlobals();
      const text = (flag: string): string | undefined => {
        const value = flags[flag];
        return typeof value === "string" ? value : undefined;
      };
      const on = (flag: string): boolean => flags[flag] === true;
      output = openOutput(flags["color"] === false ? false : undefined, invocation.called);
      json = on("json");
      configFlag = text("config");
      const group = command.parent?.parent ? `${command.parent.name()} ` : "";
      const name = `${group}${command.name()}`;
      if (quiet) output = { ...output, err: () => {} };
      status = await act({ command: name, args: command.args, json, on, text });
    };

  return {
    invocation,
    root,
    group: (heading) => void root.commandsGroup(`${heading}:`),
    command: (name, description) => add(root, name, description),
    add,
    withContext: (act, where = invocation, options = {}) =>
      calledWith(async (call) => {
        const named = await load(where, output, call.text("config"));
        const meant = await whichCluster(named, options.needs ?? "cluster", async (file) => {
          configFlag = file;
          return await load(where, output, file);
        });
        const context = await asItsUser(meant, options);
        await refuseForeignConfig(context);
        return await act(await forHosts(context, call.command), call);
      }),
    plainly: (act) => calledWith(async (call) => await act(output, call)),
    run: async () => {
      try {
        const { args, quiet: isQuiet } = understand(root, invocation.args);
        quiet = isQuiet;
        await root.parseAsync([...args], { from: "user" });
        return status;
      } catch (thrown) {
        // Commander has already printed its own output: help and version end well.
        if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
        if (thrown instanceof CommanderError && thrown.code === "commander.help") return 2;
        const mistaken = thrown instanceof CommanderError;
        json ||= mistaken && invocation.args.includes("--json");
        const error = withHelp(
          mistaken ? usageError(root, invocation.args, thrown) : toOdooPgError(thrown),
          helpFor(root, invocation.args),
        );
        // A refused line was not parsed: without its file the next step would be about another cluster.
        configFlag ??= configIn(invocation.args);
        printError(
          openOutput(undefined, invocation.called),
          error,
          json,
          invocation.args,
          fileNamedBy(invocation, configFlag),
        );
        return error.exit;
      }
    },
  };
}

/** The configuration file that a line names, whatever else it contains. */
function configIn(args: readonly string[]): string | undefined {
  const end = args.indexOf("--");
  const own = end === -1 ? args : args.slice(0, end);
  const at = own.findLastIndex((arg) => arg === "--config" || arg.startsWith("--config="));
  if (at === -1) return undefined;
  return own[at]?.startsWith("--config=") === true ? own[at].slice("--config=".length) : own[at + 1];
}

/** For a mistake in a line, the next step is its command's help, where nothing better is known. */
function withHelp(error: OdooPgError, help: NextText): OdooPgError {
  if (error.next !== undefined || error.exit !== 2) return error;
  const { code, message, safe, details } = error;
  return new OdooPgError(code, { message, next: help, details, ...(safe === undefined ? {} : { safe }) });
}

/** What happened, what is safe, what to do next. With --json the error is the one document. */
function printError(
  output: Output,
  error: OdooPgError,
  json: boolean,
  called: readonly string[],
  configFile: string | undefined,
): void {
  if (json) {
    output.out(JSON.stringify({ version: 1, error: error.toDocument(configFile, called) }, undefined, 2));
    return;
  }
  // A message of a server or a file may have many lines: the first says what is wrong, the others are its details.
  const [first = "", ...more] = error.message.split("\n");
  output.err(`Error (${error.code}): ${first}`);
  for (const detail of folded([...more.map((line) => line.trim()).filter(Boolean), ...error.details]))
    output.err(`  - ${printableLine(detail)}`);
  if (error.safe !== undefined) output.err(`  Safe: ${error.safe}`);
  if (error.next === undefined) return;
  output.err(`  Next: ${suggest({ configFile, output }, afterCall(error.next, called))}`);
}
