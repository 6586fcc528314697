import type { ConsoleDocument, Job, Sample } from "../cluster/documents/console.ts";
import { forPrincipal } from "./for-principal.ts";
import type { ConsoleSource, GatheredDocument } from "./source.ts";

/** A follower, woken when there is something new. */
export interface Follower {
  readonly changed: () => void;
  readonly sample: (sample: Sample) => void;
}

/** One subscription for all open pages. With none open, nothing is gathered and nothing is kept. */
export class Feed {
  readonly #source: ConsoleSource;
  readonly #jobs: () => readonly Job[];
  readonly #followers = new Set<Follower>();
  #unsubscribe: (() => void) | undefined;
  #gathered: GatheredDocument | undefined;
  /** Counts the changes. */
  #version = 0;
  /** The present document as text, for operators and for the others: made once, however many pages are open. */
  readonly #texts = new Map<boolean, { readonly version: number; readonly text: string }>();

  constructor(source: ConsoleSource, jobs: () => readonly Job[]) {
    this.#source = source;
    this.#jobs = jobs;
  }

  /** How many pages are open. */
  get followers(): number {
    return this.#followers.size;
  }

  /** @returns what ends it */
  follow(follower: Follower): () => void {
    this.#followers.add(follower);
    this.#unsubscribe ??= this.#source.subscribe({
      document: (document) => {
        this.#gathered = document;
        this.changed();
      },
      sample: (sample) => {
        for (const { sample: tell } of this.#followers) tell(sample);
      },
    });
    return () => {
      this.#followers.delete(follower);
      if (this.#followers.size > 0) return;
      this.#unsubscribe?.();
      this.#unsubscribe = undefined;
      this.#gathered = undefined;
      this.#texts.clear();
    };
  }

  /** Something outside the source has changed, such as a job. */
  changed(): void {
    this.#version += 1;
    for (const { changed } of this.#followers) changed();
  }

  /** The present document. @throws OdooPgError what the source throws. */
  async document(): Promise<ConsoleDocument> {
    return { ...(await this.#source.document()), jobs: this.#jobs() };
  }

  /** The document of the followers, as JSON. @throws OdooPgError what the source throws. */
  async text(isOperator: boolean): Promise<string> {
    const kept = this.#texts.get(isOperator);
    if (kept?.version === this.#version) return kept.text;
    const version = this.#version;
    const gathered = this.#gathered ?? (await this.#source.document());
    const text = JSON.stringify(forPrincipal({ ...gathered, jobs: this.#jobs() }, isOperator));
    if (this.#followers.size > 0) {
      this.#gathered ??= gathered;
      this.#texts.set(isOperator, { version, text });
    }
    return text;
  }
}
