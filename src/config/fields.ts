// What the sections of the schema are built of.
import { posix } from "node:path";
import * as z from "zod";

// A configuration is read once in a process: making code for each schema first would double the time.
z.config({ jitless: true });

/**
 * Where the documentation of an option is kept: `.register(docs, …)` behind its type. It stays on that very schema, where
 * `.meta(…)` would build it again, and a start builds them all; so what several options share gets `.meta(…)`.
 */
export const docs = z.globalRegistry;

/** A text for which `problem` finds nothing wrong; what it finds is the message. */
export function textWithout(problem: (text: string) => string | undefined) {
  return z.string().superRefine((text, context) => {
    const message = problem(text);
    if (message !== undefined) context.addIssue({ code: "custom", message });
  });
}

export function pathProblem(text: string): string | undefined {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  if (/[\u0000-\u001f\u007f]/.test(text)) return "holds a control character";
  if (text.startsWith("~"))
    return `"${text}" starts with "~", which only a shell resolves: write the whole path`;
  if (!text.startsWith("/")) return `${JSON.stringify(text)} is not an absolute path: it must start with "/"`;
  return undefined;
}

/** An absolute path, brought into its shortest form without a slash at the end. */
export function pathWithout(problem: (path: string) => string | undefined) {
  return textWithout(problem)
    .overwrite((text) => posix.normalize(text).replace(/(?<=.)\/$/, ""))
    .register(docs, { pattern: "^/" });
}

const anyPath = pathWithout(pathProblem);

/** Shared by all such options. */
export function absolutePath() {
  return anyPath;
}

/** Built in one step: each `.min()` and `.max()` would build the schema again. */
export function wholeNumber(least: number, most: number) {
  return z.int().check(z.gte(least), z.lte(most));
}

export const port = wholeNumber(1024, 65535);
