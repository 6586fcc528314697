import type * as z from "zod";
import { planWords } from "../cluster/changes/words.ts";
import type { Failover, PrimaryChange } from "../failover/failover.ts";
import { asStep } from "../next-step.ts";
import type { Progress } from "../progress.ts";
import type { operationSchema, Outcome } from "../cluster/documents/agent-report.ts";

/** Plans what a request asks for, reports the plan, and carries it out, unless it is a dry run. */
export async function carryOut(
  request: z.output<typeof operationSchema>,
  failover: Failover,
  progress: Progress,
): Promise<Outcome> {
  const plan = await failover.plan(changeOf(request));
  const steps = planWords(plan.steps);
  if (plan.remark !== undefined) progress.note(plan.remark);
  steps.forEach((step, index) => progress.note(`plan ${index + 1}. ${step}`));
  if (!request.dry_run) await failover.carryOut(plan, progress);
  return { steps, plan: [...plan.steps], undo: asStep(plan.undo), dry_run: request.dry_run };
}

/** Finishes an interrupted change of the primary at `up`; the endpoints are routed afterwards. */
export async function finishChange(failover: Failover, progress: Progress): Promise<void> {
  await failover.carryOut(await failover.plan({ kind: "finish", route: false }), progress);
}

function changeOf(request: z.output<typeof operationSchema>): PrimaryChange {
  if (request.operation === "switchover") return { kind: "switchover", to: request.to };
  if (request.operation === "promote") {
    const { node, fence, confirm } = request;
    return { kind: "promote", node, fence, confirm, allowDataLoss: request.allow_data_loss };
  }
  const kind = request.operation === "rejoin" && request.reseed ? "reseed" : request.operation;
  return { kind, node: request.node, discardOld: request.discard_old };
}
