import { OWN_CONNECTIONS } from "../../config/settings/pools.ts";

/** Connections of a server that a pooler may open for each role. */
export interface PoolSizes {
  /** Over all databases. */
  readonly role: number;
  /** In database `postgres`, where each client keeps its own. */
  readonly sessions: number;
  /** In each other database, while no client waits for long. */
  readonly usual: number;
  /** Beside them, for clients that have waited: a request with a transaction open may wait for a second one. */
  readonly reserve: number;
}

/** Servers work best with a few transactions for each processor; more come from the reserve. */
const USUAL = 20;

/**
 * How many connections a pooler may open, so that both together stay below what a server takes: reads go to the primary
 * when no replica serves them.
 * @param owners roles that own databases: they share equally
 * @param poolers endpoints that pool
 * @param hosts whose poolers share a server
 */
export function poolSizes(maxConnections: number, owners: number, poolers: number, hosts = 1): PoolSizes {
  const all = Math.floor(Math.max(0, maxConnections - OWN_CONNECTIONS) / Math.max(1, hosts));
  const role = Math.max(2, Math.floor(all / Math.max(1, poolers) / Math.max(1, owners)));
  const sessions = Math.max(1, Math.floor(role / 4));
  const transactions = role - sessions;
  const usual = Math.min(USUAL, transactions);
  return { role, sessions, usual, reserve: transactions - usual };
}
