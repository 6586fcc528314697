// Builds the program of an earlier commit, from the repository's own history: node scripts/earlier.mjs [COMMIT]. Prints
// its path. A build is kept below node_modules.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The working checkout: this file may be part of a bundle elsewhere. */
const root = `${process.cwd()}/`;

/** Version 0.1.0, the last before what root believes lay where only root writes. */
export const VERSION_0_1 = "1fea884";

/** @returns {boolean} whether the history is here; a shallow clone or an archive has none */
export function hasHistory(commit = VERSION_0_1) {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** @returns {string} path of the built program */
export function earlierProgram(commit = VERSION_0_1) {
  const cache = `${root}node_modules/.cache/odoo-pg/earlier`;
  const program = `${cache}/${commit}.mjs`;
  if (existsSync(program)) return program;
  mkdirSync(cache, { recursive: true });
  const checkout = `${cache}/${commit}.${process.pid}`;
  try {
    mkdirSync(checkout);
    const archive = execFileSync("git", ["archive", commit], { maxBuffer: 2 ** 28 });
    execFileSync("tar", ["-x", "-C", checkout], { input: archive });
    // Its own dependencies were the same libraries.
    symlinkSync(`${root}node_modules`, `${checkout}/node_modules`);
    execFileSync(process.execPath, [`${checkout}/scripts/build.mjs`, `${checkout}/program.mjs`], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    renameSync(`${checkout}/program.mjs`, program);
  } finally {
    rmSync(checkout, { recursive: true, force: true });
  }
  return program;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) console.log(earlierProgram(process.argv[2]));
