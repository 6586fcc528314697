import { readdirSync, statSync } from "node:fs";
import { root } from "./root.mjs";
import { runPhase } from "./phase.mjs";

/** Whether dist/odoo-pg.mjs is missing or older than something it is made from. */
export function programIsStale(folder = root) {
  const built = statSync(`${folder}dist/odoo-pg.mjs`, { throwIfNoEntry: false })?.mtimeMs;
  if (built === undefined) return true;
  const sources = readdirSync(`${folder}src`, { recursive: true, encoding: "utf8" }).map(
    (path) => `src/${path}`,
  );
  return [
    "package.json",
    "package-lock.json",
    "scripts/build.mjs",
    "scripts/loader.mjs",
    "scripts/code-cache.mjs",
    "scripts/page.mjs",
    "scripts/licences.mjs",
    ...sources,
  ].some((path) => (statSync(folder + path, { throwIfNoEntry: false })?.mtimeMs ?? 0) > built);
}

export async function buildProgram() {
  await runPhase("Building odoo-pg …", [process.execPath, `${root}scripts/build.mjs`], { cwd: root });
}
