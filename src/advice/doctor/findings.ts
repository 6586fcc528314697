import { asStep, odooPg, type NextText } from "../../next-step.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import * as z from "zod";
import { isFindingCode, troubleOf, type FindingCode } from "../../model/troubles/troubles.ts";

/** Figures by name; the end of a name tells the unit: `_bytes`, `_seconds`, `_ratio` (0 to 1). */
const figuresSchema = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type Figures = z.output<typeof figuresSchema>;

/** Statements of the superuser that put a finding right: nothing goes by them that cannot be had again. */
const fixSchema = z.strictObject({
  node: z.string(),
  /** Null where it is no matter in which. */
  database: z.string().nullable(),
  /** Each is run by itself. */
  statements: z.string().array(),
});
export type Fix = z.output<typeof fixSchema>;

export const findingSchema = z.strictObject({
  code: z.string().refine(isFindingCode),
  severity: z.enum(["advice", "warning", "critical"]),
  /** The node that it is about, if it is about one. */
  node: z.string().nullable(),
  /** The database that it is about, if it is about one. */
  database: z.string().nullable(),
  message: z.string().min(1),
  /** The sentence that says what was found. */
  evidence: figuresSchema,
  /** The next step: an exact command, with words before it where it needs them. */
  next: z.string().min(1),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema,
  /** The statements or commands of `doctor --fix CODE`; absent where a person has to decide. */
  fix: fixSchema.optional(),
});
/** A finding as documents hold it. */
export type Finding = z.output<typeof findingSchema>;

/** A finding as it is made: its commands do not name the cluster's configuration yet. */
export type FoundFinding = Omit<Finding, "next">;

/** A way to put a finding right: by a person, or by `doctor --fix`. */
export type Remedy =
  | { readonly next: NextText; readonly fix?: undefined }
  | { readonly fix: Fix; readonly next?: undefined };

export function finding(
  code: FindingCode,
  found: {
    readonly node?: string;
    readonly database?: string;
    readonly message: string;
    readonly evidence: Figures;
  } & Remedy,
): FoundFinding {
  return {
    code,
    severity: troubleOf(code).severity,
    node: found.node ?? null,
    database: found.database ?? null,
    message: found.message,
    evidence: found.evidence,
    next_step: asStep(found.next ?? odooPg("doctor", "--fix", code)),
    ...(found.fix && { fix: found.fix }),
  };
}
