import { createHash } from "node:crypto";
import { secret } from "./sign-ins.ts";

/** Milliseconds in which a key has to be used. */
export const KEY_LIFETIME = 10 * 60 * 1000;

/** Beyond this number the oldest one goes. */
const MOST = 20;

/** Keys that sign in once as operator: for who may give orders to the agent anyway. */
export class OneTimeKeys {
  /** Until when each is good, by its digest. */
  readonly #until = new Map<string, number>();

  make(now: number): string {
    const [oldest] = this.#until.keys();
    if (this.#until.size >= MOST && oldest !== undefined) this.#until.delete(oldest);
    const key = secret();
    this.#until.set(digest(key), now + KEY_LIFETIME);
    return key;
  }

  /** Whether a key is good; it never is again. */
  take(key: string, now: number): boolean {
    const name = digest(key);
    const until = this.#until.get(name);
    this.#until.delete(name);
    return until !== undefined && until > now;
  }
}

function digest(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
