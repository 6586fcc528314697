import type { NewEvent } from "../events/event.ts";
import type { Failover } from "../failover/failover.ts";
import type { Progress } from "../progress.ts";
import type { Log } from "../system/log.ts";
import type { OperationQueue } from "./operation-queue.ts";

const FINISH = { kind: "finish", route: true } as const;

/**
 * Finishes a failed change of the primary, above all writes that go nowhere: no one else would. People's
 * orders come first, and it waits for a primary that answers.
 */
export class ChangeFinisher {
  readonly #operations: OperationQueue;
  readonly #record: (event: NewEvent) => void;
  readonly #log: Log;
  #finishing = false;

  constructor(operations: OperationQueue, record: (event: NewEvent) => void, log: Log) {
    this.#operations = operations;
    this.#record = record;
    this.#log = log;
  }

  /** Begins to finish where something is left, and does not wait for its end. @param answers whether the primary answers */
  tick(failover: Failover, answers: boolean): void {
    if (this.#finishing || !answers || !failover.topology().unfinished || !this.#operations.empty) return;
    this.#finishing = true;
    void this.#finish(failover)
      // It was logged; the next tick tries again.
      .catch(() => {})
      .finally(() => {
        this.#finishing = false;
      });
  }

  async #finish(failover: Failover): Promise<void> {
    if (!(await failover.plan(FINISH)).steps.length) return;
    const progress: Progress = {
      step: (node, text) => this.#log("warn", `${node ?? "cluster"}: ${text}`),
      bytes: () => {},
      note: (text) => this.#log("warn", text),
    };
    await this.#operations.run("finish the change of the primary", progress, async () => {
      // Meanwhile another order may have finished it.
      const plan = await failover.plan(FINISH);
      await failover.carryOut(plan, progress);
      if (!plan.steps.some(({ kind }) => kind === "settle")) return;
      const { primary } = failover.topology();
      if (primary === undefined) return;
      const text = `the change of the primary was finished: ${primary} is the primary now`;
      this.#record({ kind: "promote", by: "agent", node: primary, text });
    });
  }
}
