import { createHash, randomBytes } from "node:crypto";
import type { Principal } from "../../cluster/documents/console.ts";

export type Role = Principal["role"];

/** A signed-in user. */
export interface SignIn {
  readonly role: Role;
  /** Sent back with every order: a page of another origin cannot know it. */
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly until: number;
}

/** Milliseconds after which a sign-in expires. */
export const SIGN_IN_LIFETIME = 7 * 24 * 3600 * 1000;

/** Beyond this number the oldest one is dropped. */
const MOST = 100;

/**
 * The signed-in users, only in memory: sign-ins end with the agent. Keyed by the digest of the id, which only the
 * browser has.
 */
export class SignIns {
  readonly #byDigest = new Map<string, SignIn>();

  /** @returns the id for the cookie: 256 bits */
  add(role: Role, now: number): string {
    const [oldest] = this.#byDigest.keys();
    if (this.#byDigest.size >= MOST && oldest !== undefined) this.#byDigest.delete(oldest);
    const id = secret();
    this.#byDigest.set(digest(id), { role, token: secret(), until: now + SIGN_IN_LIFETIME });
    return id;
  }

  find(id: string, now: number): SignIn | undefined {
    const found = this.#byDigest.get(digest(id));
    if (found && found.until > now) return found;
    this.remove(id);
    return undefined;
  }

  remove(id: string): void {
    this.#byDigest.delete(digest(id));
  }
}

/** 256 random bits, for a cookie or an address. */
export function secret(): string {
  return randomBytes(32).toString("base64url");
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
