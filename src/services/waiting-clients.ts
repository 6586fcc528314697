import type { Progress } from "../progress.ts";
import type { Log } from "../system/log.ts";
import { HOLD_NEW_FOR, type Clients } from "./clients.ts";
import type { Endpoints } from "./endpoints.ts";
import type { Poolers } from "./poolers.ts";

/** The clients of one host's endpoints: those of PgBouncer wait there, new ones in HAProxy's line. */
export class WaitingAtEndpoints implements Clients {
  readonly #endpoints: Endpoints;
  readonly #poolers: Poolers;
  readonly #log: Log;

  constructor(endpoints: Endpoints, poolers: Poolers, log: Log) {
    this.#endpoints = endpoints;
    this.#poolers = poolers;
    this.#log = log;
  }

  async pause(progress: Progress): Promise<void> {
    await this.#poolers.pause(progress);
  }

  async resume(): Promise<void> {
    await this.#poolers.resume();
  }

  async holdNew(node: string): Promise<void> {
    if (!(await this.#tell(node, HOLD_NEW_FOR))) return;
    await this.#endpoints
      .settle()
      .catch((error: unknown) =>
        this.#log("warn", `clients that log in are not waited for: ${String(error)}`),
      );
  }

  async letInNew(node: string): Promise<void> {
    await this.#tell(node, 0);
  }

  async #tell(node: string, milliseconds: number): Promise<boolean> {
    try {
      return await this.#endpoints.holdNew(node, milliseconds);
    } catch (error) {
      this.#log(
        "warn",
        `new clients of ${node} are not told to ${milliseconds ? "wait" : "go on"}: ${String(error)}`,
      );
      return false;
    }
  }
}
