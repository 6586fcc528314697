import * as z from "zod";
import { configSchema } from "../schema.ts";

export type JsonSchema = z.core.JSONSchema.JSONSchema;

/** The JSON Schema of the configuration file (draft 7, which editors know best). */
export function configJsonSchema(): JsonSchema {
  return z.toJSONSchema(configSchema, {
    io: "input",
    target: "draft-7",
    override: ({ zodSchema, jsonSchema }) => {
      // Left out by zod where reading changes the value, though examples here are always what is written.
      const examples = z.globalRegistry.get(zodSchema)?.examples;
      if (Array.isArray(examples)) jsonSchema.examples = examples;
      // The default of a section is that of its keys.
      if (isEmptyObject(jsonSchema.default)) delete jsonSchema.default;
      // Every name is a text: nothing worth saying.
      delete jsonSchema.propertyNames;
    },
  });
}

function isEmptyObject(value: unknown): boolean {
  return (
    typeof value === "object" && value !== null && !Array.isArray(value) && Object.keys(value).length === 0
  );
}

export interface DocumentedKey {
  readonly name: string;
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
}

/** The keys of a section, in the order of the schema. */
export function keysOfSection({ properties = {}, required = [] }: JsonSchema): DocumentedKey[] {
  return Object.entries(properties).flatMap(([name, schema]) =>
    typeof schema === "boolean" ? [] : [{ name, schema, isRequired: required.includes(name) }],
  );
}

/** The schema of the entries of a list. */
export function itemsOf({ items }: JsonSchema): JsonSchema | undefined {
  return typeof items === "object" && !Array.isArray(items) ? items : undefined;
}

/** The type in the words of the documentation. */
export function typeText(schema: JsonSchema): string {
  const { type, minimum, maximum, exclusiveMinimum } = schema;
  if (schema.enum !== undefined)
    return `one of ${schema.enum.map((value) => `\`${String(value)}\``).join(", ")}`;
  if (type === "array") {
    const items = itemsOf(schema);
    return items?.properties === undefined ? `list of ${plural(typeText(items ?? {}))}` : "list of sections";
  }
  if (type === "object") return schema.properties === undefined ? "section of your own names" : "section";
  if (type === "integer") return `whole number from ${minimum} to ${maximum}`;
  if (type === "number")
    return exclusiveMinimum === undefined ? "number" : `number above ${exclusiveMinimum}`;
  if (Array.isArray(type)) return "size: a number with a unit, or of bytes";
  return schema.pattern === "^/" ? "absolute path" : "text";
}

function plural(type: string): string {
  return `${type}s`;
}
