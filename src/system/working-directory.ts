import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import type { Owner } from "./files.ts";
import { processState, run } from "./process.ts";

/** The directory that a process works in, where the system tells this user. */
export function workingDirectory(pid: number): string | undefined {
  const place = placeOf(pid);
  return place === "hidden" ? undefined : place;
}

/** Undefined when the process is gone; hidden when this user may not know. */
function placeOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EACCES" ? "hidden" : undefined;
  }
}

/**
 * Living processes of a program that work in a directory and belong to its owner. On Linux by /proc, elsewhere by what
 * lsof says.
 * @param program the name of its file
 * @returns undefined where the system does not tell
 */
export async function processesWorkingIn(
  directory: string,
  program: string,
): Promise<readonly number[] | undefined> {
  if (process.platform !== "linux") {
    const lsof = await run("lsof", ["-a", "-d", "cwd", "-c", program, "-Fpn"]).catch(() => undefined);
    return lsof && pidsAtDirectory(lsof.stdout, directory);
  }
  const { uid } = statSync(directory);
  const candidates = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      const owner = ownerOf(Number(name), program);
      return owner?.uid === uid ? [{ pid: Number(name), owner }] : [];
    });
  const places = await Promise.all(
    candidates.map(async ({ pid, owner }) => {
      const place = placeOf(pid);
      return { pid, place: place === "hidden" ? await placeAsOwner(pid, owner) : place };
    }),
  );
  if (places.some(({ place }) => place === "hidden")) return undefined;
  return places.filter(({ place }) => place === directory).map(({ pid }) => pid);
}

/**
 * Whose a process of a program is. Everybody may see that, and its name, which no update of the program's file changes
 * (proc(5)).
 */
function ownerOf(pid: number, program: string): Owner | undefined {
  try {
    if (readFileSync(`/proc/${pid}/comm`, "utf8") !== `${program}\n`) return undefined;
    const { uid, gid } = statSync(`/proc/${pid}`);
    return { uid, gid };
  } catch {
    return undefined;
  }
}

/** Root in a container may lack the right to look at others' processes (CAP_SYS_PTRACE); their user has it. */
async function placeAsOwner(pid: number, owner: Owner): Promise<string | undefined> {
  const seen = await run("readlink", [`/proc/${pid}/cwd`], { owner }).catch(() => undefined);
  if (seen?.exitCode === 0) return seen.stdout.replace(/\n$/, "");
  const state = processState(pid);
  return state === undefined || state === "Z" ? undefined : "hidden";
}

/** Reads `lsof -Fpn`: a line `p` with the process, then lines `n` with the names of its files. */
function pidsAtDirectory(text: string, directory: string): number[] {
  const found: number[] = [];
  let pid = 0;
  for (const line of text.split("\n")) {
    if (line.startsWith("p")) pid = Number(line.slice(1));
    else if (line === `n${directory}`) found.push(pid);
  }
  return found;
}
