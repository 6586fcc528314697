import * as z from "zod";
import { sentence } from "./sentence.ts";

const moment = z.iso.datetime();

/** The file that drills of a second leave: `second-drill.json` in the state directory. Fields are only ever added. */
export const secondDrillSchema = z.object({
  version: z.literal(1),
  /** When one was last begun, by the schedule or by hand. */
  begun_at: moment,
  /** The last one in which all came back; null before the first. */
  proven: z
    .object({
      at: moment,
      /** The second; null where a transaction or a position was named. */
      second: moment.nullable(),
      base: z.string(),
      /** That it took. */
      seconds: z.number(),
      databases: z.number().int(),
      /** Tables and indexes that were held against themselves; null where amcheck is not installed. */
      relations: z.number().int().nullable(),
    })
    .nullable(),
  /** The last one in which something did not, until a later one succeeds. */
  failed: z.object({ at: moment, second: moment.nullable(), error: sentence }).nullable(),
});
export type SecondDrill = z.output<typeof secondDrillSchema>;
