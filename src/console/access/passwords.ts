import { createHash, timingSafeEqual } from "node:crypto";
import type { Role } from "./sign-ins.ts";

export type ConsolePasswords = Readonly<Record<Role, string>>;

/** Compares two texts in a time that reveals nothing about either. */
export function sameSecret(given: string, wanted: string): boolean {
  return timingSafeEqual(digest(given), digest(wanted));
}

/** Whether a password is that of a role. An empty password never matches. */
export function isPasswordOf(role: Role, given: string, passwords: ConsolePasswords): boolean {
  return passwords[role] !== "" && sameSecret(given, passwords[role]);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
