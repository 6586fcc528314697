import type { NodeOperation } from "../model/node-state.ts";

/** A start by supervision. */
export interface Attempt {
  /** Aborted when an operation takes the service. */
  readonly signal: AbortSignal;
  /** Says before anything is started whether it still may be. From then on `operation` shows it. */
  readonly begin: () => boolean;
}

/** The holder of a service. Supervision starts what no one holds, and leaves alone what an operation holds. */
export class Hold {
  #operation: NodeOperation | undefined;
  #attempt: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined;
  #begun = false;

  /** The operation that holds the service; `start` while it is being started by itself. */
  get operation(): NodeOperation | undefined {
    return this.#operation ?? (this.#begun ? "start" : undefined);
  }

  get isFree(): boolean {
    return this.#operation === undefined && this.#attempt === undefined;
  }

  /**
   * Takes the service for an operation. A start by supervision is ended first: it must not bring back what the operation
   * stops.
   */
  async take(operation: NodeOperation): Promise<void> {
    while (this.#attempt) {
      this.#attempt.abort.abort();
      await this.#attempt.ended;
    }
    this.#operation = operation;
  }

  /** Takes it for an operation that wants it to run too: a start that is under way may come to its end. */
  join(operation: NodeOperation): void {
    this.#operation = operation;
  }

  release(): void {
    this.#operation = undefined;
  }

  /** Supervision's part: `act` runs unless someone holds the service. Rejects as `act` does. */
  async attempt(act: (attempt: Attempt) => Promise<void>): Promise<void> {
    if (!this.isFree) return;
    const abort = new AbortController();
    const begin = (): boolean => {
      this.#begun = !abort.signal.aborted && this.#operation === undefined;
      return this.#begun;
    };
    const outcome = act({ signal: abort.signal, begin }).finally(() => {
      this.#attempt = undefined;
      this.#begun = false;
    });
    this.#attempt = { abort, ended: outcome.catch(() => {}) };
    await outcome;
  }
}
