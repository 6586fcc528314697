import { nextInDocument, nextStep, odooPg, type NextStep } from "../../next-step.ts";
import { agentReport } from "../../agent/control/ask.ts";
import { order } from "../../agent/control/client.ts";
import { outcomeSchema, type OperationRequest } from "../../cluster/documents/agent-report.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { onSignals } from "../../system/process/process.ts";
import { namedFile, suggest, type Context } from "../context.ts";
import { showProgress } from "../progress.ts";

/** Has the agent carry out an operation, shows its plan and progress, and says how to undo it. */
export async function operate(
  context: Context,
  request: OperationRequest,
  options: { json: boolean },
): Promise<ExitStatus> {
  const { layout, output } = context;
  if (!(await agentReport(layout, 2000))) {
    throw new OdooPgError("not_running", {
      message: `The agent of cluster ${context.config.cluster} is not running.`,
      safe: "Nothing was changed.",
      next: nextStep`${odooPg("up")}, then run the same command again.`,
    });
  }
  const show = showProgress(context);
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  try {
    const result = await order(layout, "/operate", request, show.event, abort.signal);
    show.end();
    const outcome = outcomeSchema.parse(result);
    if (options.json)
      output.out(
        JSON.stringify({ version: 1, ...outcome, ...undoInDocument(context, outcome.undo) }, undefined, 2),
      );
    else if (outcome.dry_run) output.err("Dry run: nothing was changed.");
    else if (!outcome.steps.length) output.err("Nothing was changed.");
    else output.err(`Done. To undo: ${suggest(context, outcome.undo)}`);
    return 0;
  } finally {
    unhook();
    show.end();
  }
}

function undoInDocument(
  context: Pick<Context, "configFile">,
  undo: NextStep,
): { undo: string; undo_step: NextStep } {
  const { next, next_step } = nextInDocument(undo, namedFile(context));
  return { undo: next, undo_step: next_step };
}
