import * as z from "zod";
import { HOST_NAME } from "./record.ts";

/** An order to remove a host, as it was noted with its certificate. */
const orderedSchema = z.object({
  /** Milliseconds since the epoch. */
  at: z.number(),
  /** The host on which somebody gave it; null where an earlier odoo-pg did not note it. */
  by: z.string().regex(HOST_NAME).nullable(),
});

/** What an agent answers a machine that asks whether it is a host of the cluster. */
export const listedSchema = z.object({
  listed: z.boolean(),
  /** Whether the store has just said so. */
  sure: z.boolean(),
  /** By whose order it is none, where its certificate was revoked. An earlier odoo-pg does not say. */
  removal: orderedSchema.optional(),
});
export type Listed = z.output<typeof listedSchema>;

/**
 * How this machine ceased to be a host of the cluster. `ordered`: its certificate was revoked, as by `odoo-pg ha remove`.
 * `store`: another host is sure that it is none, and knows of no such order: somebody took it out of the document in the
 * store by another way. `unknown`: no other host says.
 */
export const removalSchema = z.discriminatedUnion("how", [
  orderedSchema.extend({ how: z.literal("ordered") }),
  z.object({ how: z.literal("store") }),
  z.object({ how: z.literal("unknown") }),
]);
export type Removal = z.output<typeof removalSchema>;

/** By what the other hosts have answered. Pure. */
export function removalBy(told: readonly Listed[]): Removal {
  const ordered = told.flatMap(({ removal }) => (removal ? [removal] : []));
  // The first order: with another machine of its name it is revoked once more.
  const [first] = ordered.toSorted((a, b) => a.at - b.at);
  if (first) return { how: "ordered", ...first };
  return told.some(({ listed, sure }) => sure && !listed) ? { how: "store" } : { how: "unknown" };
}
