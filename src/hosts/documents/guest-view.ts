import * as z from "zod";
import { documentSchema } from "./record.ts";
import { hostReportSchema, hostsStatusSchema } from "./report.ts";

/** What a host with endpoints alone says of itself when it asks. */
export const guestQuestionSchema = z.object({ report: hostReportSchema });

/**
 * What it is told by the agent of a host with a database: it has no rights on the store, so it sees with the other's eyes.
 * Times are spans, as clocks differ.
 */
export const guestViewSchema = z.object({
  document: documentSchema,
  /** Whether the store answers there. */
  store_answers: z.boolean(),
  /** Who holds the leader's key; null where nobody does. */
  leader: z.string().nullable(),
  sync_leader: z.string().nullable(),
  synchronous: z.string().array(),
  pool_of: z.string().nullable(),
  /** Who certainly is the only primary, and for how many milliseconds more. */
  rightful: z.object({ host: z.string(), milliseconds: z.number() }).nullable(),
  status: hostsStatusSchema,
});
export type GuestView = z.output<typeof guestViewSchema>;
