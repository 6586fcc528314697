import * as z from "zod";
import type { NextStep } from "./next-step.ts";

const commandSchema = z.strictObject({
  program: z.string().min(1),
  arguments: z.string().array().readonly(),
  config: z.string().optional(),
  again: z.strictObject({ without: z.string().array().readonly() }).optional(),
});

/** A next step in a document. */
export const nextStepSchema: z.ZodType<NextStep> = z
  .union([z.string(), commandSchema])
  .array()
  .min(1)
  .readonly();

/** The same, or the plain sentence of an odoo-pg of the version before. */
export const nextStepOrWords = z.union([nextStepSchema, z.string().transform((words): NextStep => [words])]);
