// Once per run: a folder for everything that tests make, and the program built into it, so that a change of the
// sources meanwhile, or another run, does not change what is tested.
import { execFileSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { endProcesses, processesUsing } from "../support/processes.ts";
import { forgetEndedRuns, ownerFile } from "./ended-runs.ts";
import { runPlace, runPlaces } from "./run-place.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of this run: short, and open to the user that runs the servers. */
    runFolder: string;
    /** The built program. */
    program: string;
    /** Why the program cannot be built; empty when it could. */
    buildError: string;
  }
}

export default async function setUpRun(project: TestProject): Promise<() => Promise<void>> {
  for (const place of runPlaces) if (existsSync(place)) await forgetEndedRuns(realpathSync(place));
  const folder = mkdtempSync(join(runPlace(), "opg-"));
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, ownerFile), String(process.pid));
  const program = join(folder, "odoo-pg.mjs");
  project.provide("runFolder", folder);
  project.provide("program", program);
  // Unit tests can do without: only tests that start the program fail.
  project.provide("buildError", build(program));
  // As it is called where it is installed: what is printed names it so.
  mkdirSync(join(folder, "bin"));
  symlinkSync(program, join(folder, "bin", "odoo-pg"));
  project.onTestsRerun(() => {
    project.provide("buildError", build(program));
  });

  return async () => {
    const leaked = await endProcesses(() => processesUsing(folder));
    const leftOver = readdirSync(folder).filter(
      (name) =>
        ![ownerFile, "bin", "odoo-pg.mjs", "odoo-pg.cache", "odoo-pg", "THIRD_PARTY_LICENSES"].includes(name),
    );
    rmSync(folder, { recursive: true, force: true });
    if (leaked.length > 0 || leftOver.length > 0) {
      throw new Error(
        [
          "The tests left behind:",
          ...leaked.map(({ pid, command }) => `process ${pid}: ${command}`),
          ...leftOver,
        ].join("\n  "),
      );
    }
  };
}

function build(program: string): string {
  try {
    execFileSync(process.execPath, ["scripts/build.mjs", program], { stdio: ["ignore", "pipe", "pipe"] });
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
