import { monotonic, pause } from "../system/clock.ts";
import type { Complaints } from "./complaints.ts";

/** Milliseconds between two looks. A replica beyond its bound is out of the pool after two of them at most. */
const ROUND_EVERY = 500;

/** Milliseconds left to others after a long look. */
const LEAST_PAUSE = 50;

/** What an agent does at each look. */
export interface Part {
  /** What a complaint is about. */
  readonly name: string;
  readonly run: () => Promise<void> | void;
  /** Whether what comes next does not wait for it: it may take minutes, or asks a server that may hang. */
  readonly aside?: true;
}

/** Runs its parts, look after look, one after the other. One that fails does not keep the others from their turn. */
export class Loop {
  readonly #parts: readonly Part[];
  readonly #complaints: Complaints;
  #waking = new AbortController();

  constructor(parts: readonly Part[], complaints: Complaints) {
    this.#parts = parts;
    this.#complaints = complaints;
  }

  /** Looks until `isEnding`. */
  async run(isEnding: () => boolean): Promise<void> {
    while (!isEnding()) {
      const start = monotonic();
      this.#waking = new AbortController();
      await this.once();
      await pause(LEAST_PAUSE);
      const { signal } = this.#waking;
      // It was woken; the pause did not fail.
      await pause(Math.max(0, ROUND_EVERY - (monotonic() - start)), signal).catch(() => {});
    }
  }

  /** Makes the next look begin soon: something has happened. */
  wake(): void {
    this.#waking.abort();
  }

  async once(): Promise<void> {
    for (const part of this.#parts) {
      const run = this.#run(part);
      if (!part.aside) await run;
    }
  }

  async #run({ name, run }: Part): Promise<void> {
    try {
      await run();
    } catch (error) {
      this.#complaints.of(name, error);
    }
  }
}
