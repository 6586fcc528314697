import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import type { Owner } from "./files.ts";
import { processIdentity, run } from "../process/process.ts";

/** The directory that a process works in; undefined when it is gone, or where the system does not tell. */
export async function workingDirectory(pid: number): Promise<string | undefined> {
  const place = await placeOf(pid);
  return place === "hidden" ? undefined : place;
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
    .map(Number)
    .filter((pid) => nameOf(pid) === program && ownerOf(pid)?.uid === uid);
  const places = await Promise.all(candidates.map(async (pid) => ({ pid, place: await placeOf(pid) })));
  if (places.some(({ place }) => place === "hidden")) return undefined;
  return places.filter(({ place }) => place === directory).map(({ pid }) => pid);
}

/** Whether a process belongs to the owner of a directory, and not to root; true where the system does not tell. */
export function runsAsOwnerOf(pid: number, directory: string): boolean {
  const user = ownerOf(pid);
  if (!user) return process.platform !== "linux";
  const stat = statSync(directory, { throwIfNoEntry: false });
  return stat !== undefined && stat.uid === user.uid && user.uid !== 0;
}

/** The name of a process's program (proc(5)): an update of its file does not change it. */
function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").replace(/\n$/, "");
  } catch {
    return undefined;
  }
}

function ownerOf(pid: number): Owner | undefined {
  try {
    const { uid, gid } = statSync(`/proc/${pid}`);
    return { uid, gid };
  } catch {
    return undefined;
  }
}

/** Undefined when the process is gone; hidden when this user may not know. */
async function placeOf(pid: number): Promise<string | undefined> {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EACCES")) return undefined;
  }
  return await placeAsOwner(pid);
}

/**
 * Root in a container may lack the right to look at others' processes (CAP_SYS_PTRACE); their user has it. Not
 * remembered: a server goes to its data directory some time after its start.
 */
async function placeAsOwner(pid: number): Promise<string | undefined> {
  const owner = ownerOf(pid);
  if (!owner) return undefined;
  const seen = await run("readlink", [`/proc/${pid}/cwd`], { owner }).catch(() => undefined);
  if (seen?.exitCode === 0) return seen.stdout.replace(/\n$/, "");
  return (await processIdentity(pid)) === undefined ? undefined : "hidden";
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
