import { configurationPage } from "../src/config/document.ts";
import { exampleFile } from "../src/config/example.ts";
import { configJsonSchema } from "../src/config/json-schema.ts";
import { ERRORS } from "../src/errors.ts";

/** Every file that is made from the source: its path in the repository, and its text. */
export function documents(): ReadonlyMap<string, string> {
  return new Map([
    ["docs/configuration.md", configurationPage()],
    ["docs/errors.md", errorsPage()],
    ["odoo-pg.example.yaml", exampleFile()],
    ["odoo-pg.schema.json", `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`],
  ]);
}

const EXIT_STATUS: ReadonlyMap<number, string> = new Map([
  [0, "done"],
  [1, "failed"],
  [2, "the command line or the configuration is wrong; nothing was begun"],
  [69, "something is not reachable, or a program is missing"],
  [75, "still running, or locked: try again later"],
  [130, "interrupted"],
]);

function errorsPage(): string {
  const errors = Object.entries(ERRORS);
  return `${[
    "<!-- Made from src/errors.ts by `npm run docs`: change it there. -->",
    "",
    "# Errors",
    "",
    "Every error says what happened and to what, what is safe, and what to do next. With `--json` it carries its",
    "code; the exit status tells its kind.",
    "",
    "| exit status | meaning |",
    "|---|---|",
    ...[...EXIT_STATUS].map(([status, meaning]) => `| ${status} | ${meaning} |`),
    "",
    "| code | exit status | meaning |",
    "|---|---|---|",
    ...errors.map(([code, { exit, meaning }]) => `| [\`${code}\`](#${code}) | ${exit} | ${meaning} |`),
    ...errors.flatMap(([code, { exit, meaning }]) => [
      "",
      `## ${code}`,
      "",
      `${meaning} Exit status ${exit}.`,
    ]),
  ].join("\n")}\n`;
}
