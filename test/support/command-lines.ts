import { commandLine } from "../../src/cli/program.ts";

const { root } = commandLine({
  args: [],
  environment: {},
  cwd: "/",
  program: ["node", "odoo-pg"],
  called: "odoo-pg",
});

/** What is wrong with a line for odoo-pg; undefined where there is such a command, with these options and operands. */
export function mistakeIn(args: readonly string[]): string | undefined {
  let command = root;
  const operands: string[] = [];
  const end = args.includes("--") ? args.indexOf("--") : args.length;
  for (let at = 0; at < end; at += 1) {
    const arg = args[at] ?? "";
    const inner = operands.length === 0 ? command.commands.find((one) => one.name() === arg) : undefined;
    if (inner) command = inner;
    else if (arg === "--help") return undefined;
    else if (arg.startsWith("-")) {
      const option = command.options.find(({ short, long }) => short === arg || long === arg);
      if (!option) return `${command.name()} has no option ${arg}`;
      if (option.required) at += 1;
    } else operands.push(arg);
  }
  if (command.commands.length > 0) return `${args.join(" ")} is no command`;
  const { registeredArguments } = command;
  const least = registeredArguments.filter(({ required }) => required).length;
  const most = registeredArguments.some(({ variadic }) => variadic) ? Infinity : registeredArguments.length;
  if (operands.length < least || operands.length > most)
    return `${command.name()} takes ${least} to ${most} operands, not ${operands.length}`;
  if (command.name() === "logs" && root.commands.includes(command)) return mistakeInLog(operands[0]);
  return undefined;
}

/** What has a log beside the nodes, which are pg1, db1 and so on wherever steps are held against this. */
const LOGS = ["agent", "haproxy", "pgbouncer", "pgbouncer-read", "backup"];

function mistakeInLog(target = "agent"): string | undefined {
  return LOGS.includes(target) || /^(pg|db|node)\d/.test(target) ? undefined : `there is no log of ${target}`;
}
