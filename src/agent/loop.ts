import { monotonic, pause } from "../system/clock.ts";
import type { Complaints } from "./complaints.ts";

/** Milliseconds of one turn. A replica beyond its bound is out of the pool after two turns at most. */
const ROUND_EVERY = 500;

/** Milliseconds left to others after a long turn. */
const LEAST_PAUSE = 50;

/** A part of an agent's work, done in each turn of its loop. */
export interface Part {
  /** What a complaint is about. */
  readonly name: string;
  readonly run: () => Promise<void> | void;
  /** Whether what comes next does not wait for it: it may take minutes, or asks a server that may hang. */
  readonly aside?: true;
}

/** Runs its parts one after the other, twice a second. One that fails does not keep the others from running. */
export class Loop {
  readonly #parts: readonly Part[];
  readonly #complaints: Complaints;
  #waking = new AbortController();

  constructor(parts: readonly Part[], complaints: Complaints) {
    this.#parts = parts;
    this.#complaints = complaints;
  }

  /** Runs until `isEnding`. */
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

  /** Makes the next turn begin soon: something has happened. */
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
