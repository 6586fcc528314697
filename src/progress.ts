import * as z from "zod";
import { nextStepSchema } from "./next-step-schema.ts";
import { asStep, type NextText } from "./next-step.ts";
import { ERRORS, OdooPgError, type ErrorCode } from "./errors.ts";

const isErrorCode = (text: string): text is ErrorCode => Object.hasOwn(ERRORS, text);

export const errorSchema = z.object({
  code: z.string().refine(isErrorCode),
  message: z.string(),
  safe: z.string().optional(),
  next: z.string().optional(),
  /** Agents up to 0.1 do not tell it by its parts. */
  next_step: nextStepSchema.optional(),
  details: z.string().array().optional(),
});

/** What the agent tells while it works on a request: one JSON object a line. */
export const eventSchema = z.discriminatedUnion("kind", [
  /** A phase began. */
  z.object({ kind: z.literal("step"), node: z.string().nullable(), text: z.string() }),
  /** Bytes copied so far and in all. */
  z.object({ kind: z.literal("bytes"), node: z.string(), done: z.number(), total: z.number() }),
  z.object({
    kind: z.literal("note"),
    text: z.string(),
    /** What to do about it, where there is something to do. */
    next_step: nextStepSchema.optional(),
  }),
  z.object({ kind: z.literal("done"), result: z.unknown() }),
  z.object({ kind: z.literal("error"), error: errorSchema }),
]);
export type AgentEvent = z.output<typeof eventSchema>;

/** Where a running request reports to. */
export interface Progress {
  readonly step: (node: string | null, text: string) => void;
  readonly bytes: (node: string, done: number, total: number) => void;
  readonly note: (text: string, next?: NextText) => void;
}

export function progressTo(emit: (event: AgentEvent) => void): Progress {
  return {
    step: (node, text) => emit({ kind: "step", node, text }),
    bytes: (node, done, total) => emit({ kind: "bytes", node, done, total }),
    note: (text, next) =>
      emit({ kind: "note", text, ...(next === undefined ? {} : { next_step: asStep(next) }) }),
  };
}

export function errorFromEvent(error: z.output<typeof errorSchema>): OdooPgError {
  const next = error.next_step ?? error.next;
  return new OdooPgError(error.code, {
    message: error.message,
    ...(error.safe === undefined ? {} : { safe: error.safe }),
    ...(next === undefined ? {} : { next }),
    ...(error.details === undefined ? {} : { details: error.details }),
  });
}
