import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commandLine } from "../../src/cli/program.ts";
import { understand, usageError } from "../../src/cli/usage.ts";
import { ELSEWHERE, SYNONYMS } from "../../src/cli/synonyms.ts";
import { printNext } from "../../src/next-step.ts";

const { root } = commandLine({
  args: [],
  environment: {},
  cwd: "/",
  program: ["node", "odoo-pg"],
  called: "odoo-pg",
});

function answer(line: string): { readonly message: string; readonly next: string } {
  const args = line.split(" ");
  const option = args.find((arg) => arg.startsWith("-") && !arg.startsWith("--help"));
  const refusal =
    option === undefined
      ? { code: "commander.unknownCommand", message: "error: unknown command" }
      : { code: "commander.unknownOption", message: `error: unknown option '${option}'` };
  const { message, next } = usageError(root, args, refusal);
  return { message, next: printNext(next ?? []) };
}

/** Every command there is, by its words. */
function commands(group = root, before: readonly string[] = []): string[] {
  return group.commands.flatMap((one) => {
    const words = [...before, one.name()];
    return one.commands.length > 0 ? commands(one, words) : [words.join(" ")];
  });
}

describe("habits of other tools", () => {
  test.each([
    ["help wherever it stands", "db copy shop staging --help", "db copy --help"],
    ["help behind an option", "backup list --database shop -h", "backup list --help"],
    ["help as a command", "help backup list", "backup list --help"],
    ["yes to what is never asked", "down --yes", "down"],
    ["yes where it means something", "db rename a b --yes", "db rename a b --yes"],
    ["what is for psql", "psql pg1 -- -y --help", "psql pg1 -- -y --help"],
    ["version", "version", "--version"],
  ])("%s", (_, typed, understood) => {
    expect(understand(root, typed.split(" ")).args.join(" ")).toBe(understood);
  });

  test("quiet is taken out of the line, and kept in mind", () => {
    expect(understand(root, ["backup", "create", "--all", "-q"])).toEqual({
      args: ["backup", "create", "--all"],
      quiet: true,
    });
  });

  test("change no line that has none of them", () => {
    const word = fc.stringMatching(/^[a-z0-9][a-z0-9_-]{0,8}$/);
    fc.assert(
      fc.property(fc.constantFrom(...commands()), fc.array(word, { maxLength: 3 }), (command, more) => {
        fc.pre(!command.startsWith("help") && !more.includes("help"));
        const line = [...command.split(" "), ...more];
        expect(understand(root, line)).toEqual({ args: line, quiet: false });
      }),
    );
  });
});

describe("a mistake in a line", () => {
  test.each([
    ["start", 'There is no command "start". It is called up.', "odoo-pg up"],
    ["reload", 'There is no command "reload". It is called up.', "odoo-pg up"],
    ["stop", 'There is no command "stop". It is called down.', "odoo-pg down"],
    ["remove", 'There is no command "remove". It is called destroy.', "odoo-pg destroy --help"],
    ["db create", 'There is no command "db create". It is called restore.', "odoo-pg restore --help"],
    ["backup ls", 'There is no command "backup ls". It is called backup list.', "odoo-pg backup list"],
    ["stauts", 'There is no command "stauts". Did you mean status?', "odoo-pg status"],
    ["backup lsit", 'There is no command "backup lsit". Did you mean list?', "odoo-pg backup list"],
    ["frobnicate", 'There is no command "frobnicate".', "odoo-pg --help"],
    ["status --jsno", "odoo-pg status has no option --jsno. Did you mean --json?", "odoo-pg status --json"],
    [
      "logs --lins=20 pg1 --config a.yaml",
      "odoo-pg logs has no option --lins=20. Did you mean --lines?",
      "odoo-pg logs --lines=20 pg1",
    ],
    [
      "destroy --confrim x",
      "odoo-pg destroy has no option --confrim. Did you mean --config or --confirm?",
      "odoo-pg destroy --help",
    ],
    ["down --json", "odoo-pg down has no option --json. It prints no document.", "odoo-pg down --help"],
  ])("%s is answered with what to type", (line, message, next) => {
    expect(answer(line)).toEqual({ message, next });
  });

  test("--force is refused with the reason", () => {
    expect(answer("db drop shop --force").message).toContain("Nothing is forced");
  });

  test("takeover is told apart by whether the primary runs", () => {
    expect(answer("takeover").next).toMatch(/odoo-pg switchover --dry-run.*odoo-pg promote --help/);
  });
});

test("every synonym leads to a command that there is, and is none itself", () => {
  const known = commands();
  const called = (line: string): string => line.replace(/ -.*/, "");
  for (const [group, words] of Object.entries(SYNONYMS)) {
    for (const [word, meant] of Object.entries(words)) {
      const before = group === "" ? "" : `${group} `;
      expect(known, `${before}${word}`).toContain(called(`${before}${meant}`));
      expect(known, `${before}${word}`).not.toContain(`${before}${word}`);
    }
  }
  for (const [line, meant] of Object.entries(ELSEWHERE)) {
    expect(known, line).toContain(meant);
    expect(known, line).not.toContain(line);
  }
});
