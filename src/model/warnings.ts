import * as z from "zod";
import { asStep, nextInDocument, type NextText } from "../next-step.ts";
import { nextStepSchema } from "../next-step-schema.ts";
import { isWarningCode, troubleOf, type TroubleCode, type WarningCode } from "./troubles/troubles.ts";

/** How bad: with a warning the cluster serves but needs attention; critical means that it does not serve, or is in danger. */
export type Severity = "warning" | "critical";

/** Status and alarms know no mere advice: a test holds that nothing of that severity is theirs. */
export function severityOf(code: TroubleCode): Severity {
  return troubleOf(code).severity === "critical" ? "critical" : "warning";
}

export const warningSchema = z.strictObject({
  code: z.string().refine(isWarningCode),
  severity: z.enum(["warning", "critical"]),
  /** The node that it is about; null when it is about the cluster. */
  node: z.string().nullable(),
  message: z.string().min(1),
  /** What to do: an exact command, with words before it where it needs them. */
  next: z.string().min(1),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema,
});
/** A warning as documents hold it. */
export type Warning = z.output<typeof warningSchema>;

/** A warning as it is found: its commands do not name the cluster's configuration yet. */
export type FoundWarning = Omit<Warning, "next">;

export function warning(
  code: WarningCode,
  text: { readonly node?: string; readonly message: string; readonly next: NextText },
): FoundWarning {
  return {
    code,
    severity: severityOf(code),
    node: text.node ?? null,
    message: text.message,
    next_step: asStep(text.next),
  };
}

export function warningInDocument(found: FoundWarning, config: string | undefined): Warning {
  return { ...found, ...nextInDocument(found.next_step, config) };
}

export type Verdict = "ok" | Severity;

/** The worst of them. */
export function verdictOf(warnings: readonly Pick<Warning, "severity">[]): Verdict {
  if (warnings.some(({ severity }) => severity === "critical")) return "critical";
  return warnings.length ? "warning" : "ok";
}
