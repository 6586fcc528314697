import type { Command } from "commander";
import { nearest } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";
import { ELSEWHERE, SYNONYMS } from "./synonyms.ts";

/** Commands that only programs call: their arguments are passed on as they are. */
const FOR_PROGRAMS = [
  "agent",
  "as-applied",
  "scheduled-backup",
  "origin",
  "container",
  "complete",
  "completion",
];
const HELP = ["-h", "--help"];
const YES = ["-y", "--yes", "--assume-yes"];
const QUIET = ["-q", "--quiet", "--silent"];

/** A command line, with the habits of other tools understood. */
interface Understood {
  readonly args: readonly string[];
  /** Whether only results and errors are wanted. */
  readonly quiet: boolean;
}

/**
 * Help anywhere in the line; yes to questions, which are never asked; quiet. Arguments after `--` are for another
 * program. Pure.
 */
export function understand(root: Command, all: readonly string[]): Understood {
  const [first = ""] = all;
  if (FOR_PROGRAMS.includes(first)) return { args: all, quiet: false };
  if (first === "version" && all.length === 1) return { args: ["--version"], quiet: false };
  const end = all.includes("--") ? all.indexOf("--") : all.length;
  const own = first === "help" ? all.slice(1, end) : all.slice(0, end);
  const { command, names } = calledIn(root, own);
  if (first === "help" || own.some((arg) => HELP.includes(arg)))
    return { args: [...names, "--help"], quiet: false };
  const has = (flag: string): boolean =>
    command.options.some(({ short, long }) => short === flag || long === flag);
  const ignored = [...YES, ...QUIET].filter((flag) => !has(flag));
  return {
    args: [...own.filter((arg) => !ignored.includes(arg)), ...all.slice(end)],
    quiet: own.some((arg) => QUIET.includes(arg) && !has(arg)),
  };
}

/** The command that a line calls, and its names. */
function calledIn(root: Command, args: readonly string[]): { command: Command; names: readonly string[] } {
  let command = root;
  const names: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const arg = args[at] ?? "";
    if (arg.startsWith("-")) {
      const option = command.options.find(({ short, long }) => short === arg || long === arg);
      if (option?.required === true) at += 1;
      continue;
    }
    const next = command.commands.find((one) => one.name() === arg);
    if (!next) break;
    command = next;
    names.push(arg);
  }
  return { command, names };
}

/** The help of the command that a line calls. Pure. */
export function helpFor(root: Command, args: readonly string[]): NextText {
  return odooPg(...calledIn(root, args).names, "--help");
}

/** Mistakes that Commander finds in a line. */
interface Refusal {
  readonly code: string;
  readonly message: string;
}

/** A mistake in a command line, with what to type instead. Pure. */
export function usageError(root: Command, args: readonly string[], refusal: Refusal): OdooPgError {
  const { command, names } = calledIn(root, args);
  const help = odooPg(...names, "--help");
  const called = ["odoo-pg", ...names].join(" ");
  const told = (message: string, next: NextText = help): OdooPgError =>
    new OdooPgError("usage", { message, safe: "Nothing was changed.", next });
  if (command.commands.length > 0 && refusal.code !== "commander.unknownOption") {
    const typed = args.find((arg) => !arg.startsWith("-") && !names.includes(arg));
    if (typed !== undefined) return told(...unknownCommand({ root, group: command, names, args }, typed));
  }
  if (names[0] === "psql") {
    const example = odooPg("psql", "pg1", "--", "-c", "SELECT 1");
    return told(`${called}: arguments for psql itself go after --.`, example);
  }
  const [, flag] = /unknown option '([^']+)'/.exec(refusal.message) ?? [];
  if (flag !== undefined) return told(...unknownOption({ command, called, names, args }, flag, help));
  const message = refusal.message.replace(/^error: /, "").split("\n")[0] ?? "";
  return told(`${called}: ${message}.`.replace(/\.\.$/, "."));
}

interface Line {
  readonly root: Command;
  /** The group that lacks the command. */
  readonly group: Command;
  readonly names: readonly string[];
  readonly args: readonly string[];
}

function unknownCommand(line: Line, typed: string): [string, NextText] {
  const { group, names, args, root } = line;
  const known = group.commands.map((one) => one.name());
  const here = SYNONYMS[names.join(" ")]?.[typed];
  const path = [...names, typed].join(" ");
  const meant = ELSEWHERE[path] ?? (here === undefined ? undefined : [...names, here].join(" "));
  const message = `There is no command "${path}".`;
  if (meant === "promote") {
    return [
      message,
      nextStep`With a primary that runs: ${odooPg("switchover", "--dry-run")}. When it is gone: ${odooPg("promote", "--help")}`,
    ];
  }
  if (meant !== undefined) {
    const words = meant.split(" ");
    const { command } = calledIn(root, words);
    // `restore` restores a backup or, with an option, the whole cluster: alone it does nothing.
    const needsMore =
      command.registeredArguments.some(({ required }) => required) ||
      LASTING.includes(meant) ||
      meant === "restore";
    return [`${message} It is called ${meant}.`, odooPg(...words, ...(needsMore ? ["--help"] : []))];
  }
  const near = nearest(typed, known);
  const [first] = near;
  if (first === undefined) return [message, odooPg(...names, "--help")];
  const mended = withoutConfig(args).map((arg) => (arg === typed ? first : arg));
  return [`${message}${didYouMean(near)}`, odooPg(...mended)];
}

/** Commands that remove something for good: their help comes first. */
const LASTING = ["destroy", "backup prune"];

function didYouMean(near: readonly string[]): string {
  return near.length === 0 ? "" : ` Did you mean ${near.join(" or ")}?`;
}

/** What to do instead of an option that other tools have. */
const OPTIONS: Readonly<Record<string, string>> = {
  "--force": "Nothing is forced: what could lose something says what, and has an option for just that.",
  "-f": "Nothing is forced: what could lose something says what, and has an option for just that.",
  "--confirm": "It needs no confirmation.",
  "--json": "It prints no document.",
  "--dry-run": "It has no dry run.",
  "--verbose": "What is behind a message is in the logs.",
  "-v": "What is behind a message is in the logs.",
  "--debug": "What is behind a message is in the logs.",
};

/** The configuration is added where the line is printed. */
function withoutConfig(args: readonly string[]): string[] {
  return args.filter(
    (arg, at) => arg !== "--config" && !arg.startsWith("--config=") && args[at - 1] !== "--config",
  );
}

/** A line with an unknown option. */
interface Called {
  readonly command: Command;
  readonly called: string;
  readonly names: readonly string[];
  readonly args: readonly string[];
}

function unknownOption(
  { command, called, names, args }: Called,
  flag: string,
  help: NextText,
): [string, NextText] {
  const message = `${called} has no option ${flag}.`;
  const instead = OPTIONS[flag];
  if (instead !== undefined) return [`${message} ${instead}`, help];
  const near = nearest(
    flag.replace(/=.*$/, ""),
    command.options.flatMap(({ long }) => long ?? []),
  );
  const [meant] = near;
  // One option that is meant is the line as it should be; what is gone for good is read of first.
  const mended =
    near.length === 1 && meant !== undefined && !LASTING.includes(names.join(" "))
      ? odooPg(...withoutConfig(args).map((arg) => (arg === flag ? arg.replace(/^[^=]+/, meant) : arg)))
      : help;
  return [`${message}${didYouMean(near)}`, mended];
}
