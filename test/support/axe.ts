import axe from "axe-core";
import type { Page } from "playwright-core";
import * as z from "zod";

const answer = z.object({
  violations: z
    .object({
      id: z.string(),
      impact: z.string().nullable(),
      nodes: z.object({ html: z.string(), failureSummary: z.string().optional() }).array(),
    })
    .array(),
});

/**
 * What axe-core calls serious or critical in a page as it is now, a line each; while a dialog is open, in that: what lies
 * behind it cannot be reached, and is looked at without it.
 */
export async function seriousFindings(page: Page): Promise<string[]> {
  if (!(await page.evaluate("'axe' in window"))) await page.evaluate(axe.source);
  // What it says of elements with which nothing is wrong is read by nobody, and takes longer than to find what is.
  const { violations } = answer.parse(
    await page.evaluate(
      "axe.run(document.querySelector('dialog[open]') ?? document, { resultTypes: ['violations'] })",
    ),
  );
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary ?? ""}`),
    );
}
