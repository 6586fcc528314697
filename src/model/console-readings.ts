import * as z from "zod";

/** Documents that the page loads on demand: each is what a command prints with `--json`. */
export const readingSchema = z.discriminatedUnion("what", [
  z.strictObject({ what: z.literal("doctor") }),
  z.strictObject({ what: z.literal("settings") }),
  z.strictObject({ what: z.literal("advice") }),
  z.strictObject({ what: z.literal("roles") }),
  z.strictObject({ what: z.literal("alarms") }),
  z.strictObject({ what: z.literal("backups") }),
  z.strictObject({ what: z.literal("statements") }),
  z.strictObject({ what: z.literal("changes") }),
  z.strictObject({ what: z.literal("plan"), id: z.string().regex(/^[0-9a-f]{10}$/) }),
  z.strictObject({
    what: z.literal("log"),
    of: z.string().min(1).max(100),
    /** Only lines that hold this text. */
    match: z.string().max(200).optional(),
  }),
]);
export type Reading = z.output<typeof readingSchema>;
