import * as z from "zod";
import { formatPath, type Origin, type Path } from "./origins.ts";
import { isContainer, keysOf, schemaAt, sectionsWithKey } from "./schema-tree.ts";
import { DEFAULTS } from "./settings/table.ts";
import { didYouMean, nearest } from "./suggestion.ts";

/** One mistake in the configuration. */
export interface Problem {
  readonly origin: Origin;
  /** Known for mistakes in the syntax of the file. */
  readonly column?: number;
  readonly path?: Path;
  readonly message: string;
}

/** `FILE:LINE: path: what is wrong`, or `VARIABLE: what is wrong`. */
export function formatProblem({ origin, column, path, message }: Problem): string {
  const what = path === undefined || path.length === 0 ? message : `${formatPath(path)}: ${message}`;
  if (origin.kind === "environment") return `${origin.name}: ${message}`;
  if (origin.kind === "default" || origin.kind === "kept") return what;
  const position = column === undefined ? `${origin.line}` : `${origin.line}:${column}`;
  return `${origin.path}:${position}: ${what}`;
}

const EXPECTED: Readonly<Record<string, string>> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: 'a list ("[a, b]", or one entry a line, each after "- ")',
  object: 'a section (lines "key: value" below it, indented)',
  record: 'a section (lines "name: value" below it, indented)',
};

function shown(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a section" : JSON.stringify(value);
}

function wrongType(expected: string, input: unknown): string {
  if (input === undefined) return "is missing";
  if (input === null) return "has no value: write one, or remove the line";
  const wanted = EXPECTED[expected] ?? expected;
  if (typeof input === "string" && ["number", "int"].includes(expected) && /^\d+$/.test(input)) {
    return `is the text ${shown(input)}, but must be ${wanted}: remove the quotes`;
  }
  if (expected === "string" && (typeof input === "number" || typeof input === "boolean")) {
    return `is ${input}, but must be a text: write it in quotes, "${input}"`;
  }
  return `is ${shown(input)}, but must be ${wanted}`;
}

/** Keys that are named: more of them would fill the screen. */
const KEYS_SHOWN = 5;

function unknownKey(schema: z.ZodType, section: Path, key: string): string {
  const at = schemaAt(schema, section);
  const known = at === undefined ? [] : keysOf(at);
  const near = nearest(key, known);
  if (near.length > 0) return `unknown key; ${didYouMean(near)}`;
  const elsewhere = sectionsWithKey(schema, key).map((path) => (path === "" ? "the top level" : `"${path}"`));
  if (elsewhere.length > 0) return `unknown key here; it belongs under ${elsewhere.join(" or ")}`;
  const isParameter = DEFAULTS.some(({ name }) => name === key);
  if (isParameter || (section.length === 1 && section[0] === "postgres")) {
    return `unknown key; PostgreSQL's own parameters belong under "postgres.parameters"`;
  }
  const shownKeys = known.slice(0, KEYS_SHOWN).join(", ");
  return `unknown key; known here: ${shownKeys}${known.length > KEYS_SHOWN ? " and others, as odoo-pg.example.yaml has them" : ""}`;
}

function wrongChoice(values: readonly unknown[], input: unknown): string {
  const choices = values.map(String);
  const near = typeof input === "string" ? nearest(input, choices) : [];
  const hint = near.length > 0 ? ` ${didYouMean(near)}` : "";
  return `is ${shown(input)}, but must be one of ${choices.join(", ")};${hint}`.replace(/;$/, "");
}

function outOfRange(issue: z.core.$ZodIssueTooSmall | z.core.$ZodIssueTooBig): string {
  if (issue.origin === "array") return "must have at least one entry";
  const bound =
    issue.code === "too_big"
      ? `at most ${issue.maximum}`
      : issue.inclusive === true
        ? `at least ${issue.minimum}`
        : `more than ${issue.minimum}`;
  return `is ${shown(issue.input)}, but must be ${bound}`;
}

function message(issue: z.core.$ZodIssue): string {
  if (issue.code === "invalid_type") return wrongType(issue.expected, issue.input);
  if (issue.code === "invalid_value") return wrongChoice(issue.values, issue.input);
  if (issue.code === "too_small" || issue.code === "too_big") return outOfRange(issue);
  return issue.code === "invalid_format" ? `is ${shown(issue.input)}: it ${issue.message}` : issue.message;
}

/** What zod found, in words for the writer of the file. `originAt` says where a path is written. */
export function problemsOf(
  error: z.ZodError,
  schema: z.ZodType,
  originAt: (path: Path) => Origin,
): Problem[] {
  return error.issues.flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === "number" ? part : String(part)));
    if (issue.code !== "unrecognized_keys")
      return [{ origin: originAt(path), path, message: message(issue) }];
    return issue.keys.map((key) => ({
      origin: originAt([...path, key]),
      path: [...path, key],
      message: unknownKey(schema, path, key),
    }));
  });
}

/** True where nothing written means "as if the key were not there". */
export function mayBeEmpty(schema: z.ZodType, path: Path): boolean {
  const at = schemaAt(schema, path);
  return at !== undefined && isContainer(at) && typeof path.at(-1) === "string";
}
