import { createHash } from "node:crypto";
import { lstatSync, readdirSync, readlinkSync } from "node:fs";
import * as fs from "node:fs/promises";
import os from "node:os";
import path from "node:path";
import { ownPid, processIdentity } from "../process/process.ts";
import { isErrno } from "./errno.ts";
import { ensureDirectory, passableFor, type Owner } from "./files.ts";
import { removeIn } from "./held/by-path.ts";

/** Taken where the system has no directory for temporary files, as in a container whose root file system is read-only. */
const IN_MEMORY = "/dev/shm";

/** Whose it is: odoo-pg-(space of process ids)-(process id)-(which process of that id)-(chance). */
const NAME = /^odoo-pg-(\d+)-(\d{1,10})-([0-9a-f]{12})-\w{6}$/;

/** Makes a directory for the time of `use`, and removes it afterwards. What is put there is small. @param reader may read it */
export async function temporaryDirectory<T>(
  reader: Owner | undefined,
  use: (directory: string) => Promise<T>,
): Promise<T> {
  await removeLeftTemporaries();
  const directory = await makeTemporaryDirectory();
  try {
    if (reader) await ensureDirectory(directory, passableFor(reader));
    return await use(directory);
  } finally {
    await fs.rm(directory, { recursive: true, force: true });
  }
}

/** Removes what killed processes of this user have left. What cannot be told or removed stays. */
export async function removeLeftTemporaries(): Promise<void> {
  for (const place of [os.tmpdir(), IN_MEMORY])
    for (const name of namesIn(place))
      if (await isLeft(place, name)) await removeIn(path.join(place, name)).catch(() => {});
}

async function makeTemporaryDirectory(): Promise<string> {
  const name = `odoo-pg-${spaceOfProcesses()}-${ownPid}-${await whichProcess(ownPid)}-`;
  const inside = async (place: string): Promise<string> => await fs.mkdtemp(path.join(place, name));
  try {
    return await inside(os.tmpdir());
  } catch (error) {
    if (!isErrno(error, "EROFS", "EACCES", "ENOENT")) throw error;
    return await inside(IN_MEMORY).catch(() => {
      throw error;
    });
  }
}

async function isLeft(place: string, name: string): Promise<boolean> {
  const [, space, pid, which] = NAME.exec(name) ?? [];
  // Containers may share the directory, and have process ids of their own.
  if (space !== spaceOfProcesses() || pid === undefined) return false;
  if ((await whichProcess(Number(pid))) === which) return false;
  const stat = lstatSync(path.join(place, name), { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === process.geteuid?.();
}

/** The inode of the namespace of process ids, as `pid:[4026531836]` has it (namespaces(7)); 0 where there is none. */
function spaceOfProcesses(): string {
  try {
    return /\d+/.exec(readlinkSync("/proc/self/ns/pid"))?.[0] ?? "0";
  } catch {
    return "0";
  }
}

async function whichProcess(pid: number): Promise<string> {
  const identity = (await processIdentity(pid)) ?? "";
  return createHash("sha256").update(identity).digest("hex").slice(0, 12);
}

function namesIn(place: string): string[] {
  try {
    return readdirSync(place).filter((name) => NAME.test(name));
  } catch {
    return [];
  }
}
