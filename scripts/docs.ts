import { configurationPage } from "../src/config/documents/document.ts";
import { exampleFile } from "../src/config/documents/example.ts";
import { configJsonSchema } from "../src/config/documents/json-schema.ts";
import { ERRORS } from "../src/errors.ts";
import { troubleOf, warningCodes } from "../src/model/troubles/troubles.ts";
import { severityOf } from "../src/model/warnings.ts";
import { commandsPage } from "./command-docs.ts";
import { troubleDocuments } from "./trouble-docs.ts";

/**
 * Every file that is made from the source, wholly or in part: its path in the repository, and its text.
 * @param read gives the text of a file as it is, by its path in the repository
 */
export function documents(read: (path: string) => string): ReadonlyMap<string, string> {
  return new Map([
    ["docs/commands.md", commandsPage()],
    ["docs/configuration.md", configurationPage()],
    ["docs/errors.md", errorsPage()],
    ["odoo-pg.example.yaml", exampleFile()],
    ["odoo-pg.schema.json", `${JSON.stringify(configJsonSchema(), undefined, 2)}\n`],
    ...troubleDocuments(read),
  ]);
}

const EXIT_STATUS: ReadonlyMap<number, string> = new Map([
  [0, "done"],
  [1, "failed"],
  [2, "the command line or the configuration is wrong; nothing was started"],
  [3, "done, except for what was set aside"],
  [69, "something is unreachable, or a program is missing"],
  [75, "still running, or locked: try again later"],
  [130, "interrupted"],
]);

function errorsPage(): string {
  const errors = Object.entries(ERRORS);
  return `${[
    "<!-- Made from src/errors.ts and src/model/troubles/ by `npm run docs`: change it there. -->",
    "",
    "# Errors",
    "",
    "Every error says what happened and to what, what is safe, and what to do next. With `--json` it carries its",
    "code, and what to do next as a sentence (`next`) and by its parts (`next_step`: words as text, commands as",
    '`{"program", "arguments"}`, with `config` where they have to name the file); the exit status gives its kind.',
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
    "",
    "# Warnings",
    "",
    "What `odoo-pg status` may warn of. Each warning says what is wrong, and what to do next. The worst",
    "one is the verdict: with `critical` the exit status is 1 (69 for `cluster_not_running`, and for `cluster_stopped`), otherwise 0.",
    "",
    "| code | severity | meaning |",
    "|---|---|---|",
    ...warningCodes().map((code) => `| \`${code}\` | ${severityOf(code)} | ${troubleOf(code).meaning} |`),
  ].join("\n")}\n`;
}
