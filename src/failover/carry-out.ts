import { undoOf } from "../cluster/changes/undo.ts";
import { doing } from "../cluster/changes/words.ts";
import type { PlanStep } from "../model/plan.ts";
import type { Progress } from "../progress.ts";

/** What steps do to the world. */
export interface Effects {
  /** Does a step. It may have been done before, in whole or in part. */
  readonly act: (step: PlanStep) => Promise<void>;
  /** Which node the record names as the primary. */
  readonly recorded: () => string;
}

/**
 * Carries out the steps of a plan. If one fails, what was begun is undone, newest first, as far as it has an undo; one
 * that fails too keeps nothing else from being undone.
 * @throws what the step that failed says
 */
export async function carryOutSteps(
  steps: readonly PlanStep[],
  effects: Effects,
  progress: Progress,
  complain: (step: PlanStep, error: unknown) => void,
): Promise<void> {
  const begun: PlanStep[] = [];
  try {
    for (const step of steps) {
      begun.push(step);
      const told = doing(step);
      if (told) progress.step(told.node, told.text);
      await effects.act(step);
    }
  } catch (error) {
    for (const step of undoOf(begun, effects.recorded()))
      await effects.act(step).catch((failure: unknown) => complain(step, failure));
    throw error;
  }
}
