import { primaryName } from "../members/runtime.ts";
import type { AgentReport } from "../cluster/documents/agent-report.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { ReadPool } from "../services/read-pool.ts";
import type { KeptCluster } from "./kept-cluster.ts";

/** The agent's report on its cluster, as far as it follows from what it keeps; the agent adds the rest. */
export function reportOf(
  cluster: KeptCluster | undefined,
): Pick<AgentReport, "primary" | "pool" | "waiting_clients" | "poolers" | "overrides" | "nodes"> {
  if (!cluster)
    return { primary: null, pool: [], waiting_clients: null, poolers: null, overrides: [], nodes: [] };
  const { runtime, endpoints, poolers, pool } = cluster;
  return {
    primary: primaryName(runtime),
    pool: [...pool.members].sort(),
    // Where PgBouncer is in front of an endpoint, they wait there.
    waiting_clients: endpoints.waiting ? { ...endpoints.waiting, ...poolers.waiting() } : null,
    poolers: poolers.status(runtime.config),
    overrides: [...pool.overrides],
    nodes: [...runtime.nodes.values()].map((handle) => reportOfNode(handle, pool)),
  };
}

/** The agent's report on one node: what the server itself cannot tell. */
function reportOfNode(handle: NodeHandle, pool: ReadPool | undefined): AgentReport["nodes"][number] {
  const { name } = handle.node;
  return {
    name,
    pooled: pool?.members.has(name) ?? false,
    out_of_pool: pool?.eligibilities.find((eligibility) => eligibility.name === name)?.reason ?? null,
    operation: handle.hold.operation ?? null,
    waiting: handle.waiting ?? null,
    failure: handle.failure?.text ?? null,
    failure_cause: handle.failure?.why ?? null,
    failure_next: handle.failure?.next ?? null,
    stranded: handle.missingWal,
    refusal: handle.refusal ?? null,
    tablespaces: [...handle.tablespaces],
    last_seen: handle.observation.lastSeen ?? null,
  };
}
