import type { ConsoleDocument } from "../../../cluster/documents/console.ts";
import type { StatusDocument } from "../../../cluster/documents/status.ts";
import type { Warning } from "../../../model/warnings.ts";
import { ago, clock, clockSecond, count, many, seconds } from "./show.ts";
import type { Level } from "./verdict.ts";

interface Told {
  readonly level: Level;
  readonly text: string;
}

/** What the page says about any second: which can be brought back, and how far that is proven. */
export interface SecondsTold {
  readonly window: Told;
  readonly proof: Told;
  /** The proof before the one that failed; "" where there is none. */
  readonly before: string;
  /** Why the proof failed, or is too old, and what to do. */
  readonly trouble: Warning | undefined;
}

/** How many gaps are named; where there are more, their number is shown. */
const GAPS_NAMED = 2;

/** Undefined where any second is off. `now` in milliseconds since the epoch. */
export function secondsTold({ status }: ConsoleDocument, now: number): SecondsTold | undefined {
  const { window, second_proven: proven, warnings } = status;
  if (!window || !proven) return undefined;
  const trouble = warnings.find(
    ({ code }) => code === "second_drill_failed" || code === "second_drill_too_old",
  );
  const last = proofWords(proven, now);
  const failed = proven.failed_at !== null;
  return {
    window: windowTold(window, now),
    proof: {
      level: failed || trouble ? "warning" : proven.proven_at === null ? "unknown" : "ok",
      text: failed ? `The last proof failed ${ago(proven.failed_at, now)}.` : last,
    },
    before: failed ? `Before that: ${last}` : "",
    trouble,
  };
}

function windowTold({ from, to, gaps, archiving }: NonNullable<StatusDocument["window"]>, now: number): Told {
  if (from === null || to === null)
    return archiving
      ? { level: "unknown", text: "No second can be brought back yet: a base backup is made first." }
      : { level: "warning", text: "No second can be brought back: nothing is archived." };
  const named = gaps.slice(0, GAPS_NAMED).map((gap) => `${clock(gap.from, now)} to ${clock(gap.to, now)}`);
  const more =
    gaps.length > GAPS_NAMED ? ` and ${many(gaps.length - GAPS_NAMED, "more gap", "more gaps")}` : "";
  const except = gaps.length > 0 ? `, except ${named.join(", ")}${more}` : "";
  // WAL that is not archived yet is archived on request.
  const end = archiving ? "now" : `${clock(to, now)}, as nothing is archived since`;
  return {
    level: archiving && gaps.length === 0 ? "ok" : "warning",
    text: `Any second from ${clock(from, now)} to ${end} can be brought back${except}.`,
  };
}

function proofWords(proven: NonNullable<StatusDocument["second_proven"]>, now: number): string {
  const { proven_at: at, second, seconds: took, databases, relations } = proven;
  if (at === null) return "No second was brought back yet to prove it.";
  const which = second === null ? "a moment" : `the second ${clockSecond(second, now)}`;
  const checked =
    relations === null
      ? "tables and indexes were not checked, as amcheck is not installed"
      : `${count(relations)} tables and indexes are sound`;
  const whole = databases === null ? "" : `. In ${many(databases, "database")} ${checked}`;
  const within = took === null ? "" : ` in ${seconds(took)}`;
  return `Proven ${ago(at, now)}: ${which} came back whole${within}${whole}.`;
}
