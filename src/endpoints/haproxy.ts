import { isAtLeast } from "../system/program-version.ts";
import { programPlaces } from "../system/program-places.ts";
import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { isExecutable, type Owner } from "../system/files/files.ts";
import { ALL_PACKAGES, type ProgramSearch } from "../system/install.ts";
import { run } from "../system/process/process.ts";

/** Lowest version that works: Ubuntu 22.04 has it. */
const OLDEST = [2, 4];

/** The program haproxy. */
export interface HaproxyProgram {
  readonly path: string;
  /** As it says it, such as `2.6.12-1+deb12u4`. */
  readonly version: string;
}

async function inspect(program: string): Promise<HaproxyProgram | undefined> {
  if (!(await isExecutable(program))) return undefined;
  const said = await run(program, ["-v"], { timeout: 5000 }).catch(() => undefined);
  const version = /^HA-?Proxy version (\S+)/m.exec(said?.stdout ?? "")?.[1];
  return version === undefined ? undefined : { path: program, version };
}

/** Whether a version such as `2.6.12-1+deb12u4` works. */
export function isNewEnough(version: string): boolean {
  return isAtLeast(version.split(/[.-]/).map(Number), OLDEST);
}

/**
 * Finds HAProxy: the configured program, else PATH, /usr/sbin, Homebrew.
 * @throws OdooPgError haproxy_missing with the command that installs it
 */
export async function findHaproxy(
  configured: string | undefined,
  machine: ProgramSearch,
): Promise<HaproxyProgram> {
  const oldest = OLDEST.join(".");
  if (configured !== undefined) {
    const found = await inspect(configured);
    if (found && isNewEnough(found.version)) return found;
    throw new OdooPgError("haproxy_missing", {
      message: found
        ? `haproxy.program ${configured} is HAProxy ${found.version}; needed is ${oldest} or later.`
        : `haproxy.program ${configured} is not a program that says it is HAProxy.`,
      safe: "Nothing was changed.",
      next: "Correct haproxy.program, or leave it out so that HAProxy is looked for.",
    });
  }
  const tooOld: string[] = [];
  for (const candidate of programPlaces("haproxy", machine.searchPath)) {
    const found = await inspect(candidate);
    if (found && isNewEnough(found.version)) return found;
    if (found) tooOld.push(`${found.version} at ${candidate}`);
  }
  throw new OdooPgError("haproxy_missing", {
    message: `No HAProxy ${oldest} or later was found${tooOld.length ? `; found: ${tooOld.join(", ")}` : ""}.`,
    safe: "Nothing was changed.",
    next: machine.install(ALL_PACKAGES),
  });
}

/**
 * Has HAProxy check a configuration without using it.
 * @param file relative to `directory`, which is where it will run
 * @throws OdooPgError command_failed with HAProxy's words
 */
export async function checkConfiguration(
  program: HaproxyProgram,
  directory: string,
  file: string,
  owner: Owner | undefined,
): Promise<void> {
  const ran = await run(program.path, ["-C", directory, "-c", "-f", file], { owner, timeout: 10_000 });
  if (ran.exitCode === 0) return;
  const words = `${ran.stdout}\n${ran.stderr}`.split("\n").filter((line) => line.includes("[ALERT]"));
  throw new OdooPgError("command_failed", {
    message: `HAProxy ${program.version} refuses its configuration:\n  ${words.join("\n  ")}`,
    safe: "Nothing was changed: an HAProxy that runs goes on as before.",
    next: `Look at ${path.join(directory, file)}`,
  });
}
