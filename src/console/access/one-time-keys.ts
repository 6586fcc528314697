import { createHash } from "node:crypto";
import { secret } from "./sign-ins.ts";

/** Milliseconds after which an unused key expires. */
export const KEY_LIFETIME = 10 * 60 * 1000;

/** Beyond this number the oldest one is dropped. */
const MOST = 20;

/** Keys that sign in once as operator: for users who may give orders to the agent anyway. */
export class OneTimeKeys {
  /** When each one expires, by its digest. */
  readonly #until = new Map<string, number>();

  make(now: number): string {
    const [oldest] = this.#until.keys();
    if (this.#until.size >= MOST && oldest !== undefined) this.#until.delete(oldest);
    const key = secret();
    this.#until.set(digest(key), now + KEY_LIFETIME);
    return key;
  }

  /** Whether a key is good; each is good only once. */
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
