import * as z from "zod";
import { documentSchema } from "./record.ts";
import { hostReportSchema, hostsStatusSchema } from "./report.ts";

/** The question of a host with endpoints alone, with its own report. */
export const guestQuestionSchema = z.object({ report: hostReportSchema });

/**
 * The answer from the agent of a host with a database: a host with endpoints alone may not read the store, so it relies on
 * what the other one sees. Times are spans, as clocks differ.
 */
export const guestViewSchema = z.object({
  document: documentSchema,
  /** Whether the store answers the host that was asked. */
  store_answers: z.boolean(),
  /** Who holds the leader's key; null where nobody does. */
  leader: z.string().nullable(),
  sync_leader: z.string().nullable(),
  synchronous: z.string().array(),
  pool_of: z.string().nullable(),
  /** The host that is certainly the only primary, and for how many milliseconds more. */
  rightful: z.object({ host: z.string(), milliseconds: z.number() }).nullable(),
  status: hostsStatusSchema,
  /**
   * The host whose server is about to be stopped, so that no new client is led there, and for how many milliseconds at most;
   * null where none is. Earlier versions do not say.
   */
  held: z.object({ host: z.string(), milliseconds: z.number() }).nullable().default(null),
});
export type GuestView = z.output<typeof guestViewSchema>;
