import type { PlanStep } from "../../model/plan.ts";

/**
 * The steps that give back what a failed plan has taken. The last of the begun steps may be half done.
 * @param begun in the order of the plan
 * @param recorded the primary that the record names now: what was done to another one is not taken back, because the
 *   change is finished instead (`planFinish`)
 */
export function undoOf(begun: readonly PlanStep[], recorded: string): PlanStep[] {
  const undo = begun
    .flatMap((step, index) => undoOfOne(step, begun.slice(index + 1, -1), recorded))
    .reverse();
  const last = undo.findLastIndex(({ kind }) => kind === "reopen_pool");
  return undo.filter(({ kind }, index) => kind !== "reopen_pool" || index === last);
}

function undoOfOne(step: PlanStep, later: readonly PlanStep[], recorded: string): PlanStep[] {
  const { kind } = step;
  if (kind === "hold") {
    const released = later.some((other) => other.kind === "release" && other.node === step.node);
    return released ? [] : [{ kind: "release", node: step.node }];
  }
  if (kind === "pause_clients") {
    const resumed = later.some((other) => other.kind === "resume_clients");
    return resumed ? [] : [{ kind: "resume_clients" }];
  }
  if (kind === "hold_new_clients") {
    const letIn = later.some((other) => other.kind === "let_in_new_clients" && other.node === step.node);
    return letIn ? [] : [{ kind: "let_in_new_clients", node: step.node }];
  }
  if (kind === "leave_pool" || kind === "empty_pool" || kind === "rest_pool") return reopenPool(later);
  if (kind === "close_endpoints") return [...reopenPool(later), ...takeBack("reopen_writes", step, recorded)];
  if (kind === "close_writes") return takeBack("reopen_writes", step, recorded);
  if (kind === "stop") return takeBack("start", step, recorded);
  if (kind === "become_standby") return takeBack("become_primary", step, recorded);
  // A replica has no slots of the cluster: the WAL they would keep fills its disk.
  if (kind === "make_slots" && step.node !== recorded)
    return [{ kind: "drop_slots", node: step.node, followers: step.followers }];
  return [];
}

function reopenPool(later: readonly PlanStep[]): PlanStep[] {
  return later.some(({ kind }) => kind === "reopen_pool") ? [] : [{ kind: "reopen_pool" }];
}

/** Of the old primary only, and only while the record still names it. */
function takeBack(
  kind: "reopen_writes" | "start" | "become_primary",
  { node }: { readonly node: string },
  recorded: string,
): PlanStep[] {
  return node === recorded ? [{ kind, node }] : [];
}
