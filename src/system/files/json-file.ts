import type { NextText } from "../../next-step.ts";
import type * as z from "zod";
import { OdooPgError, type ErrorCode } from "../../errors.ts";
import { readTextIfAny } from "./files.ts";

/** What a JSON text holds, or what is wrong with it. The words quote nothing of the text: it may be any file. */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly problem: string };

/** The one place where JSON that something else wrote becomes a value: through its schema or not at all. */
export function parseJson<T>(text: string, schema: z.ZodType<T>): Parsed<T> {
  if (text.trim() === "") return { ok: false, problem: "it is empty" };
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, problem: "it is not a complete JSON document" };
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return { ok: true, value: parsed.data };
  const place = parsed.error.issues[0]?.path.map(placeName).join(".") ?? "";
  return { ok: false, problem: place === "" ? "it is another document" : `${place} is not as it must be` };
}

/** Names of our own documents are words; anything else is a name that the text made up. */
function placeName(part: PropertyKey): string {
  return typeof part === "number" || /^[a-z_]{1,40}$/i.test(String(part)) ? String(part) : "…";
}

/** What an error about a damaged file says beside its name. */
export interface DamageText {
  readonly code: ErrorCode;
  readonly safe: string;
  readonly next: NextText;
}

/** The error about a file that is there but holds nothing that can be used. */
export function damagedFile(file: string, problem: string, { code, safe, next }: DamageText): OdooPgError {
  return new OdooPgError(code, {
    message: `${file} is damaged, or was written by a newer odoo-pg: ${problem}.`,
    safe,
    next,
  });
}

/**
 * What a JSON file holds; undefined where there is none. A file that is empty, cut off or malformed is never used.
 * @throws OdooPgError of the code of `told`, which names the file
 */
export async function readJsonFile<T>(
  file: string,
  schema: z.ZodType<T>,
  told: DamageText,
): Promise<T | undefined> {
  const parsed = await inspectJsonFile(file, schema);
  if (!parsed) return undefined;
  if (parsed.ok) return parsed.value;
  throw damagedFile(file, parsed.problem, told);
}

/** As `readJsonFile`, for who can go on without the file: what is wrong with it is in the answer. */
export async function inspectJsonFile<T>(file: string, schema: z.ZodType<T>): Promise<Parsed<T> | undefined> {
  const text = await readTextIfAny(file);
  return text === undefined ? undefined : parseJson(text, schema);
}
