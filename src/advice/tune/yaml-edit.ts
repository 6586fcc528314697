import { isMap, isScalar, parseDocument, type Pair, type ParsedNode, type YAMLMap } from "yaml";

/** A place in the text, and what comes there instead of what is there now. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Columns by which what is new is further in than its section. */
const STEP = "  ";

/**
 * The text of odoo-pg.yaml with parameters set; undefined where it has a form that is not edited, so that the user has to
 * do it.
 */
export function withParameters(text: string, parameters: ReadonlyMap<string, string>): string | undefined {
  const edited = edit(text, parameters);
  return edited !== undefined && parseDocument(edited).errors.length === 0 ? edited : undefined;
}

/**
 * Puts parameters into the text of odoo-pg.yaml below `postgres.parameters`. Nothing else changes, not even a blank or
 * a comment. Values are such as need no quotes in YAML. Undefined where the text has a form that this cannot edit; who
 * calls it reads the result again and compares.
 */
function edit(text: string, parameters: ReadonlyMap<string, string>): string | undefined {
  const document = parseDocument(text);
  if (document.errors.length) return undefined;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const root = document.contents;
  const entries = [...parameters];
  if (root === null || (isScalar(root) && root.value === null)) return appended();
  if (!isMap(root)) return undefined;
  const postgres = pairOf(root, "postgres");
  if (!postgres) {
    if (!root.flow) return appended();
    return applied([intoFlow(root, `postgres: { parameters: { ${inline(entries)} } }`)]);
  }
  const section = postgres.value;
  if (isEmpty(section)) {
    if (root.flow) return undefined;
    const indent = indentOf(postgres) + STEP;
    return applied([below(postgres, [`${indent}parameters:`, ...lines(entries, indent + STEP)])]);
  }
  if (!isMap(section)) return undefined;
  const present = pairOf(section, "parameters");
  if (!present) {
    if (section.flow) return applied([intoFlow(section, `parameters: { ${inline(entries)} }`)]);
    const [first] = section.items;
    if (!first) return undefined;
    const indent = indentOf(first);
    return applied([below(postgres, [`${indent}parameters:`, ...lines(entries, indent + STEP)])]);
  }
  const list = present.value;
  if (isEmpty(list)) {
    if (section.flow) return undefined;
    return applied([below(present, lines(entries, indentOf(present) + STEP))]);
  }
  if (!isMap(list)) return undefined;
  const edits: Edit[] = [];
  const added: [string, string][] = [];
  for (const [name, value] of entries) {
    const pair = pairOf(list, name);
    if (!pair) added.push([name, value]);
    else if (!isScalar(pair.value) || pair.value.source === "") return undefined;
    else edits.push({ start: pair.value.range[0], end: pair.value.range[1], text: value });
  }
  if (added.length && list.flow) edits.push(intoFlow(list, inline(added)));
  else if (added.length) {
    const last = list.items.at(-1);
    const end = last?.value?.range[1];
    if (!last || end === undefined) return undefined;
    edits.push(afterLine(end, lines(added, indentOf(last))));
  }
  return applied(edits);

  function indentOf(pair: Pair<ParsedNode, ParsedNode | null>): string {
    const start = pair.key.range[0];
    const column = start - (text.lastIndexOf("\n", start - 1) + 1);
    return " ".repeat(column);
  }

  function lines(pairs: readonly (readonly [string, string])[], indent: string): string[] {
    return pairs.map(([name, value]) => `${indent}${name}: ${value}`);
  }

  function inline(pairs: readonly (readonly [string, string])[]): string {
    return pairs.map(([name, value]) => `${name}: ${value}`).join(", ");
  }

  /** Lines right below the one in which a key stands. */
  function below(pair: Pair<ParsedNode, ParsedNode | null>, more: readonly string[]): Edit {
    return afterLine(pair.key.range[1], more);
  }

  function afterLine(position: number, more: readonly string[]): Edit {
    const end = text.indexOf("\n", position);
    const joined = more.join(eol);
    if (end === -1) return { start: text.length, end: text.length, text: eol + joined };
    return { start: end + 1, end: end + 1, text: joined + eol };
  }

  /** Behind the last entry of a mapping in braces: what comes after it may be a comment. */
  function intoFlow(map: YAMLMap.Parsed, more: string): Edit {
    const last = map.items.at(-1);
    const start = last ? (last.value ?? last.key).range[1] : map.range[0] + 1;
    return { start, end: start, text: last ? `, ${more}` : ` ${more} ` };
  }

  /** At the end, as a section of its own. */
  function appended(): string | undefined {
    if (/^\.\.\./m.test(text)) return undefined;
    const [first] = isMap(root) ? root.items : [];
    const indent = first ? indentOf(first) : "";
    const gap = text === "" ? "" : text.endsWith("\n") ? eol : eol + eol;
    const more = [
      `${indent}postgres:`,
      `${indent}${STEP}parameters:`,
      ...lines(entries, indent + STEP + STEP),
    ];
    return `${text}${gap}${more.join(eol)}${eol}`;
  }

  function applied(all: readonly Edit[]): string {
    return all
      .toSorted((a, b) => b.start - a.start)
      .reduce((result, edit) => result.slice(0, edit.start) + edit.text + result.slice(edit.end), text);
  }
}

/** Names of parameters are the same in upper and lower case. */
function pairOf(map: YAMLMap.Parsed, name: string): Pair<ParsedNode, ParsedNode | null> | undefined {
  return map.items.find(({ key }) => isScalar(key) && String(key.value).toLowerCase() === name);
}

function isEmpty(node: ParsedNode | null): boolean {
  return node === null || (isScalar(node) && node.value === null);
}
