import { nextStep, odooPg } from "../next-step.ts";
import { createHash } from "node:crypto";
import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { shellWord } from "../shell-word.ts";
import {
  createExclusive,
  namesIn,
  readTextIfAny,
  removeFile,
  writeFileAtomic,
} from "../system/files/files.ts";
import { damagedFile } from "../system/files/json-file.ts";
import { isAlive, processIdentity } from "../system/process/process.ts";

interface Holder {
  readonly pid: number;
  readonly identity: string;
}

/** @throws OdooPgError state_dir_unusable: who holds a lock that cannot be read may still live. */
function holderIn(lockFile: string, text: string): Holder {
  const [, pid, identity] = /^(\d{1,10}) (.*)\n$/.exec(text) ?? [];
  if (pid !== undefined && identity !== undefined) return { pid: Number(pid), identity };
  throw damagedFile(lockFile, "it names no process", {
    code: "state_dir_unusable",
    safe: "Nothing was changed.",
    next: `It says which odoo-pg works here. Check whether one does (pgrep -af odoo-pg) and end it; then: rm ${shellWord(lockFile)}`,
  });
}

async function livingHolder(lockFile: string, text: string): Promise<number | undefined> {
  const { pid, identity } = holderIn(lockFile, text);
  return (await processIdentity(pid)) === identity ? pid : undefined;
}

/** The live process that holds the lock; undefined if none does. @throws OdooPgError state_dir_unusable if unreadable */
export async function lockHolder(lockFile: string): Promise<number | undefined> {
  const text = await readTextIfAny(lockFile);
  return text === undefined ? undefined : await livingHolder(lockFile, text);
}

async function lockText(pid: number): Promise<string> {
  return `${pid} ${(await processIdentity(pid)) ?? ""}\n`;
}

/**
 * Takes the lock of a state directory for a process, for as long as it lives: a lock of a dead process counts for nothing.
 * @throws OdooPgError locked when another process has it, or is just taking it over from a dead one;
 *   state_dir_unusable when the lock cannot be read.
 */
export async function takeLock(lockFile: string, pid: number): Promise<void> {
  const own = await lockText(pid);
  for (;;) {
    if (await createExclusive(lockFile, own)) return await removeLeft(lockFile);
    const text = await readTextIfAny(lockFile);
    // Given back in this moment.
    if (text === undefined) continue;
    const holder = await livingHolder(lockFile, text);
    if (holder !== undefined) {
      throw new OdooPgError("locked", {
        message: `Another odoo-pg (process ${holder}) holds ${lockFile}.`,
        safe: "Nothing was changed.",
        next: nextStep`Wait for it to end, or look: ${odooPg("status")}`,
      });
    }
    if (await takeOver(lockFile, text, own, pid)) return await removeLeft(lockFile);
  }
}

/**
 * Removes what others have left that were killed while they took the lock, which this process holds now: files that they
 * began (named after their process id), and rights to replace a text that stands no more.
 */
async function removeLeft(lockFile: string): Promise<void> {
  const folder = path.dirname(lockFile);
  const begin = `${path.basename(lockFile)}.`;
  for (const name of (await namesIn(folder)).filter((one) => one.startsWith(begin))) {
    const file = path.join(folder, name);
    const [, pid] =
      /^(?:[0-9a-f]{16}\.)?(\d{1,10})\.\d+\.(?:new|tmp|new\.\d+\.\d+\.tmp)$/.exec(name.slice(begin.length)) ??
      [];
    const isLeft =
      pid === undefined
        ? /^[0-9a-f]{16}$/.test(name.slice(begin.length)) && (await lockHolder(file)) === undefined
        : !isAlive(Number(pid));
    if (isLeft) await removeFile(file);
  }
}

/**
 * Puts our own lock in the place of a dead process's; false when another process did so first.
 * The right to do that is itself a lock, named after the dead holder. While we have it, no other process can
 * replace that very text, so looking and replacing are one step; and the lock file is there all the time.
 */
async function takeOver(lockFile: string, dead: string, own: string, pid: number): Promise<boolean> {
  const right = `${lockFile}.${createHash("sha256").update(dead).digest("hex").slice(0, 16)}`;
  await takeLock(right, pid);
  try {
    if ((await readTextIfAny(lockFile)) !== dead) return false;
    await writeFileAtomic(lockFile, own);
    return true;
  } finally {
    await removeFile(right);
  }
}

/** Gives the lock back if this process has it. */
export async function releaseLock(lockFile: string, pid: number): Promise<void> {
  if ((await readTextIfAny(lockFile)) === (await lockText(pid))) await removeFile(lockFile);
}
