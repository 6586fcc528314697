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
  const edited = new SectionEdit(text, section, [...values]).edited();
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

/** Sets values in a section of a text. */
class SectionEdit {
  readonly #text: string;
  readonly #eol: string;
  readonly #section: readonly string[];
  readonly #entries: Entries;

  constructor(text: string, section: readonly string[], entries: Entries) {
    this.#text = text;
    this.#eol = text.includes("\r\n") ? "\r\n" : "\n";
    this.#section = section;
    this.#entries = entries;
  }

  /** The text with them; undefined where its form is not edited. */
  edited(): string | undefined {
    const document = parseDocument(this.#text);
    if (document.errors.length) return undefined;
    const root = document.contents;
    if (root === null || (isScalar(root) && root.value === null)) return this.#appended(undefined);
    if (!isMap(root)) return undefined;
    const [first = ""] = this.#section;
    if (!root.flow && !pairOf(root, first)) return this.#appended(root);
    const edits = this.#put(root, this.#section, undefined);
    return edits && this.#applied(edits);
  }

  /** @param holder the key that has the mapping; undefined for the whole file */
  #put(map: YAMLMap.Parsed, path: readonly string[], holder: Parsed | undefined): Edit[] | undefined {
    const [name, ...rest] = path;
    if (name === undefined) return this.#into(map);
    const pair = pairOf(map, name);
    if (!pair) {
      if (map.flow) return [intoFlow(map, this.#nestedInline(path))];
      const [sibling] = map.items;
      return sibling && holder && [this.#below(holder, this.#nested(path, this.#indentOf(sibling)))];
    }
    if (isEmpty(pair.value))
      return map.flow ? undefined : [this.#below(pair, this.#nested(rest, this.#indentOf(pair) + STEP))];
    return isMap(pair.value) ? this.#put(pair.value, rest, pair) : undefined;
  }

  #into(list: YAMLMap.Parsed): Edit[] | undefined {
    const edits: Edit[] = [];
    const added: [string, string][] = [];
    for (const [name, value] of this.#entries) {
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
      edits.push(this.#afterLine(end, lines(added, this.#indentOf(last))));
    }
    return edits;
  }

  #nested(path: readonly string[], indent: string): string[] {
    const [name, ...rest] = path;
    return name === undefined
      ? lines(this.#entries, indent)
      : [`${indent}${name}:`, ...this.#nested(rest, indent + STEP)];
  }

  #nestedInline(path: readonly string[]): string {
    const [name, ...rest] = path;
    return name === undefined ? inline(this.#entries) : `${name}: { ${this.#nestedInline(rest)} }`;
  }

  #indentOf(pair: Parsed): string {
    const start = pair.key.range[0];
    const column = start - (this.#text.lastIndexOf("\n", start - 1) + 1);
    return " ".repeat(column);
  }

  /** Lines right below the one in which a key stands. */
  #below(pair: Parsed, more: readonly string[]): Edit {
    return this.#afterLine(pair.key.range[1], more);
  }

  #afterLine(position: number, more: readonly string[]): Edit {
    const text = this.#text;
    const end = text.indexOf("\n", position);
    const joined = more.join(this.#eol);
    if (end === -1) return { start: text.length, end: text.length, text: this.#eol + joined };
    return { start: end + 1, end: end + 1, text: joined + this.#eol };
  }

  /** At the end, as a section of its own. */
  #appended(root: YAMLMap.Parsed | undefined): string | undefined {
    const [text, eol] = [this.#text, this.#eol];
    if (/^\.\.\./m.test(text)) return undefined;
    const [top] = root?.items ?? [];
    const indent = top ? this.#indentOf(top) : "";
    const gap = text === "" ? "" : text.endsWith("\n") ? eol : eol + eol;
    return `${text}${gap}${this.#nested(this.#section, indent).join(eol)}${eol}`;
  }

  #applied(all: readonly Edit[]): string {
    return all
      .toSorted((a, b) => b.start - a.start)
      .reduce((result, edit) => result.slice(0, edit.start) + edit.text + result.slice(edit.end), this.#text);
  }
}

function lines(pairs: Entries, indent: string): string[] {
  return pairs.map(([name, value]) => `${indent}${name}: ${value}`);
}

function inline(pairs: Entries): string {
  return pairs.map(([name, value]) => `${name}: ${value}`).join(", ");
}

/** Behind the last entry of a mapping in braces: what comes after it may be a comment. */
function intoFlow(map: YAMLMap.Parsed, more: string): Edit {
  const last = map.items.at(-1);
  const start = last ? (last.value ?? last.key).range[1] : map.range[0] + 1;
  return { start, end: start, text: last ? `, ${more}` : ` ${more} ` };
}

/** Names of parameters are the same in upper and lower case. */
function pairOf(map: YAMLMap.Parsed, name: string): Parsed | undefined {
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
