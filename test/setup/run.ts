// Once per run: a folder for everything that tests make, and the program built into it, so that a change of the
// sources meanwhile, or another run, does not change what is tested.
import { execFileSync } from "node:child_process";
import { build as bundle } from "esbuild";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";
import { endProcesses, processesUsing } from "../support/processes.ts";
import { pageInProgram } from "../../scripts/page.mjs";
import { forgetEndedRuns, ownerFile } from "./ended-runs.ts";
import { runPlace, runPlaces } from "./run-place.ts";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder of this run: short, and open to the user that runs the servers. */
    runFolder: string;
    /** The built program. */
    program: string;
    /** Its commands, for a test's own process. */
    commands: string;
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
  const commands = join(folder, "commands.cjs");
  project.provide("commands", commands);
  const buildBoth = async (): Promise<string> => build(program) || (await buildCommands(program, commands));
  // Unit tests can do without: only tests that start the program fail.
  project.provide("buildError", await buildBoth());
  // As it is called where it is installed: what is printed names it so.
  mkdirSync(join(folder, "bin"));
  symlinkSync(program, join(folder, "bin", "odoo-pg"));
  project.onTestsRerun(async () => {
    project.provide("buildError", await buildBoth());
  });

  return async () => {
    const leaked = await endProcesses(() => processesUsing(folder));
    const leftOver = readdirSync(folder).filter(
      (name) =>
        ![
          ownerFile,
          "bin",
          "commands.cjs",
          "odoo-pg.mjs",
          "odoo-pg.cache",
          "odoo-pg",
          "THIRD_PARTY_LICENSES",
        ].includes(name),
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

/** The same commands, by the same mark: an agent that the program has started is theirs. */
async function buildCommands(program: string, outfile: string): Promise<string> {
  const mark = /odoo-pg-build-[0-9a-f]{16}/.exec(readFileSync(program, "utf8"))?.[0] ?? "";
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  try {
    await bundle({
      entryPoints: [fileURLToPath(new URL("commands.ts", import.meta.url))],
      outfile,
      plugins: [pageInProgram],
      bundle: true,
      platform: "node",
      target: "node20",
      format: "cjs",
      external: ["pg-native"],
      sourcemap: "inline",
      define: { ODOO_PG_VERSION: JSON.stringify(version), ODOO_PG_BUILD: JSON.stringify(mark) },
      logLevel: "silent",
    });
    return "";
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
