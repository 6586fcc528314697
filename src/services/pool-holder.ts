import type { Question } from "../cluster/freshness/keeper.ts";
import { type Grant, type Held, leased, renewed } from "../cluster/freshness/lease.ts";
import { monotonic } from "../system/clock.ts";

/** A pool to which HAProxy is to route. */
export interface HeldPool {
  readonly names: readonly string[];
  /** What it is of; undefined where nothing was ever granted. */
  readonly grant: Grant | undefined;
}

/** The answer on which replicas may serve reads: it holds for a moment, and is asked for again and again. */
export class PoolHolder {
  #held: Held | undefined;
  #applied: Question["applied"];

  /** The question to send next. */
  get question(): Omit<Question, "from"> {
    return { applied: this.#applied };
  }

  /**
   * Takes an answer up.
   * @param askedAt when the question was sent (monotonic clock)
   * @returns whether it is another pool than before
   */
  take(grant: Grant, askedAt: number): boolean {
    const before = this.pool().names.join();
    this.#held = renewed(this.#held, grant, askedAt);
    return this.pool().names.join() !== before;
  }

  /** Whether a replica may be read from at this moment. */
  serves(name: string): boolean {
    return this.pool().names.includes(name);
  }

  pool(): HeldPool {
    return { names: leased(this.#held, monotonic()), grant: this.#held?.grant };
  }

  /** HAProxy no longer has a session on a replica outside this pool. */
  led({ grant }: HeldPool): void {
    this.#applied = grant && { term: grant.term, version: grant.version };
  }
}
