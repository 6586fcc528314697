import * as z from "zod";
import { nextStepSchema } from "../next-step-schema.ts";

/** A message to the channels: an alarm begins or ends, something happened, or this is a test. */
export const messageSchema = z.object({
  version: z.literal(1),
  /** The same for every attempt to deliver it, so that a receiver can tell a repetition. */
  id: z.string(),
  event: z.enum(["begins", "ends", "happened", "test"]),
  cluster: z.string(),
  /** The host whose agent tells it. */
  host: z.string(),
  rule: z.string(),
  severity: z.enum(["warning", "critical"]),
  /** The node or channel that it is about; null when it is about the cluster. */
  subject: z.string().nullable(),
  text: z.string(),
  /** What to do: an exact command, with words before it where it needs them. */
  next: z.string().nullable(),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema.nullable().default(null),
  /** The command that shows all of it, where the text is too long for a mail. */
  more: z.string().default("odoo-pg status --full"),
  /** When it was decided, and since when it is so, ISO 8601. */
  at: z.string(),
  since: z.string(),
  /** How many alarms are on after it. */
  on: z.object({ critical: z.number(), warning: z.number() }),
});

/** The document that the webhook and the command are given. Fields are only ever added within a version. */
export type AlarmMessage = z.output<typeof messageSchema>;
