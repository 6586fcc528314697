import type { Contents } from "./contents.ts";

export interface Comparison {
  /** Whether owners must be the same; false where everything was given to one role on purpose. */
  readonly owners: boolean;
  /**
   * Whether definitions must read the same. PostgreSQL prints some of them otherwise from one major version to the
   * next; then only names are compared.
   */
  readonly definitions: boolean;
}

/**
 * What a restored database lacks, has too much or has otherwise, one line each; empty when it is the same. Pure.
 * The name and the owner of the database itself are not compared: a copy has others.
 */
export function compareContents(expected: Contents, found: Contents, how: Comparison): string[] {
  const { owners, definitions } = how;
  const owned = (owner: string): string => (owners ? ` owned by ${owner}` : "");
  const defined = (definition: string): string => (definitions ? `: ${definition}` : "");
  const relation = ({ schema, name }: { schema: string; name: string }): string => `${schema}.${name}`;
  return [
    ...differences(
      "schema",
      expected.schemas,
      found.schemas,
      ({ name }) => name,
      ({ name, owner }) =>
        // initdb's own schema belongs to whoever made the template.
        name === "public" ? "" : owned(owner),
    ),
    ...differences(
      "table",
      expected.tables,
      found.tables,
      relation,
      ({ rows, owner }) => `${rows === null ? "" : ` with ${rows} rows`}${owned(owner)}`,
    ),
    ...differences("view", expected.views, found.views, relation, ({ owner }) => owned(owner)),
    ...differences("index", expected.indexes, found.indexes, relation, ({ definition }) =>
      defined(definition),
    ),
    ...differences(
      "constraint",
      expected.constraints,
      found.constraints,
      ({ schema, table, name }) => `${schema}.${table}.${name}`,
      ({ definition }) => defined(definition),
    ),
    ...differences(
      "trigger",
      expected.triggers,
      found.triggers,
      ({ schema, table, name }) => `${schema}.${table}.${name}`,
      ({ definition }) => defined(definition),
    ),
    ...differences(
      "function",
      expected.functions,
      found.functions,
      ({ schema, signature }) => `${schema}.${signature}`,
      ({ owner }) => owned(owner),
    ),
    ...differences(
      "extension",
      expected.extensions,
      found.extensions,
      ({ name }) => name,
      ({ owner, schema }) =>
        // The restoring server may have another version of it.
        ` in ${schema}${owned(owner)}`,
    ),
    ...differences("sequence", expected.sequences, found.sequences, relation, ({ owner }) => owned(owner)),
    ...sequencesBehind(expected, found),
    ...(expected.unaccent?.immutable === found.unaccent?.immutable
      ? []
      : ["unaccent(text) is IMMUTABLE in one only"]),
    ...(expected.large_objects === found.large_objects
      ? []
      : [`large objects: ${found.large_objects} instead of ${expected.large_objects}`]),
    ...(expected.attachments === found.attachments
      ? []
      : [
          `attachments with a file: ${found.attachments ?? "none"} instead of ${expected.attachments ?? "none"}`,
        ]),
    ...(sameModules(expected, found) ? [] : ["the installed modules of Odoo are others"]),
  ];
}

function differences<T>(
  what: string,
  expected: readonly T[],
  found: readonly T[],
  key: (item: T) => string,
  text: (item: T) => string,
): string[] {
  const there = new Map(found.map((item) => [key(item), item]));
  const lines: string[] = [];
  for (const item of expected) {
    const name = key(item);
    const other = there.get(name);
    there.delete(name);
    if (other === undefined) lines.push(`${what} ${name} is missing`);
    else if (text(other) !== text(item)) lines.push(`${what} ${name} is${text(other)}, not${text(item)}`);
  }
  for (const name of there.keys()) lines.push(`${what} ${name} should not be there`);
  return lines;
}

/** A sequence may be further than it was noted: its numbers are handed out outside of any snapshot. */
function sequencesBehind(expected: Contents, found: Contents): string[] {
  const values = new Map(
    found.sequences.map(({ schema, name, last_value }) => [`${schema}.${name}`, last_value]),
  );
  return expected.sequences.flatMap(({ schema, name, last_value }) => {
    const there = values.get(`${schema}.${name}`);
    if (last_value === null || there === undefined) return [];
    // Sequences may count downwards, or come round: only an ascending one that is behind is certainly wrong.
    if (there !== null && (BigInt(there) >= BigInt(last_value) || BigInt(last_value) < 0n)) return [];
    return [`sequence ${schema}.${name} is at ${there ?? "its start"}, not at ${last_value}`];
  });
}

function sameModules(expected: Contents, found: Contents): boolean {
  const text = ({ odoo }: Contents): string =>
    odoo === null ? "" : JSON.stringify([odoo.version, ...Object.entries(odoo.modules).map(String).sort()]);
  return text(expected) === text(found);
}
