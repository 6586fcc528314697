import { setTimeout as pause } from "node:timers/promises";
import type { ClientConfig } from "pg";
import { close, open } from "./client.ts";

/** So many at once, and milliseconds between two visits of one: on slow processors more would have agents wait, not clients. */
const AT_ONCE = 3;
const BETWEEN = 150;

/** Clients that connect anew for every question, at several endpoints at once. */
export class Comers {
  /** What those were told who were not served, with the endpoint. */
  readonly failures: string[] = [];
  served = 0;
  #ending = false;
  readonly #loops: Promise<void>[];

  /** @param endpoints by their names: all are visited in turn */
  constructor(endpoints: ReadonlyMap<string, ClientConfig>) {
    this.#loops = Array.from({ length: AT_ONCE }, async (_, first) => {
      const visited = [...endpoints].filter((_endpoint, index) => index % AT_ONCE === first);
      await this.#coming(visited);
    });
  }

  async stop(): Promise<void> {
    this.#ending = true;
    await Promise.all(this.#loops);
  }

  async #coming(visited: readonly (readonly [string, ClientConfig])[]): Promise<void> {
    while (!this.#ending && visited.length > 0)
      for (const [name, config] of visited) {
        await this.#visit(name, config);
        await pause(BETWEEN);
      }
  }

  async #visit(name: string, config: ClientConfig): Promise<void> {
    try {
      const session = await open(config);
      try {
        await session.query("SELECT 1");
        this.served += 1;
        await session.end();
      } finally {
        close(session);
      }
    } catch (error) {
      this.failures.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
