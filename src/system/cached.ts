import { monotonic, within } from "./clock.ts";

/** Milliseconds until a failed read is tried again, where `every` is longer. */
const AGAIN_AFTER = 10_000;

export interface CachedOptions<T> {
  readonly read: () => Promise<T>;
  /** Milliseconds for which a value is good: there is at most one read in this time. */
  readonly every: number;
  /** Milliseconds from its beginning for which a read is waited for. While one hangs, none is begun, and nobody waits. */
  readonly timeout: number;
}

/** A value that is costly to read: read only on request, and no more often than needed. */
export class Cached<T> {
  readonly #options: CachedOptions<T>;
  #last: T | undefined;
  #failed = false;
  /** When the last read was begun (monotonic). */
  #begun: number | undefined;
  #underWay: Promise<void> | undefined;

  constructor(options: CachedOptions<T>) {
    this.#options = options;
  }

  /** The value, no older than `every`. Undefined when the read failed, or takes longer than its timeout. Never throws. */
  async now(): Promise<T | undefined> {
    this.#readIfDue();
    if (this.#underWay && this.#begun !== undefined) {
      const rest = this.#options.timeout - (monotonic() - this.#begun);
      if (rest <= 0) return undefined;
      const ended = await within(rest, "a read", this.#underWay).then(
        () => true,
        () => false,
      );
      if (!ended) return undefined;
    }
    return this.#failed ? undefined : this.#last;
  }

  /** The last value, at once; a read that is due is begun. Undefined before one has succeeded. */
  last(): T | undefined {
    this.#readIfDue();
    return this.#last;
  }

  /** The last value; where there is none yet, the read is waited for, at most `milliseconds`. Never throws. */
  async lastOrFirst(milliseconds: number): Promise<T | undefined> {
    const seen = this.last();
    if (seen !== undefined || !this.#underWay) return seen;
    await within(milliseconds, "a first read", this.#underWay).catch(() => {});
    return this.#last;
  }

  /** Has the next call begin a read, unless one was begun within `milliseconds`. */
  refreshAfter(milliseconds: number): void {
    if (this.#begun !== undefined && monotonic() - this.#begun > milliseconds) this.#begun = undefined;
  }

  #readIfDue(): void {
    if (this.#underWay) return;
    const { every, read } = this.#options;
    const wait = this.#failed ? Math.min(every, AGAIN_AFTER) : every;
    if (this.#begun !== undefined && monotonic() - this.#begun < wait) return;
    this.#begun = monotonic();
    this.#underWay = read()
      .then(
        (seen) => {
          this.#last = seen;
          this.#failed = false;
        },
        () => {
          this.#failed = true;
        },
      )
      .finally(() => {
        this.#underWay = undefined;
      });
  }
}
