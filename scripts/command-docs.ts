import type { Command } from "commander";
import { EXAMPLES } from "../src/cli/examples.ts";
import { commandLine } from "../src/cli/program.ts";

/** docs/commands.md: every command, by the same words as its own help. */
export function commandsPage(): string {
  const { root } = commandLine({
    args: [],
    environment: {},
    cwd: "/",
    program: ["node", "odoo-pg"],
    called: "odoo-pg",
  });
  const groups = new Map<string, Command[]>();
  for (const command of shown(root)) {
    const heading = command.helpGroup().replace(/:$/, "");
    groups.set(heading, [...(groups.get(heading) ?? []), command]);
  }
  return `${[
    "<!-- Made from src/cli/ by `npm run docs`: change it there. -->",
    "",
    "# Commands",
    "",
    "In a clone, type `npx odoo-pg` instead of `odoo-pg`. Each takes `--config FILE`, and `--help`, which starts with the examples",
    "shown here. How they are used, and what can go wrong: [operations.md](operations.md).",
    ...[...groups].flatMap(([heading, commands]) => [
      "",
      `## ${heading}`,
      "",
      "| Command | What it does |",
      "|---|---|",
      ...commands
        .flatMap(leaves)
        .map(
          (command) => `| [\`${nameOf(command)}\`](#${anchorOf(command)}) | ${cell(command.description())} |`,
        ),
      ...commands.flatMap(leaves).flatMap(section),
    ]),
  ].join("\n")}\n`;
}

function shown(command: Command): Command[] {
  return command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
}

/** A command, or those of a group. */
function leaves(command: Command): Command[] {
  return command.commands.length ? shown(command) : [command];
}

function nameOf(command: Command): string {
  const { parent } = command;
  return parent?.parent ? `${parent.name()} ${command.name()}` : command.name();
}

function anchorOf(command: Command): string {
  return `odoo-pg-${nameOf(command).replaceAll(" ", "-")}`;
}

function section(command: Command): string[] {
  const name = nameOf(command);
  const help = command.createHelp();
  const operands = help.visibleArguments(command);
  const options = help.visibleOptions(command).filter(({ long }) => long !== "--config" && long !== "--help");
  const usage = [
    `odoo-pg ${name}`,
    ...operands.map((one) => help.argumentTerm(one)),
    ...(options.length ? ["[options]"] : []),
  ];
  const rows = [
    ...operands.map((one) => [one.name(), one.description] as const),
    ...options.map((one) => [one.flags, one.description] as const),
  ];
  const examples = EXAMPLES[name] ?? [];
  return [
    "",
    `### odoo-pg ${name}`,
    "",
    `${command.description()}.`,
    "",
    "```",
    ...(examples.length ? examples : [usage.join(" ")]),
    "```",
    ...(rows.length
      ? [
          "",
          "| | |",
          "|---|---|",
          ...rows.map(([what, text]) => `| \`${what.replaceAll("|", "\\|")}\` | ${cell(text)} |`),
        ]
      : []),
  ];
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}
