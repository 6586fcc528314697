import {
  configJsonSchema,
  type DocumentedKey,
  itemsOf,
  type JsonSchema,
  keysOfSection,
} from "./json-schema.ts";
import { yamlLines } from "../yaml-text.ts";

/** Characters in a line of prose. */
const WIDTH = 100;

const HEAD = [
  "# yaml-language-server: $schema=./odoo-pg.schema.json",
  "#",
  "# The configuration of odoo-pg. Copy it to odoo-pg.yaml and keep only what you change: every key may be left out.",
  "# Check it with `odoo-pg config check`, apply it with `odoo-pg up`.",
];

/**
 * A configuration file with all keys, each explained: defaults as they are, and what has no fixed default as a
 * comment with an example. Used as it stands, it means the same as no file.
 */
export function exampleFile(): string {
  const keys = keysOfSection(configJsonSchema()).flatMap((key) => ["", ...keyLines(key)]);
  return `${[...HEAD, ...keys].join("\n")}\n`;
}

function keyLines({ name, schema }: DocumentedKey): string[] {
  const keys = keysOfSection(schema);
  // A section with a key that must be given is taken into use as a whole, or not at all.
  const standsAlone = keys.length > 0 && !keys.some(({ isRequired }) => isRequired);
  if (standsAlone) return [...prose(schema), `${name}:`, ...keys.flatMap(keyLines).map(indented)];
  const parts = keys.length > 0 ? keys : keysOfSection(itemsOf(schema) ?? {});
  return [...prose(schema), ...parts.flatMap(glossary), ...valueLines(name, schema, parts)];
}

/** The default; where there is none, an example that is commented out. */
function valueLines(name: string, schema: JsonSchema, parts: readonly DocumentedKey[]): string[] {
  if (schema.default !== undefined) return yamlLines({ [name]: schema.default });
  const whole = Object.fromEntries(
    parts.map((part) => [part.name, part.schema.examples?.[0] ?? part.schema.default]),
  );
  const [first = "", ...rest] = yamlLines({ [name]: schema.examples?.[0] ?? whole });
  const takesOwnNames = typeof schema.additionalProperties === "object";
  // The names go below a key that stays, so that each can be taken into use alone.
  if (takesOwnNames) return [first, ...rest.map((line) => `  # ${line.slice(2)}`)];
  return [first, ...rest].map((line) => `# ${line}`);
}

function prose({ description = "" }: JsonSchema): string[] {
  return wrapped(description, WIDTH - 2).map((line) => `# ${line}`);
}

function glossary({ name, schema }: DocumentedKey): string[] {
  const lines = wrapped(`${name}: ${schema.description ?? ""}`, WIDTH - 4);
  return lines.map((line, index) => (index === 0 ? `# - ${line}` : `#   ${line}`));
}

function indented(line: string): string {
  return line === "" ? "" : `  ${line}`;
}

function wrapped(text: string, width: number): string[] {
  return text.split(" ").reduce<string[]>((lines, word) => {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) return [...lines, word];
    return [...lines.slice(0, -1), `${last} ${word}`];
  }, []);
}
