import { isMap, isScalar, isSeq, parseDocument, type Pair, type ParsedNode, type YAMLMap } from "yaml";

/** A place in the text, and what comes there instead of what is there now. */
interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** Columns by which what is new is further in than its section. */
const STEP = "  ";

/** Keys and what they are set to, as YAML on one line. */
type Entries = readonly (readonly [string, string])[];

/**
 * The text of odoo-pg.yaml with values set in a section of it, which is made where it is not there; undefined where the
 * text has a form that is not edited, so that the user has to do it. Nothing else changes, not even a blank or a comment.
 * Who calls it reads the result again and compares.
 * @param values by their keys, written as YAML on one line
 */
export function withValues(
  text: string,
  section: readonly string[],
  values: ReadonlyMap<string, string>,
): string | undefined {
  const edited = edit(text, section, [...values]);
  return edited !== undefined && parseDocument(edited).errors.length === 0 ? edited : undefined;
}

/**
 * The text of odoo-pg.yaml without a key of a section, and without what it is set to; undefined where the key is not
 * there, or the text has a form that is not edited. Nothing else changes: comments above the key stay.
 * Who calls it reads the result again and compares.
 */
export function withoutKey(text: string, section: readonly string[], key: string): string | undefined {
  const document = parseDocument(text);
  if (document.errors.length) return undefined;
  let map: ParsedNode | null = document.contents;
  for (const name of section) map = isMap(map) ? (pairOf(map, name)?.value ?? null) : null;
  if (!isMap(map)) return undefined;
  const index = map.items.findIndex((pair) => pair === pairOf(map, key));
  const pair = map.items[index];
  if (!pair) return undefined;
  const [start, end] = map.flow ? flowSpan(map.items, index) : lineSpan(text, pair);
  const gone = text.slice(start, end);
  // Between braces a comment may stand anywhere, and could be of another key.
  if (map.flow && gone.includes("#")) return undefined;
  const edited = text.slice(0, start) + text.slice(end);
  return parseDocument(edited).errors.length === 0 ? edited : undefined;
}

type Parsed = Pair<ParsedNode, ParsedNode | null>;

/** From the key to the next one, or from the end of the one before. */
function flowSpan(items: readonly Parsed[], index: number): [start: number, end: number] {
  const endOf = ({ key, value }: Parsed): number => (value ?? key).range[1];
  const [before, own, after] = [items[index - 1], items[index], items[index + 1]];
  if (!own) return [0, 0];
  if (after) return [own.key.range[0], after.key.range[0]];
  return [before ? endOf(before) : own.key.range[0], endOf(own)];
}

/** Whole lines: from that of the key to the last that its value has something in. */
function lineSpan(text: string, { key, value }: Parsed): [start: number, end: number] {
  const start = text.lastIndexOf("\n", key.range[0] - 1) + 1;
  // The range of a value over several lines may end in the line after.
  const last = text.slice(0, Math.max(key.range[1], value?.range[1] ?? 0)).trimEnd().length;
  const end = text.indexOf("\n", last);
  return [start, end === -1 ? text.length : end + 1];
}

function edit(text: string, section: readonly string[], entries: Entries): string | undefined {
  const document = parseDocument(text);
  if (document.errors.length) return undefined;
  const eol = text.includes("\r\n") ? "\r\n" : "\n";
  const root = document.contents;
  if (root === null || (isScalar(root) && root.value === null)) return appended();
  if (!isMap(root)) return undefined;
  const [first = ""] = section;
  if (!root.flow && !pairOf(root, first)) return appended();
  const edits = put(root, section, undefined);
  return edits && applied(edits);

  /** @param holder the key that has the mapping; undefined for the whole file */
  function put(
    map: YAMLMap.Parsed,
    path: readonly string[],
    holder: Pair<ParsedNode, ParsedNode | null> | undefined,
  ): Edit[] | undefined {
    const [name, ...rest] = path;
    if (name === undefined) return into(map);
    const pair = pairOf(map, name);
    if (!pair) {
      if (map.flow) return [intoFlow(map, nestedInline(path))];
      const [sibling] = map.items;
      return sibling && holder && [below(holder, nested(path, indentOf(sibling)))];
    }
    if (isEmpty(pair.value)) return map.flow ? undefined : [below(pair, nested(rest, indentOf(pair) + STEP))];
    return isMap(pair.value) ? put(pair.value, rest, pair) : undefined;
  }

  function into(list: YAMLMap.Parsed): Edit[] | undefined {
    const edits: Edit[] = [];
    const added: [string, string][] = [];
    for (const [name, value] of entries) {
      const pair = pairOf(list, name);
      if (!pair) added.push([name, value]);
      else if (!isOnOneLine(pair.value)) return undefined;
      else edits.push({ start: pair.value.range[0], end: pair.value.range[1], text: value });
    }
    if (added.length && list.flow) edits.push(intoFlow(list, inline(added)));
    else if (added.length) {
      const last = list.items.at(-1);
      const end = last?.value?.range[1];
      if (!last || end === undefined) return undefined;
      edits.push(afterLine(end, lines(added, indentOf(last))));
    }
    return edits;
  }

  function nested(path: readonly string[], indent: string): string[] {
    const [name, ...rest] = path;
    return name === undefined
      ? lines(entries, indent)
      : [`${indent}${name}:`, ...nested(rest, indent + STEP)];
  }

  function nestedInline(path: readonly string[]): string {
    const [name, ...rest] = path;
    return name === undefined ? inline(entries) : `${name}: { ${nestedInline(rest)} }`;
  }

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
    const [top] = isMap(root) ? root.items : [];
    const indent = top ? indentOf(top) : "";
    const gap = text === "" ? "" : text.endsWith("\n") ? eol : eol + eol;
    return `${text}${gap}${nested(section, indent).join(eol)}${eol}`;
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

/** Whether a value is written where its key is: a word, or a list in brackets. */
function isOnOneLine(node: ParsedNode | null): node is ParsedNode {
  if (isScalar(node)) return node.source !== "" || node.type !== "PLAIN";
  return isSeq(node) && node.flow === true;
}
