/** Milliseconds over which wrong passwords are counted. */
const WINDOW = 60_000;
/** Wrong passwords allowed in that time from one address, and from all. */
const FROM_ONE = 5;
const FROM_ALL = 60;

/** Limits how many passwords can be tried. It remembers at most FROM_ALL tries. */
export class Tries {
  #wrong: { readonly address: string; readonly at: number }[] = [];

  /** Seconds until the next try is allowed; 0 for at once. */
  wait(address: string, now: number): number {
    this.#wrong = this.#wrong.filter(({ at }) => now - at < WINDOW);
    const own = this.#wrong.filter((wrong) => wrong.address === address);
    const full =
      own.length >= FROM_ONE ? own[0] : this.#wrong.length >= FROM_ALL ? this.#wrong[0] : undefined;
    return full ? Math.ceil((full.at + WINDOW - now) / 1000) : 0;
  }

  wrong(address: string, now: number): void {
    this.#wrong = [...this.#wrong, { address, at: now }].slice(-FROM_ALL);
  }
}
