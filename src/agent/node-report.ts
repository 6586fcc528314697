import type { AgentReport } from "../cluster/documents/agent-report.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { ReadPool } from "../services/read-pool.ts";

/** What the agent tells of one node, beside what anybody can see by asking the server. */
export function reportOfNode(handle: NodeHandle, pool: ReadPool | undefined): AgentReport["nodes"][number] {
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
