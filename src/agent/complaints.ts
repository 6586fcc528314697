import { now } from "../system/clock.ts";
import { messageOf } from "../errors.ts";
import type { Log } from "../system/log.ts";

/** Milliseconds until the same complaint is written again. */
const AGAIN_AFTER = 60_000;

/** Logs a failure that goes on once a minute, not twice a second. */
export class Complaints {
  readonly #log: Log;
  readonly #clock: () => number;
  readonly #last = new Map<string, { readonly text: string; readonly at: number }>();

  /** @param clock milliseconds */
  constructor(log: Log, clock: () => number = now) {
    this.#log = log;
    this.#clock = clock;
  }

  of(about: string, error: unknown): void {
    const text = messageOf(error);
    const at = this.#clock();
    const last = this.#last.get(about);
    if (last?.text === text && at - last.at < AGAIN_AFTER) return;
    this.#last.set(about, { text, at });
    this.#log("error", `${about}: ${text}`);
  }
}
