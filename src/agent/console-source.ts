import type { ConsoleListener, ConsoleSource, GatheredDocument } from "../console/source.ts";
import type { Sample } from "../console/document.ts";
import { every } from "../system/clock.ts";
import type { Watch } from "./watch.ts";

/** Milliseconds between two looks while a page is open. */
const LOOK_EVERY = 1000;

/** What the console shows, from the status alone. */
export class StatusSource implements ConsoleSource {
  readonly #watch: Watch;
  readonly #listeners = new Set<ConsoleListener>();
  #stop: (() => void) | undefined;
  #last = "";

  constructor(watch: Watch) {
    this.#watch = watch;
  }

  async document(): Promise<GatheredDocument> {
    const status = await this.#watch.status();
    const [worst] = status.warnings;
    return {
      version: 1,
      at: status.at,
      cluster: status.cluster,
      verdict: {
        level: status.verdict,
        sentence: worst?.message ?? "All is well.",
        next: worst?.next ?? null,
        action: null,
      },
      recovery: {
        sentence: "?",
        last_backup_at: null,
        last_proven_at: null,
        oldest_at: null,
        size_bytes: null,
        backups: [],
      },
      status,
      disks: [],
      databases: [],
      activity: {
        at: null,
        connections: null,
        max_connections: null,
        blocking: [],
        long_transactions: [],
        slowest_statements: null,
      },
      events: [],
    };
  }

  async samples(): Promise<readonly Sample[]> {
    return [];
  }

  subscribe(listener: ConsoleListener): () => void {
    this.#listeners.add(listener);
    this.#stop ??= every(LOOK_EVERY, () => void this.#look().catch(() => {}));
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    };
  }

  async #look(): Promise<void> {
    const document = await this.document();
    const text = JSON.stringify({ ...document, at: "", status: { ...document.status, at: "" } });
    if (text === this.#last) return;
    this.#last = text;
    for (const listener of this.#listeners) listener.document(document);
  }
}
