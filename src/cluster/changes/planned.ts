import type { NextText } from "../../next-step.ts";
import type { PlanStep } from "../../model/plan.ts";

/** What is to be done, in this order, and how to undo it when it is done. */
export interface Plan {
  readonly steps: readonly PlanStep[];
  readonly undo: NextText;
  /** Why nothing is to be done. */
  readonly remark?: string;
}

/** Whether a change may go on, and by which plan. */
export type Planned =
  | { readonly kind: "go"; readonly plan: Plan }
  | { readonly kind: "refuse"; readonly message: string; readonly next: NextText };

export function refuse(message: string, next: NextText): Planned {
  return { kind: "refuse", message, next };
}

/** From the record on there is no way back: it is written before the deed, so that the next run finishes it. */
export function becomePrimary(node: string): PlanStep[] {
  return [
    // Its sessions must wait for replicas by the same rule from its first commit on.
    { kind: "release_commits", node },
    { kind: "record_primary", node },
    { kind: "promote", node },
  ];
}
