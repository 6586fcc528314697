import { monotonic } from "../system/clock.ts";
import type { Log } from "../system/log.ts";
import { messageOf } from "../errors.ts";
import type { Service } from "./service.ts";

/** Milliseconds without an answer after which a service counts as hung, and milliseconds between two questions. */
export const HUNG_AFTER = 10_000;
export const ASK_EVERY = 2000;

/** Milliseconds before the next try after `failures` failed starts: at once, then 1, 2, 4 … 30 s. */
export function retryDelay(failures: number): number {
  return failures === 0 ? 0 : Math.min(30_000, 1000 * 2 ** (failures - 1));
}

/** The supervisor's memory of one service: starts that failed in a row, and since when it does not answer. */
interface Known {
  failures: number;
  retryAt: number;
  asking: boolean;
  askedAt: number;
  silentSince: number | undefined;
}

/**
 * Keeps services running, all by the same rules: one that is gone is started, ever less often while that fails, and one
 * that does not answer for HUNG_AFTER is ended, so that the next check starts it.
 */
export class Supervisor {
  readonly #log: Log;
  readonly #clock: () => number;
  readonly #known = new WeakMap<Service, Known>();

  /** @param clock milliseconds, never going back */
  constructor(log: Log, clock: () => number = monotonic) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Checks a service once. Resolves when a start that it began has ended. Never rejects: failures are logged. */
  async check(service: Service): Promise<void> {
    const known = this.#knownOf(service);
    // Not awaited: one that hangs must not hold up the supervision of the others.
    void this.#endHung(service, known);
    if (this.#clock() < known.retryAt) return;
    await service.hold.attempt(async ({ signal, begin }) => {
      try {
        const found = await service.find();
        if (found === "running") known.failures = 0;
        if (found !== "stopped" || !begin()) return;
        this.#log("warn", `${service.name} is not running: starting it again`);
        await service.start(signal);
        Object.assign(known, { failures: 0, silentSince: undefined });
        this.#log("info", `${service.name} runs again`);
      } catch (error) {
        // An operation has taken it.
        if (signal.aborted) return;
        known.failures += 1;
        known.retryAt = this.#clock() + retryDelay(known.failures);
        this.#log("error", `${service.name} does not start (try ${known.failures}): ${messageOf(error)}`);
      }
    });
  }

  async #endHung(service: Service, known: Known): Promise<void> {
    const isHeld = (): boolean => service.hold.operation !== undefined;
    if (known.asking || isHeld() || this.#clock() - known.askedAt < ASK_EVERY) return;
    known.asking = true;
    try {
      const answer = await service.probe().finally(() => {
        known.askedAt = this.#clock();
      });
      known.silentSince = answer === "silent" ? (known.silentSince ?? known.askedAt) : undefined;
      if (known.silentSince === undefined || known.askedAt - known.silentSince < HUNG_AFTER) return;
      // Whoever holds it now decides what becomes of it.
      if (isHeld()) return;
      known.silentSince = undefined;
      const killed = await service.stop("immediate");
      if (killed.length)
        this.#log(
          "error",
          `${service.name} did not answer for ${HUNG_AFTER / 1000} s: killed ${named(killed)}`,
        );
    } catch (error) {
      this.#log("error", `${service.name}: ${messageOf(error)}`);
    } finally {
      known.asking = false;
    }
  }

  #knownOf(service: Service): Known {
    const before = this.#known.get(service);
    if (before) return before;
    const known: Known = {
      failures: 0,
      retryAt: -Infinity,
      asking: false,
      askedAt: -Infinity,
      silentSince: undefined,
    };
    this.#known.set(service, known);
    return known;
  }
}

/** Processes, as a log line or a step names them. */
export function named(pids: readonly number[]): string {
  return `${pids.length > 1 ? "processes" : "process"} ${pids.join(", ")}`;
}
