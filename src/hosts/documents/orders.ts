import * as z from "zod";
import { errorSchema } from "../../progress.ts";

/** What may be asked of a cluster of several hosts, by whoever may use the control socket of one, and by agents of others. */
export const hostOrderSchema = z.discriminatedUnion("order", [
  z.object({ order: z.literal("switchover"), to: z.string().nullable(), dry_run: z.boolean() }),
  /** `until` in milliseconds since the epoch. */
  z.object({ order: z.literal("pause"), until: z.number() }),
  z.object({ order: z.literal("resume") }),
  /** Of the host whose agent is asked. */
  z.object({ order: z.literal("reseed") }),
  z.object({ order: z.literal("leave") }),
  z.object({ order: z.literal("remove"), host: z.string() }),
]);
export type HostOrder = z.output<typeof hostOrderSchema>;

/** What came of it, for people. */
export const hostOutcomeSchema = z.union([
  z.object({ done: z.string(), changed: z.boolean() }),
  z.object({ error: errorSchema }),
]);
