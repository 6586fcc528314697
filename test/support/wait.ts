import { setTimeout as pause } from "node:timers/promises";

type Condition = () => boolean | Promise<boolean>;

/**
 * Waits until a condition holds.
 * @param description what is waited for, for the message of the error
 * @param options timeout: milliseconds, default 30 000
 * @throws Error when the timeout is reached, with the description and the last error of the condition
 */
export async function waitFor(
  description: string,
  condition: Condition,
  options: { readonly timeout?: number } = {},
): Promise<void> {
  const timeout = options.timeout ?? 30_000;
  let lastError: unknown;
  const quiet = async (): Promise<boolean> => {
    try {
      return await condition();
    } catch (error) {
      lastError = error;
      return false;
    }
  };
  if (await holdsWithin(timeout, quiet)) return;
  throw new Error(`Not within ${timeout / 1000} s: ${description}`, { cause: lastError });
}

/**
 * Whether a condition comes to hold within `timeout` milliseconds. It is looked at once in any case, and no more than half
 * of the time: one that runs a program would take the processor from what it waits for.
 */
export async function holdsWithin(timeout: number, condition: Condition): Promise<boolean> {
  const end = performance.now() + timeout;
  for (;;) {
    const begun = performance.now();
    if (await condition()) return true;
    const now = performance.now();
    if (now >= end) return false;
    await pause(Math.max(25, now - begun));
  }
}
