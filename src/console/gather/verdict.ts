import { onlyCommand } from "../../next-step.ts";
import { actionOf } from "../commands.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import type { Warning } from "../../model/warnings.ts";
import type { Action } from "../../model/console-actions.ts";
import type { Verdict } from "../../cluster/documents/console.ts";

/** One plain sentence for a status: the worst problem, else that all is well. And what to do about it. */
export function verdictOf(status: StatusDocument): Verdict {
  const [worst, ...others] = status.warnings;
  if (!worst) {
    const head = "All is well";
    return {
      level: "ok",
      sentence: `${head}: ${whatServes(status)}.`,
      head,
      warning: null,
      next: null,
      next_step: null,
      action: null,
      actions: [],
    };
  }
  const actions = status.warnings.map((warning) => buttonFor(warning, status));
  const sentence = others.length ? `${worst.message} (And ${others.length} more.)` : worst.message;
  return {
    level: status.verdict,
    sentence,
    head: sentence,
    warning: 0,
    next: worst.next,
    next_step: worst.next_step,
    action: actions[0] ?? null,
    actions,
  };
}

function whatServes({ nodes, endpoints, backups }: StatusDocument): string {
  const primary = nodes.find(({ role }) => role === "primary");
  const replicas = nodes.filter(({ role }) => role === "replica").length;
  const reading = endpoints.read.pool.length;
  const serving =
    replicas === 0
      ? "there is no replica"
      : `${reading === replicas ? (replicas === 1 ? "its replica serves" : `all ${replicas} replicas serve`) : `${reading} of ${replicas} replicas serve`} reads`;
  const backed = backups?.last_good_at ? ", and every database is backed up" : "";
  return `${primary?.name ?? "the primary"} takes writes, ${serving}${backed}`;
}

/** The button for a warning: where its next step is exactly a command that the page has. */
function buttonFor({ next_step: step }: Warning, { nodes }: StatusDocument): Action | null {
  const command = onlyCommand(step);
  const action = command?.program === "odoo-pg" ? actionOf(command.arguments) : undefined;
  if (!action) return null;
  // A node that is not of this cluster has no button here.
  return "node" in action && !nodes.some(({ name }) => name === action.node) ? null : action;
}
