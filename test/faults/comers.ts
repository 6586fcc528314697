import { Client } from "pg";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { atEnd } from "../support/scope.ts";

/** Why one of them was not served. */
export interface Failure {
  readonly client: number;
  readonly at: number;
  /** SQLSTATE, or what Node.js calls it; empty for a connection that was cut. */
  readonly code: string;
  readonly message: string;
}

/** Clients that connect anew for every transaction, without a pause: the hardest to keep waiting. */
export interface Comers {
  readonly failures: readonly Failure[];
  /** Transactions that were served, by when they began. */
  readonly served: readonly { readonly client: number; readonly at: number; readonly took: number }[];
  readonly stop: () => Promise<void>;
}

export function comers(
  cluster: ThrowawayCluster,
  endpoint: "read" | "write",
  count: number,
  database = "postgres",
): Comers {
  const failures: Failure[] = [];
  const served: { client: number; at: number; took: number }[] = [];
  const over = new AbortController();
  const come = async (client: number): Promise<void> => {
    const session = new Client({
      host: "127.0.0.1",
      port: cluster.ports[endpoint],
      user: "odoo",
      password: cluster.password("odoo"),
      database,
    });
    session.on("error", () => {});
    const at = performance.now();
    try {
      await session.connect();
      await session.query("SELECT 1");
      served.push({ client, at, took: performance.now() - at });
    } catch (error) {
      const code = error instanceof Error && "code" in error ? String(error.code) : "";
      failures.push({
        client,
        at: performance.now(),
        code,
        message: error instanceof Error ? error.message : "",
      });
    }
    await session.end().catch(() => {});
  };
  const loops = Array.from({ length: count }, async (_, client) => {
    while (!over.signal.aborted) await come(client);
  });
  const stop = async (): Promise<void> => {
    over.abort();
    await Promise.all(loops);
  };
  atEnd(stop);
  return { failures, served, stop };
}
