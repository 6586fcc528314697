import { definitionKinds, type Contents } from "./contents.ts";

/** Objects whose text PostgreSQL prints from a tree. */
export type DefinitionKind = "index" | "constraint" | "trigger" | (typeof definitionKinds)[number];

/** One text where two were expected to be the same. */
export interface OtherText {
  readonly kind: DefinitionKind;
  readonly schema: string;
  readonly table: string;
  readonly name: string;
  readonly expected: string;
  readonly found: string;
}

export interface Difference {
  /** For people: one line. */
  readonly line: string;
  /** Where only the text differs: PostgreSQL may have written the same thing otherwise (see canonical.ts). */
  readonly texts?: OtherText;
}

export interface Comparison {
  /** Whether owners must be the same; false where everything was given to one role on purpose. */
  readonly owners: boolean;
  /**
   * Whether definitions must read the same. PostgreSQL prints some of them differently from one major version to the
   * next; then only names are compared.
   */
  readonly definitions: boolean;
}

/** As findDifferences, one line each. */
export function compareContents(expected: Contents, found: Contents, how: Comparison): string[] {
  return findDifferences(expected, found, how).map(({ line }) => line);
}

/**
 * What a restored database lacks, has in addition or has different; empty when it is the same. Pure. The name and the
 * owner of the database itself are not compared: a copy has others.
 */
export function findDifferences(expected: Contents, found: Contents, how: Comparison): Difference[] {
  const { owners, definitions } = how;
  const owned = (owner: string): string => (owners ? ` owned by ${owner}` : "");
  const relation = ({ schema, name }: { schema: string; name: string }): string => `${schema}.${name}`;
  const differences = [
    ...missingOrOther(
      "schema",
      expected.schemas,
      found.schemas,
      ({ name }) => name,
      ({ name, owner }) =>
        // initdb's own schema belongs to the role that made the template.
        name === "public" ? "" : owned(owner),
    ),
    ...missingOrOther(
      "table",
      expected.tables,
      found.tables,
      relation,
      ({ rows, owner }) => `${rows === null ? "" : ` with ${rows} rows`}${owned(owner)}`,
    ),
    ...missingOrOther("view", expected.views, found.views, relation, ({ owner }) => owned(owner)),
    ...missingOrOtherText("index", expected.indexes, found.indexes, definitions),
    ...missingOrOtherText("constraint", expected.constraints, found.constraints, definitions),
    ...missingOrOtherText("trigger", expected.triggers, found.triggers, definitions),
    ...otherDefinitions(expected, found, definitions),
    ...missingOrOther(
      "function",
      expected.functions,
      found.functions,
      ({ schema, signature }) => `${schema}.${signature}`,
      ({ owner }) => owned(owner),
    ),
    ...missingOrOther(
      "extension",
      expected.extensions,
      found.extensions,
      ({ name }) => name,
      ({ owner, schema }) =>
        // The restoring server may have another version of it.
        ` in ${schema}${owned(owner)}`,
    ),
    ...missingOrOther("sequence", expected.sequences, found.sequences, relation, ({ owner }) => owned(owner)),
    ...sequencesBehind(expected, found),
    ...(expected.unaccent?.immutable === found.unaccent?.immutable
      ? []
      : ["unaccent(text) is IMMUTABLE in only one of them"]),
    ...(expected.large_objects === found.large_objects
      ? []
      : [`large objects: ${found.large_objects} instead of ${expected.large_objects}`]),
    ...(expected.attachments === found.attachments
      ? []
      : [
          `attachments with a file: ${found.attachments ?? "none"} instead of ${expected.attachments ?? "none"}`,
        ]),
    ...(sameModules(expected, found) ? [] : ["the installed modules of Odoo differ"]),
  ];
  return differences.map((difference) =>
    typeof difference === "string" ? { line: difference } : difference,
  );
}

type Defined = Contents["indexes"][number];

function keyOf(kind: DefinitionKind, { schema, table, name }: Defined): string {
  return kind === "index" || table === name ? `${schema}.${name}` : `${schema}.${table}.${name}`;
}

/** @param compared whether the texts are compared, or only the names */
function missingOrOtherText(
  kind: DefinitionKind,
  expected: readonly Defined[],
  found: readonly Defined[],
  compared: boolean,
): (string | Difference)[] {
  return [
    ...missingOrOther(
      kind,
      expected,
      found,
      (item) => keyOf(kind, item),
      () => "",
    ),
    ...(compared ? otherTexts(kind, expected, found) : []),
  ];
}

/** Of what is in both. */
function otherTexts(
  kind: DefinitionKind,
  expected: readonly Defined[],
  found: readonly Defined[],
): Difference[] {
  const there = new Map(found.map((item) => [keyOf(kind, item), item.definition]));
  return expected.flatMap((item) => {
    const other = there.get(keyOf(kind, item));
    if (other === undefined || other === item.definition) return [];
    const { schema, table, name, definition } = item;
    return [
      {
        line: `${kind} ${keyOf(kind, item)} is: ${other}, not: ${definition}`,
        texts: { kind, schema, table, name, expected: definition, found: other },
      },
    ];
  });
}

/** Kinds of what is in a list of its own as well, which tells where it is missing. */
const LISTED: readonly DefinitionKind[] = ["view definition", "function body"];

function otherDefinitions(expected: Contents, found: Contents, compared: boolean): (string | Difference)[] {
  const [wanted, there] = [expected.definitions, found.definitions];
  if (!compared || wanted === undefined || there === undefined) return [];
  return definitionKinds.flatMap((kind) => {
    const ofKind = (items: typeof wanted) => items.filter((item) => item.kind === kind);
    return LISTED.includes(kind)
      ? otherTexts(kind, ofKind(wanted), ofKind(there))
      : missingOrOtherText(kind, ofKind(wanted), ofKind(there), true);
  });
}

function missingOrOther<T>(
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

/** A sequence may be ahead of its noted value: numbers are handed out outside of any snapshot. */
function sequencesBehind(expected: Contents, found: Contents): string[] {
  const values = new Map(
    found.sequences.map(({ schema, name, last_value }) => [`${schema}.${name}`, last_value]),
  );
  return expected.sequences.flatMap(({ schema, name, last_value }) => {
    const there = values.get(`${schema}.${name}`);
    if (last_value === null || there === undefined) return [];
    // Sequences may count downwards, or wrap around: only an ascending one that is behind is certainly wrong.
    if (there !== null && (BigInt(there) >= BigInt(last_value) || BigInt(last_value) < 0n)) return [];
    return [`sequence ${schema}.${name} is at ${there ?? "its start"}, not at ${last_value}`];
  });
}

function sameModules(expected: Contents, found: Contents): boolean {
  const text = ({ odoo }: Contents): string =>
    odoo === null ? "" : JSON.stringify([odoo.version, ...Object.entries(odoo.modules).map(String).sort()]);
  return text(expected) === text(found);
}
