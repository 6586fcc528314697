import * as z from "zod";
import { sentence } from "./sentence.ts";

/**
 * How well attachments are kept for any second; reported after each round by the process that takes them into the pool.
 */
export const keptAttachmentsSchema = z.object({
  /** All that was written before is in the pool; ISO 8601. Null before the first time. */
  whole_at: z.iso.datetime().nullable(),
  /** Files that are not what their names say: how many, and one of them. */
  damaged: z.object({ count: z.number(), first: z.string().nullable() }),
  /** Why the last round did not take all; null where it did. */
  error: sentence.nullable(),
});
export type KeptAttachments = z.output<typeof keptAttachmentsSchema>;
