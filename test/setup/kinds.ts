import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What makes things outside of the process, which have to be cleared away. */
const MAKER = "test/support/scope.ts";

/**
 * The files of tests that start nothing and make nothing: none of what they import, here in test/, clears anything away.
 * They run one after another in the same processes. A process for each, which reads the sources again, takes longer than
 * what they test.
 */
export function unitTests(root: string): readonly string[] {
  return readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((file) => join("test", file))
    .filter((file) => file.endsWith(".test.ts") && !reaches(root, file, new Set()))
    .toSorted();
}

function reaches(root: string, file: string, seen: Set<string>): boolean {
  if (file === MAKER) return true;
  if (seen.has(file)) return false;
  seen.add(file);
  const text = readFileSync(join(root, file), "utf8");
  if (/from "(?:node:child_process|execa)"/.test(text)) return true;
  return [...text.matchAll(/from "(\.{1,2}\/[^"]+\.ts)"/g)]
    .map(([, specifier = ""]) => join(dirname(file), specifier))
    .some((imported) => imported.startsWith("test/") && reaches(root, imported, seen));
}
