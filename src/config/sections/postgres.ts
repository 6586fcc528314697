import * as z from "zod";
import { parameterProblem, parameterText } from "../parameters.ts";
import { absolutePath, docs, textWithout, wholeNumber } from "../fields.ts";

/** Options that odoo-pg itself gives initdb, or that would let in every user. */
const INITDB_TAKEN =
  /^(?:-[DUAWXE]|--(?:pgdata|username|pwfile|pwprompt|waldir|encoding|auth(?:-host|-local)?))(?:=|$)/;

function initdbArgumentProblem(argument: string): string | undefined {
  if (INITDB_TAKEN.test(argument)) return `${JSON.stringify(argument)} is for odoo-pg to say`;
  return argument === "" ? "is empty" : undefined;
}

const VALUE_EXPECTED = "must have one value: a text, a number, true or false";

const parameters = z
  .record(z.string(), z.unknown())
  .register(docs, { additionalProperties: { type: ["string", "number", "boolean"] } })
  .transform((written, context) => {
    const result: Record<string, string> = {};
    for (const [key, value] of Object.entries(written)) {
      const name = key.toLowerCase();
      const text = parameterText(value);
      const message = Object.hasOwn(result, name)
        ? `"${name}" is set twice (upper and lower case are the same here)`
        : parameterProblem(name, text ?? "");
      if (message !== undefined) context.addIssue({ code: "custom", message, path: [key] });
      else if (text !== undefined) result[name] = text;
      else context.addIssue({ code: "custom", message: VALUE_EXPECTED, path: [key] });
    }
    return result;
  });

export const postgres = z
  .strictObject({
    version: wholeNumber(13, 99)
      .optional()
      .register(docs, {
        description: "Major version of PostgreSQL to use. When not set: the highest one installed.",
        examples: [17],
      }),
    bin_dir: absolutePath()
      .optional()
      .register(docs, {
        description:
          "Directory of PostgreSQL's programs (`postgres`, `initdb`, `pg_basebackup`). When not set, it is searched for in Debian's versioned directories, with `pg_config`, in Homebrew and in PATH.",
        examples: ["/usr/lib/postgresql/17/bin"],
      }),
    parameters: parameters.prefault({}).register(docs, {
      description:
        "PostgreSQL parameters of all nodes, overriding those that odoo-pg chooses. `true` and `false` mean `on` and `off`. Parameters that another key sets (such as `port`) are refused.",
      examples: [{ log_min_duration_statement: "1s", work_mem: "32MB" }],
    }),
    initdb_args: z
      .array(textWithout(initdbArgumentProblem))
      .default([])
      .register(docs, {
        description:
          "Arguments for initdb, after those of odoo-pg, when the database cluster is first created. Afterwards they mean nothing.",
        examples: [["--wal-segsize=64"]],
      }),
  })
  .prefault({})
  .register(docs, { description: "PostgreSQL itself." });
