import path from "node:path";
import { OdooPgError } from "../../errors.ts";

/** Whether an error is one of the system, of one of the given kinds. */
export function isErrno(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && "code" in error && codes.includes(String(error.code));
}

/** Turns the errors that disks give into ones with a reader: no room, no permission. Others pass unchanged. */
export function explain(error: unknown, target: string): unknown {
  if (isErrno(error, "ENOSPC", "EDQUOT")) {
    return new OdooPgError("disk_full", {
      message: `There is no room left on the disk of ${target}.`,
      safe: "The file that was there before is unchanged.",
      next: `Make room (df -h ${path.dirname(target)}), then run the same command again.`,
      cause: error,
    });
  }
  if (isErrno(error, "EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST")) {
    return new OdooPgError("state_dir_unusable", {
      message: `${target} cannot be read or written by this user (${String(error).split(":")[1]?.trim()}).`,
      safe: "Nothing was changed.",
      next: "Run as the user that owns it (or with sudo), or choose another state_dir in odoo-pg.yaml.",
      cause: error,
    });
  }
  return error;
}
