import { nextStep, odooPg, type NextText } from "../next-step.ts";
import { setImmediate as turn, setTimeout as timer } from "node:timers/promises";
import { OdooPgError } from "../errors.ts";

/** Milliseconds since the epoch. */
export function now(): number {
  return Date.now();
}

/** The time zone of this host, as the time zone database names it. */
export function hostTimeZone(): string {
  return Intl.DateTimeFormat().resolvedOptions().timeZone;
}

/** Milliseconds of a clock that never jumps, for measuring. */
export function monotonic(): number {
  return performance.now();
}

export async function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await timer(milliseconds, undefined, signal ? { signal } : {});
}

/** Lets whatever else this program has to do go first, in the middle of much that does not wait for anything. */
export async function letOthers(): Promise<void> {
  await turn();
}

/** Calls `act` every `milliseconds` until the returned function is called. Never keeps the process alive. */
export function every(milliseconds: number, act: () => void): () => void {
  const handle = setInterval(act, milliseconds);
  return () => clearInterval(handle);
}

export interface Wait {
  /** Completes the sentence "Still waiting for …". */
  readonly what: string;
  /** Milliseconds until the wait is given up. */
  readonly timeout: number;
  /** Milliseconds between two looks; default 20. */
  readonly interval?: number;
  readonly next?: NextText;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Waits until `look` answers something other than undefined, false or null, and returns it.
 * @throws OdooPgError timed_out when the timeout is reached.
 */
export async function waitUntil<T>(
  poll: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  wait: Wait,
): Promise<T> {
  const start = monotonic();
  for (;;) {
    const seen = await poll();
    if (seen !== undefined && seen !== false && seen !== null) return seen;
    if (monotonic() - start > wait.timeout) {
      throw new OdooPgError("timed_out", {
        message: `Still waiting for ${wait.what} after ${Math.round(wait.timeout / 1000)} s.`,
        safe: "Nothing is lost: what was started continues or can be started again.",
        next: wait.next ?? nextStep`Run the same command again, and look at: ${odooPg("status")}`,
      });
    }
    await pause(wait.interval ?? 20, wait.signal);
  }
}

/** An answer that did not come in time. */
export class LateError extends Error {}

/** Ends a promise that takes longer than `timeout` milliseconds. @throws LateError that says so */
export async function within<T>(timeout: number, what: string, promise: Promise<T>): Promise<T> {
  let handle: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    handle = setTimeout(() => reject(new LateError(`no answer within ${timeout} ms from ${what}`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(handle);
  }
}
