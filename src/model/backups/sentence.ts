import * as z from "zod";
import { oneLine } from "../../printable.ts";

/** Records of odoo-pg 0.1.0 hold lists of lines where one sentence belongs. */
export const sentence = z.string().transform((text) => oneLine(text));
