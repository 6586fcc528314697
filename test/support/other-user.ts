import type { User } from "./program.ts";

/**
 * Whether this process may take another user's rights for a while: as root, and where Node.js allows it (with io_uring
 * it refuses: CVE-2024-22017).
 */
const mayBecomeOther = ((): boolean => {
  if (process.geteuid?.() !== 0) return false;
  try {
    process.seteuid?.(0);
    return true;
  } catch {
    return false;
  }
})();

/** Whether there is a way to a folder that this process may not look into: root may look into every one. */
export const canBeKeptOut = mayBecomeOther || process.geteuid?.() !== 0;

/** Does something as a user who has no rights here; not as root: as oneself. */
export async function withoutRights(user: User | undefined, act: () => Promise<void>): Promise<void> {
  if (mayBecomeOther) {
    process.setegid?.(user?.gid ?? 65_534);
    process.seteuid?.(user?.uid ?? 65_534);
  }
  try {
    await act();
  } finally {
    if (mayBecomeOther) {
      process.seteuid?.(0);
      process.setegid?.(0);
    }
  }
}
