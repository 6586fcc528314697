import { monotonic, within } from "./clock.ts";

/** Milliseconds until a look that failed is tried again, where looks are rarer than that. */
const AGAIN_AFTER = 10_000;

export interface CachedOptions<T> {
  readonly read: () => Promise<T>;
  /** Milliseconds between two looks at most. */
  readonly every: number;
  /** Milliseconds that anybody waits for a look. One that hangs is waited for once only, and no second one is begun. */
  readonly timeout: number;
}

/** A value that is costly to read: read only on request, and no more often than needed. */
export class Cached<T> {
  readonly #options: CachedOptions<T>;
  #last: T | undefined;
  #failed = false;
  /** When the last look was begun (monotonic). */
  #begun: number | undefined;
  #underWay: Promise<void> | undefined;

  constructor(options: CachedOptions<T>) {
    this.#options = options;
  }

  /** What is so now. Undefined when the look failed, or takes longer than its timeout. Never throws. */
  async now(): Promise<T | undefined> {
    this.#readIfDue();
    if (this.#underWay && this.#begun !== undefined) {
      const rest = this.#options.timeout - (monotonic() - this.#begun);
      if (rest <= 0) return undefined;
      const ended = await within(rest, "a look", this.#underWay).then(
        () => true,
        () => false,
      );
      if (!ended) return undefined;
    }
    return this.#failed ? undefined : this.#last;
  }

  /** What was seen last, at once; a look that is due is begun. Undefined before the first one ended well. */
  last(): T | undefined {
    this.#readIfDue();
    return this.#last;
  }

  /** What was seen last; before anything was, the first look is waited for, at most `milliseconds`. Never throws. */
  async lastOrFirst(milliseconds: number): Promise<T | undefined> {
    const seen = this.last();
    if (seen !== undefined || !this.#underWay) return seen;
    await within(milliseconds, "a first look", this.#underWay).catch(() => {});
    return this.#last;
  }

  /** Has the next question begin a look, unless one was begun within `milliseconds`. */
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
