import * as z from "zod";
import { sentence } from "./sentence.ts";

const moment = z.iso.datetime().nullable();

/** What a copy elsewhere has left: `offsite/NAME.json` in the state directory. */
export const copyStatusSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  /** When one was last begun. */
  begun_at: moment,
  /** The last whole one has all that was there at this moment. */
  copied_at: moment,
  /** Its name in the repository. */
  snapshot: z.string().nullable(),
  /** Seconds that it took, and bytes that it sent. */
  seconds: z.number(),
  added_bytes: z.number(),
  /** When older ones were last removed there. */
  tidied_at: moment,
  /** Why the last one failed, or what it did not do; null where it went well. */
  error: sentence.nullable(),
  /** When a user proved that the passphrase is kept elsewhere. */
  key_confirmed_at: moment,
});
export type CopyStatus = z.output<typeof copyStatusSchema>;
