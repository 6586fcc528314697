import { sayOf } from "../../model/silence.ts";
import { odooPg, type NextText } from "../../next-step.ts";
import type { ClusterView, NodeView } from "../view.ts";

/** What a node does that does not answer, as it follows its name. */
export function sayWhy({ state, silence, account }: NodeView): string {
  if (account?.waiting) return "is not started";
  if (state === "starting") return "is starting, perhaps replaying its WAL after a crash";
  if (state === "restarting" || state === "seeding" || state === "stopping") return `is ${state}`;
  return silence === undefined ? "does not answer as it should" : sayOf(silence);
}

/** What to do about a node that does not answer. */
export function afterSilence({ name, account, identity, state }: NodeView, { input }: ClusterView): NextText {
  const { agent } = input;
  if (identity) return odooPg("logs", name);
  if (account?.waiting) return account.waiting.next;
  if (account?.failure_next && account.operation === null) return account.failure_next;
  if (agent && (agent.operation !== null || account?.operation)) return odooPg("status", "--watch");
  if (state === "starting") return odooPg("logs", name, "-f");
  return agent?.keeping ? odooPg("logs", name) : odooPg("up");
}

/** A text of any length as one line. */
export function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}
