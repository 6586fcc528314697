import { Command, CommanderError, Help } from "commander";
import { folded, OdooPgError, toOdooPgError } from "../errors.ts";
import { afterCall, type NextText } from "../next-step.ts";
import { printableLine } from "../printable.ts";
import { openOutput, type Invocation, type Output } from "../system/terminal.ts";
import { asItsUser, fileNamedBy, loadContext, suggest, type Context } from "./context.ts";
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

/** The group that commands are added to. */
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
  const root = rootCommand(version);
  const called = new CalledLine(invocation, root);
  return {
    invocation,
    root,
    group: (heading) => void root.commandsGroup(`${heading}:`),
    command: (name, description) => added(root, name, description),
    add: added,
    withContext: (act, where = invocation, options = {}) =>
      called.with(async (call, output) => {
        const named = await load(where, output, call.text("config"));
        const meant = await whichCluster(named, options.needs ?? "cluster", async (file) => {
          called.meansFile(file);
          return await load(where, output, file);
        });
        const context = await asItsUser(meant, options);
        return await act(await forHosts(context, call.command), call);
      }),
    plainly: (act) => called.with(async (call, output) => await act(output, call)),
    run: async () => await called.run(),
  };
}

function rootCommand(version: string): Command {
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
  return root;
}

function added(parent: Command, name: string, description: string): Command {
  const command = parent
    .command(name)
    .description(description)
    .option(...CONFIG_FLAG)
    .exitOverride();
  command.createHelp = () => new HelpWithExamples();
  return command;
}

/** The line that was called: which of its flags count before and after its command, and how it ended. */
class CalledLine {
  readonly #invocation: Invocation;
  readonly #root: Command;
  #status = 0;
  #json = false;
  #quiet = false;
  #configFlag: string | undefined;

  constructor(invocation: Invocation, root: Command) {
    this.#invocation = invocation;
    this.#root = root;
  }

  /** An action that reads the flags, and keeps the exit status. */
  with(act: (call: Call, output: Output) => Promise<number>): Action {
    return async (...received) => {
      const command = received.at(-1);
      if (!(command instanceof Command)) return;
      const flags: Record<string, unknown> = command.optsWithGlobals();
      const text = (flag: string): string | undefined => {
        const value = flags[flag];
        return typeof value === "string" ? value : undefined;
      };
      const on = (flag: string): boolean => flags[flag] === true;
      const json = on("json");
      this.#json = json;
      this.#configFlag = text("config");
      const group = command.parent?.parent ? `${command.parent.name()} ` : "";
      const name = `${group}${command.name()}`;
      const output = openOutput(flags["color"] === false ? false : undefined, this.#invocation.called);
      this.#status = await act(
        { command: name, args: command.args, json, on, text },
        this.#quiet ? { ...output, err: () => {} } : output,
      );
    };
  }

  /** The file was found otherwise than by a flag: next steps name it. */
  meansFile(file: string): void {
    this.#configFlag = file;
  }

  async run(): Promise<number> {
    try {
      const { args, quiet } = understand(this.#root, this.#invocation.args);
      this.#quiet = quiet;
      await this.#root.parseAsync([...args], { from: "user" });
      return this.#status;
    } catch (thrown) {
      // Commander has already printed its own output: help and version end well.
      if (thrown instanceof CommanderError && thrown.exitCode === 0) return 0;
      if (thrown instanceof CommanderError && thrown.code === "commander.help") return 2;
      return this.#failed(thrown);
    }
  }

  #failed(thrown: unknown): number {
    const { args, called } = this.#invocation;
    const mistaken = thrown instanceof CommanderError;
    const error = withHelp(
      mistaken ? usageError(this.#root, args, thrown) : toOdooPgError(thrown),
      helpFor(this.#root, args),
    );
    printError(
      openOutput(undefined, called),
      error,
      this.#json || (mistaken && args.includes("--json")),
      args,
      // A refused line was not parsed: without its file the next step would be about another cluster.
      fileNamedBy(this.#invocation, this.#configFlag ?? configIn(args)),
    );
    return error.exit;
  }
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
