import type { ConsoleDocument, Verdict } from "../../../cluster/documents/console.ts";
import type { Action } from "../../../model/console-actions.ts";
import type { Warning } from "../../../model/warnings.ts";

/** What a mark says: its shape and its colour say the same. */
export type Level = "ok" | "warning" | "critical" | "off" | "unknown";

/** For the title of the page. */
const SHAPES: Readonly<Record<Level, string>> = {
  ok: "●",
  warning: "▲",
  critical: "✖",
  off: "○",
  unknown: "?",
};

export const LEVEL_WORDS: Readonly<Record<Level, string>> = {
  ok: "well",
  warning: "warning",
  critical: "critical",
  off: "stopped",
  unknown: "not known",
};

/** The other problems, each with its button where the page has one: the verdict's own sentence is not repeated. */
export function otherWarnings({
  verdict,
  status,
}: ConsoleDocument): readonly { readonly warning: Warning; readonly action: Action | null }[] {
  return status.warnings
    .map((warning, index) => ({ warning, action: verdict.actions[index] ?? null }))
    .filter((_, index) => index !== verdict.warning);
}

/** The first words, and what follows them: when all is well, the first words say it, and the rest can wait. */
export function together({ head, sentence }: Verdict): { readonly head: string; readonly rest: string } {
  return { head, rest: sentence.slice(head.length) };
}

/** The title of the browser's tab. */
export function pageTitle(document: ConsoleDocument | undefined, live: boolean): string {
  if (!document) return "odoo-pg";
  return `${SHAPES[live ? document.verdict.level : "unknown"]} ${document.cluster} · odoo-pg`;
}
