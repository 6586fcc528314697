import { existsSync, realpathSync } from "node:fs";
import path from "node:path";
import process from "node:process";
import { shellWord } from "../shell-word.ts";

const NAME = "odoo-pg";

/**
 * How this program is typed where it was called: by its name where the search path leads to it, through npx in a clone,
 * and by its path elsewhere. What is printed can then be typed as it stands.
 * @param program its file, with no link left in the path
 */
export function howCalled(
  program: string,
  environment: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string {
  const folders = (environment["PATH"] ?? "")
    .split(path.delimiter)
    .filter((folder) => path.isAbsolute(folder));
  // npm puts folders of its own in front of the path: they are gone when its command ends.
  const lasting = folders.filter((folder) => !folder.endsWith(path.join("node_modules", ".bin")));
  const first = lasting.map((folder) => path.join(folder, NAME)).find((file) => existsSync(file));
  if (first !== undefined && leadsTo(first, program)) return NAME;
  const clone = path.dirname(path.dirname(program));
  const inClone = cwd === clone || cwd.startsWith(`${clone}${path.sep}`);
  if (inClone && existsSync(path.join(clone, "package.json"))) return `npx ${NAME}`;
  const plain = path.join(path.dirname(program), NAME);
  return shellWord(leadsTo(plain, program) ? plain : program);
}

/** The same for a reader who may type it anywhere. @param program how to start it */
export function calledAnywhere([, file]: readonly [string, string]): string {
  return howCalled(file, process.env, "/");
}

function leadsTo(file: string, program: string): boolean {
  try {
    return realpathSync(file) === program;
  } catch {
    return false;
  }
}
