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

/**
 * What has to be typed before an action: the node whose data is replaced, as the old data is the last copy of what only
 * that node has. Undefined where a click is enough. It is sent as `confirm`.
 */
export function confirmationOf(action: Action): string | undefined {
  return action.kind === "reseed" || action.kind === "rejoin" ? action.node : undefined;
}
