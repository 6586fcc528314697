import type { AsideReport } from "../../restore/set-aside.ts";
import { suggest, type Context } from "../context.ts";

/** Objects that are named one by one; the file has them all. */
const NAMED = 10;

/** Tells of what a restore or a copy could not make. */
export function printSetAside(
  { output: { err }, configFile }: Context,
  { file, next, objects }: AsideReport,
): void {
  err(`${objects.length === 1 ? "One object" : `${objects.length} objects`} could not be made:`);
  for (const { object, reason } of objects.slice(0, NAMED)) err(`  ${object}: ${reason}`);
  if (objects.length > NAMED) err(`  … and ${objects.length - NAMED} more`);
  err(`  Safe: all rows are there. The SQL of what lacks was set aside in ${file}.`);
  err(`  Next: read that file, and run it if you trust it: ${suggest({ configFile }, next)}`);
}
