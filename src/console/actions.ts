import * as z from "zod";

const name = z.string().min(1).max(200);

/**
 * What can be done from the page. Each is a command; what it may do, and what it refuses, is the command's own
 * business.
 */
export const actionSchema = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.literal("backup"), database: name.optional() }),
  z.strictObject({ kind: z.literal("restore_copy"), backup: name, as: name }),
  z.strictObject({ kind: z.literal("switchover"), to: name.optional() }),
  z.strictObject({ kind: z.literal("reseed"), node: name }),
  z.strictObject({ kind: z.literal("rejoin"), node: name }),
  z.strictObject({ kind: z.literal("copy_neutralized"), source: name, copy: name }),
  z.strictObject({ kind: z.literal("cancel_session"), pid: z.int().positive() }),
  z.strictObject({ kind: z.literal("terminate_session"), pid: z.int().positive() }),
]);
export type Action = z.output<typeof actionSchema>;
