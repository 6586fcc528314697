// Runs around every test file: what a test makes is cleared away when the test ends, what the file makes (in
// beforeAll) when the file ends. A process, port or file that is left behind fails the test.
// These hooks are the first to be registered, so vitest runs the closing ones last.
import { mkdtempSync, chmodSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, inject } from "vitest";
import { closeScope, openScope } from "../support/scope.ts";

let temporaryFiles: string | undefined;

beforeAll(() => {
  openScope();
  // Whatever uses the system's folder for temporary files is watched too.
  temporaryFiles = mkdtempSync(`${inject("runFolder")}/`);
  chmodSync(temporaryFiles, 0o1777);
  process.env["TMPDIR"] = temporaryFiles;
});

beforeEach(() => {
  openScope();
});

afterEach(async () => {
  failOn(await closeScope([]));
});

afterAll(async () => {
  if (temporaryFiles === undefined) return;
  const folder = temporaryFiles;
  failOn(await closeScope([folder], () => readdirSync(folder).map((name) => `file ${join(folder, name)}`)));
});

function failOn(leaks: readonly string[]): void {
  if (leaks.length > 0) throw new Error(["Left behind:", ...leaks].join("\n  "));
}
