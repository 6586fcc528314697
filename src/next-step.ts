import { shellWord } from "./shell-word.ts";

/** A command by its arguments, so that no shell has to take it apart. */
export interface Command {
  readonly program: string;
  readonly arguments: readonly string[];
  /** The configuration by which odoo-pg meets the same cluster; absent where it is found without. */
  readonly config?: string | undefined;
  /** It is the command that was called, once more: without these flags, and with the arguments behind it. */
  readonly again?: { readonly without: readonly string[] } | undefined;
}

/** What to do next: words, and the commands among them. */
export type NextStep = readonly (string | Command)[];

/** A next step as it is written: plain words, one command, or both. */
export type NextText = string | Command | NextStep;

/** `odoo-pg` with its arguments; the configuration's file is put in where it is printed. */
export function odooPg(...args: readonly string[]): Command {
  return command("odoo-pg", ...args);
}

/** Another program with its arguments. */
export function command(program: string, ...args: readonly string[]): Command {
  return { program, arguments: args };
}

/**
 * The command that was called, once more. Who prints it knows what it was.
 * @param args what is added to it
 * @param without flags that are left out, those with a value as `--as=`
 */
export function sameCommand(args: readonly string[] = [], without: readonly string[] = []): Command {
  return { program: "odoo-pg", arguments: args, again: { without } };
}

/** The same step where it is known what was called. @param called the arguments of odoo-pg, without its configuration */
export function afterCall(step: NextStep, called: readonly string[]): NextStep {
  return step.map((part) => {
    if (typeof part === "string" || part.again === undefined) return part;
    const { again, arguments: more, ...command } = part;
    const gone = [
      "--config=",
      ...again.without,
      ...more.filter((arg) => arg.startsWith("--")).map((arg) => `${arg}=`),
    ];
    const kept = called.filter(
      (arg, at) =>
        !gone.includes(arg) &&
        !gone.some((flag) => flag.endsWith("=") && (arg.startsWith(flag) || arg === flag.slice(0, -1))) &&
        !gone.includes(`${called[at - 1] ?? ""}=`),
    );
    return { ...command, arguments: [...kept, ...more] };
  });
}

/** A next step as it is read: nextStep`Bring ${name} back: ${odooPg("rejoin", name)}` */
export function nextStep(words: TemplateStringsArray, ...values: readonly (number | NextText)[]): NextStep {
  const parts = words.flatMap((text, index): NextStep => {
    const value = values[index];
    if (value === undefined) return [text];
    return [text, ...asStep(typeof value === "number" ? String(value) : value)];
  });
  return joined(parts);
}

/** Words that follow each other are one part. */
function joined(parts: NextStep): NextStep {
  const all: (string | Command)[] = [];
  for (const part of parts) {
    const last = all.at(-1);
    if (part === "") continue;
    if (typeof part === "string" && typeof last === "string") all[all.length - 1] = last + part;
    else all.push(part);
  }
  return all;
}

export function asStep(text: NextText): NextStep {
  return isStep(text) ? text : [text];
}

function isStep(text: NextText): text is NextStep {
  return Array.isArray(text);
}

/** The command, where the step is nothing else. */
export function onlyCommand(step: NextStep): Command | undefined {
  const [part] = step;
  return step.length === 1 && typeof part === "object" ? part : undefined;
}

/** The same step, its commands for the cluster of this configuration. */
export function withConfig(step: NextStep, config: string | undefined): NextStep {
  if (config === undefined) return step;
  return step.map((part) =>
    typeof part === "string" || part.program !== "odoo-pg" || part.config !== undefined
      ? part
      : { ...part, config },
  );
}

/**
 * A command as it is typed. What follows `--` is for another program: the configuration stands before it.
 * @param called how odoo-pg is typed there
 */
export function printCommand(
  { program, arguments: args, config, again }: Command,
  called = "odoo-pg",
): string {
  if (again !== undefined) {
    const without = again.without.map((flag) => flag.replace(/=$/, "")).join(" and ");
    return `the same command${without && ` without ${without}`}${args.length ? ` with ${args.map(shellWord).join(" ")}` : ""}`;
  }
  const end = args.indexOf("--");
  const own = end === -1 ? args : args.slice(0, end);
  const passed = end === -1 ? [] : args.slice(end);
  const named = config === undefined ? [] : ["--config", config];
  const name = program === "odoo-pg" ? called : shellWord(program);
  return [name, ...[...own, ...named, ...passed].map(shellWord)].join(" ");
}

/** The one place where a next step becomes a sentence. @param called how odoo-pg is typed there */
export function printNext(step: NextStep, called?: string): string {
  return step.map((part) => (typeof part === "string" ? part : printCommand(part, called))).join("");
}

/** What a document tells of a next step: the sentence, and its parts. */
export function nextInDocument(
  step: NextStep,
  config: string | undefined,
): { next: string; next_step: NextStep } {
  const complete = withConfig(step, config);
  return { next: printNext(complete), next_step: complete };
}
