import * as z from "zod";
import type { Path } from "./origins.ts";

type Schema = z.core.$ZodType;

/** What lies behind defaults, optional marks and transformations. */
function core(schema: Schema): Schema {
  if (
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault ||
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodNonOptional
  ) {
    return core(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? core(schema.in) : schema;
}

/** The schema of what lies at a path, if the schema knows the path. */
export function schemaAt(schema: Schema, path: Path): Schema | undefined {
  const [part, ...rest] = path;
  const here = core(schema);
  if (part === undefined) return here;
  let next: Schema | undefined;
  if (here instanceof z.ZodObject) next = Object.hasOwn(here.shape, part) ? here.shape[part] : undefined;
  else if (here instanceof z.ZodArray) next = typeof part === "number" ? here.element : undefined;
  else if (here instanceof z.ZodRecord) next = here.valueType;
  return next === undefined ? undefined : schemaAt(next, rest);
}

/** The keys of a section, in the order of the schema; none for anything else. */
export function keysOf(schema: Schema): string[] {
  const here = core(schema);
  return here instanceof z.ZodObject ? Object.keys(here.shape) : [];
}

/** True for what holds other values: a section, a list, or names chosen by the user. */
export function isContainer(schema: Schema): boolean {
  const here = core(schema);
  return here instanceof z.ZodObject || here instanceof z.ZodArray || here instanceof z.ZodRecord;
}

/** Every section that has this key, as a dotted path ("nodes[]" for the items of a list). */
export function sectionsWithKey(schema: Schema, key: string, at = ""): string[] {
  const here = core(schema);
  if (here instanceof z.ZodArray) return sectionsWithKey(here.element, key, `${at}[]`);
  if (!(here instanceof z.ZodObject)) return [];
  return Object.entries(here.shape).flatMap(([name, member]) => [
    ...(name === key ? [at] : []),
    ...sectionsWithKey(member, key, at === "" ? name : `${at}.${name}`),
  ]);
}
