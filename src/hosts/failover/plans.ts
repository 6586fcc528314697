import type { Plan } from "../../cluster/changes/planned.ts";
import type { Backend } from "../../endpoints/servers.ts";
import type { PlanStep } from "../../model/plan.ts";
import { odooPg } from "../../next-step.ts";

/**
 * The plan of a switchover: no reads from replicas meanwhile, and Patroni does the rest. Pure.
 * @param pooled endpoints whose clients can wait between two transactions
 */
export function planHandOver(from: string, to: string, pooled: readonly Backend[] = []): Plan {
  const paused = (endpoint: Backend): PlanStep[] =>
    pooled.includes(endpoint) ? [{ kind: "pause_clients", endpoint }] : [];
  return {
    steps: [
      // Pages written now need not be written at the shutdown, while clients wait.
      { kind: "checkpoint", node: from, before: "shutdown" },
      ...paused("read"),
      // Until then writes go on.
      { kind: "rest_pool" },
      // Who has just come sees nothing of the change; it takes a moment, in which pooled clients still write.
      { kind: "hold_new_clients", node: from },
      ...paused("write"),
      { kind: "hand_over", node: from, to },
      { kind: "await_primary", node: to, by: "plan" },
      ...(pooled.length ? [{ kind: "resume_clients" } as const] : []),
      { kind: "let_in_new_clients", node: from },
      { kind: "reopen_pool" },
    ],
    undo: odooPg("switchover", "--to", from),
  };
}

/** The plan of a failover by force. Pure. */
export function planForce(to: string, leader: string | undefined): Plan {
  return {
    steps: [
      ...(leader === undefined ? [] : [{ kind: "hold_new_clients", node: leader } as const]),
      { kind: "take_by_force", node: to, from: leader ?? null },
      { kind: "await_primary", node: to, by: "force" },
      ...(leader === undefined ? [] : [{ kind: "let_in_new_clients", node: leader } as const]),
    ],
    undo: leader === undefined ? odooPg("status") : odooPg("switchover", "--to", leader),
  };
}

/** The plan of a reseed: a host's data is replaced by a new copy of the primary's. Pure. */
export function planCopy(node: string, primary: string): Plan {
  return {
    steps: [
      { kind: "require_room", node, source: primary },
      { kind: "base_backup", node, from: primary, serving: true },
      // Until here supervision restarts its Patroni, and the host may take over.
      { kind: "hold", node, operation: "reseed" },
      { kind: "hold_new_clients", node },
      { kind: "stop_replica", node },
      { kind: "let_in_new_clients", node },
      { kind: "keep_aside", node },
      { kind: "put_in_place", node },
      { kind: "release", node },
      { kind: "await_streaming", node, primary },
    ],
    undo: "the old data is kept aside, and may be renamed back",
  };
}
