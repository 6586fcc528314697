import { OdooPgError } from "../errors.ts";
import { createExclusive, move, readTextIfAny, removeFile } from "../system/files.ts";
import { processIdentity } from "../system/process.ts";

interface Holder {
  readonly pid: number;
  readonly identity: string;
}

function parse(text: string | undefined): Holder | undefined {
  const [pid, ...identity] = text?.trim().split(" ") ?? [];
  return pid && identity.length ? { pid: Number(pid), identity: identity.join(" ") } : undefined;
}

/** The process that holds the lock and still lives; undefined when nobody does. */
export async function lockHolder(lockFile: string): Promise<number | undefined> {
  const holder = parse(await readTextIfAny(lockFile));
  if (!holder) return undefined;
  return (await processIdentity(holder.pid)) === holder.identity ? holder.pid : undefined;
}

/**
 * Takes the lock of a state directory for a process, for as long as it lives: a lock of a dead process counts for nothing.
 * @throws OdooPgError locked when another process has it.
 */
export async function takeLock(lockFile: string, pid: number): Promise<void> {
  const identity = await processIdentity(pid);
  const own = `${pid} ${identity ?? ""}\n`;
  for (;;) {
    if (await createExclusive(lockFile, own)) return;
    const text = await readTextIfAny(lockFile);
    const holder = await lockHolder(lockFile);
    if (holder !== undefined) {
      throw new OdooPgError("locked", {
        message: `Another odoo-pg (process ${holder}) holds ${lockFile}.`,
        safe: "Nothing was changed.",
        next: "Wait for it to end, or look: odoo-pg status",
      });
    }
    // Stale. Of several that see this at once, only one can rename it; what was renamed is checked again.
    const aside = `${lockFile}.stale.${pid}`;
    try {
      await move(lockFile, aside);
    } catch {
      continue;
    }
    const moved = await readTextIfAny(aside);
    if (moved !== text && moved !== undefined) await createExclusive(lockFile, moved);
    await removeFile(aside);
  }
}

/** Gives the lock back if this process has it. */
export async function releaseLock(lockFile: string, pid: number): Promise<void> {
  if (parse(await readTextIfAny(lockFile))?.pid === pid) await removeFile(lockFile);
}
