import { readFileSync } from "node:fs";
import { root } from "./root.mjs";
import { runPhase } from "./phase.mjs";

/**
 * Whether node_modules matches package-lock.json. npm records what it has installed in node_modules/.package-lock.json,
 * as its last step. Optional packages are for other platforms: they may be absent.
 */
export function packagesFit(folder = root) {
  const wanted = readPackages(`${folder}package-lock.json`) ?? {};
  const installed = readPackages(`${folder}node_modules/.package-lock.json`);
  if (installed === undefined) return false;
  const names = new Set([...Object.keys(wanted), ...Object.keys(installed)]);
  names.delete(""); // The project itself.
  return [...names].every((name) => {
    const want = wanted[name];
    const have = installed[name];
    if (have === undefined) return want?.optional === true;
    return want?.version === have.version && want?.integrity === have.integrity;
  });
}

/** Installs exactly what package-lock.json says, without running scripts of packages. */
export async function installPackages() {
  await runPhase(
    "Installing npm packages (npm ci) …",
    ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
    { cwd: root },
  );
}

/**
 * @param {string} file
 * @returns {Record<string, { version?: string, integrity?: string, optional?: boolean }> | undefined}
 */
function readPackages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages;
  } catch {
    return undefined;
  }
}
