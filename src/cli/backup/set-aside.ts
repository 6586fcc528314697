import type { AsideReport } from "../../restore/target/set-aside.ts";
import { nextInDocument } from "../../next-step.ts";
import { namedFile, suggest, type Context } from "../context.ts";

/** Objects that are named one by one; the file has them all. */
const NAMED = 10;

/** Reports the objects that a restore or a copy could not create. */
export function printSetAside(
  { output, configFile }: Context,
  { file, next, objects, rows }: AsideReport,
): void {
  const { err } = output;
  err(`${objects.length === 1 ? "One object" : `${objects.length} objects`} could not be created:`);
  for (const { object, reason } of objects.slice(0, NAMED)) err(`  ${object}: ${reason}`);
  if (objects.length > NAMED) err(`  … and ${objects.length - NAMED} more`);
  const safe = rows
    ? "no row is lost: those of tables that could not be made were set aside with them"
    : "all rows are there. The SQL of what is missing was set aside";
  err(`  Safe: ${safe} in ${file}.`);
  err(`  Next: read that file, and run it if you trust it: ${suggest({ configFile, output }, next)}`);
}

/** A report as a document: its next command complete, as a sentence and by its parts. */
export function inDocument<Report extends { readonly set_aside: AsideReport | null }>(
  context: Context,
  report: Report,
) {
  const aside = report.set_aside;
  const set_aside = aside && { ...aside, ...nextInDocument([aside.next], namedFile(context)) };
  return { version: 1, ...report, set_aside };
}
