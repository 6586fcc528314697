import type * as z from "zod";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import type { Log } from "../system/log.ts";
import { Mutex } from "../system/mutex.ts";
import type { Progress } from "../progress.ts";
import type { operationSchema, Outcome } from "../cluster/documents/agent-report.ts";

/** Changes to the cluster are made one after another: each order waits for its turn. */
export class OperationQueue {
  readonly #log: Log;
  readonly #mutex = new Mutex();
  #current: string | undefined;
  /** Orders that are carried out or wait for their turn. */
  #count = 0;
  readonly #underWay = new Map<string, Promise<Outcome>>();
  #closed = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** The operation under way; undefined where there is none. */
  get current(): string | undefined {
    return this.#current;
  }

  /** Whether nothing is carried out or waits. */
  get empty(): boolean {
    return this.#count === 0;
  }

  /** Whether no order is taken any more. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Takes no order from now on: no one would look after what it starts. */
  close(): void {
    this.#closed = true;
  }

  /** Carries an order out when its turn comes, and writes its begin and end to the log. @throws OdooPgError not_running when none is taken any more; what `act` throws. */
  async run<T>(name: string, progress: Progress, act: () => Promise<T>): Promise<T> {
    if (this.#closed) {
      throw new OdooPgError("not_running", {
        message: "The agent is shutting down.",
        safe: "Nothing was changed.",
        next: "Run the same command again.",
      });
    }
    this.#count += 1;
    if (this.#current !== undefined) progress.note(`waiting for another "${this.#current}" to finish`);
    return await this.#mutex.run(async () => {
      this.#current = name;
      try {
        this.#log("info", `${name}: begins`);
        const result = await act();
        this.#log("info", `${name}: done`);
        return result;
      } catch (error) {
        this.#log("error", `${name}: ${toOdooPgError(error).message}`);
        throw error;
      } finally {
        this.#current = undefined;
        this.#count -= 1;
      }
    });
  }

  /**
   * Carries out an operation. The same request, given again meanwhile, waits for the first one: repeated after it, a
   * switchover would lead back, and a reseed would copy twice.
   */
  async once(
    request: z.output<typeof operationSchema>,
    progress: Progress,
    act: () => Promise<Outcome>,
  ): Promise<Outcome> {
    const asked = JSON.stringify(request);
    const first = this.#underWay.get(asked);
    if (first) {
      progress.note(`the same ${request.operation} is under way already: waiting for its end`);
      return await first;
    }
    const turn = this.run(request.operation, progress, act).finally(() => this.#underWay.delete(asked));
    this.#underWay.set(asked, turn);
    return await turn;
  }
}
