import type { Plan } from "../../cluster/changes/planned.ts";
import type { Backend } from "../../endpoints/servers.ts";
import type { PlanStep } from "../../model/plan.ts";
import { odooPg } from "../../next-step.ts";

/**
 * The primary changes by plan: nobody reads what is old meanwhile, and Patroni does the rest. Pure.
 * @param pooled endpoints whose clients can wait between two transactions
 */
export function planHandOver(from: string, to: string, pooled: readonly Backend[] = []): Plan {
  const paused = (endpoint: Backend): PlanStep[] =>
    pooled.includes(endpoint) ? [{ kind: "pause_clients", endpoint }] : [];
  return {
    steps: [
      // What is written now need not be written while everyone waits.
      { kind: "checkpoint", node: from, before: "shutdown" },
      ...paused("read"),
      // Until then writes go on.
      { kind: "rest_pool" },
      ...paused("write"),
      { kind: "hand_over", node: from, to },
      { kind: "await_primary", node: to, by: "plan" },
      ...(pooled.length ? [{ kind: "resume_clients" } as const] : []),
      { kind: "reopen_pool" },
    ],
    undo: odooPg("switchover", "--to", from),
  };
}

/** A host becomes primary by force. Pure. */
export function planForce(to: string, leader: string | undefined): Plan {
  return {
    steps: [
      { kind: "take_by_force", node: to, from: leader ?? null },
      { kind: "await_primary", node: to, by: "force" },
    ],
    undo: leader === undefined ? odooPg("status") : odooPg("switchover", "--to", leader),
  };
}

/** A host's data is replaced by another copy of the primary's. Pure. */
export function planCopy(node: string, primary: string): Plan {
  return {
    steps: [
      { kind: "require_room", node, source: primary },
      { kind: "base_backup", node, from: primary, serving: true },
      // Until here its Patroni is started again where it ends, and may take over.
      { kind: "hold", node, operation: "reseed" },
      { kind: "stop_replica", node },
      { kind: "keep_aside", node },
      { kind: "put_in_place", node },
      { kind: "release", node },
      { kind: "await_streaming", node, primary },
    ],
    undo: "the old data is kept aside, and may be renamed back",
  };
}
