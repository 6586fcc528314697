import { asStep, type NextText } from "../../next-step.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import * as z from "zod";
import { isFindingCode, troubleOf, type FindingCode } from "../../model/troubles/troubles.ts";

/** Figures by name; the end of a name tells the unit: `_bytes`, `_seconds`, `_ratio` (0 to 1). */
const figuresSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type Figures = z.output<typeof figuresSchema>;

export const findingSchema = z.strictObject({
  code: z.string().refine(isFindingCode),
  severity: z.enum(["advice", "warning", "critical"]),
  /** The node that it is about, if it is about one. */
  node: z.string().nullable(),
  /** The database that it is about, if it is about one. */
  database: z.string().nullable(),
  message: z.string().min(1),
  /** What was seen. */
  evidence: figuresSchema,
  /** What to do: an exact command, with words before it where it needs them. */
  next: z.string().min(1),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema,
});
/** A finding as documents hold it. */
export type Finding = z.output<typeof findingSchema>;

/** A finding as it is made: nobody has said yet by which configuration its commands meet the cluster. */
export type FoundFinding = Omit<Finding, "next">;

export function finding(
  code: FindingCode,
  found: {
    readonly node?: string;
    readonly database?: string;
    readonly message: string;
    readonly evidence: Figures;
    readonly next: NextText;
  },
): FoundFinding {
  return {
    code,
    severity: troubleOf(code).severity,
    node: found.node ?? null,
    database: found.database ?? null,
    message: found.message,
    evidence: found.evidence,
    next_step: asStep(found.next),
  };
}
