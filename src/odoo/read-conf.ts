import type { OdooOption } from "./conf.ts";

/** One line of odoo.conf, as Python's RawConfigParser takes it. */
type Line =
  | { readonly kind: "other" }
  | { readonly kind: "section"; readonly name: string }
  | { readonly kind: "option"; readonly section: string; readonly name: string; readonly value: string }
  /** It continues the value of the option before. */
  | { readonly kind: "more"; readonly section: string; readonly name: string; readonly value: string };

/** The options in [options], by names in lower case. */
export type ConfOptions = ReadonlyMap<string, string>;

/** The parsed file, or why Odoo cannot read it, in words: never with a value, which may be a password. */
export type ReadConf =
  | { readonly ok: true; readonly options: ConfOptions; readonly rewrite: Rewrite }
  | { readonly ok: false; readonly problem: string };

/** The text of the file with other values. */
type Rewrite = (wanted: readonly OdooOption[]) => string;

/** Odoo writes what is not set as False or None (odoo/tools/config.py). */
export function isUnset(value: string): boolean {
  return ["", "false", "none"].includes(value.toLowerCase());
}

/** Its options hold in every section. */
const DEFAULTS = "DEFAULT";
const OPTIONS = "options";

/**
 * Reads odoo.conf as Odoo does (odoo/tools/config.py: RawConfigParser of Python's configparser): sections, `=` or `:`,
 * `#` and `;` at the start of a line, continuation lines that are indented further than their option, names in any
 * case; a duplicate option is an error. Nothing in it is expanded.
 */
export function readConf(content: string): ReadConf {
  const texts = content.replace(/^\uFEFF/, "").split(/\r\n|\r|\n/);
  const lines: Line[] = [];
  const seen = new Set<string>();
  let section: string | undefined;
  let option: { name: string; indent: number } | undefined;
  for (const [index, text] of texts.entries()) {
    const wrong = (problem: string): ReadConf => ({ ok: false, problem: `line ${index + 1}${problem}` });
    const trimmed = text.trim();
    const indent = indentOf(text).length;
    if (trimmed === "" || trimmed.startsWith("#") || trimmed.startsWith(";")) {
      lines.push({ kind: "other" });
      continue;
    }
    if (option && section !== undefined && indent > option.indent) {
      lines.push({ kind: "more", section, name: option.name, value: trimmed });
      continue;
    }
    const header = /^\[(.+)\]/.exec(trimmed)?.[1];
    if (header !== undefined) {
      if (header !== DEFAULTS && seen.has(`[${header}`)) return wrong(`: section [${header}] is there twice`);
      seen.add(`[${header}`);
      section = header;
      option = undefined;
      lines.push({ kind: "section", name: header });
      continue;
    }
    // Not by one pattern: with a million blanks in a line it would take hours.
    const at = trimmed.search(/[=:]/);
    if (at < 1) return wrong(" is neither a section, an option (NAME = VALUE) nor a comment");
    if (section === undefined) return wrong(": an option comes before [options]");
    const name = trimmed.slice(0, at).trimEnd().toLowerCase();
    const value = trimmed.slice(at + 1).trimStart();
    if (seen.has(`${section}]${name}`)) return wrong(`: ${name} is there twice`);
    seen.add(`${section}]${name}`);
    option = { name, indent };
    lines.push({ kind: "option", section, name, value });
  }
  if (!seen.has(`[${OPTIONS}`)) return { ok: false, problem: "there is no section [options]" };
  const options = new Map([...valuesIn(lines, DEFAULTS), ...valuesIn(lines, OPTIONS)]);
  return { ok: true, options, rewrite: (wanted) => rewritten(texts, lines, wanted) };
}

function valuesIn(lines: readonly Line[], section: string): Map<string, string> {
  const values = new Map<string, string>();
  for (const line of lines) {
    if (line.kind === "option" && line.section === section) values.set(line.name, line.value);
    if (line.kind === "more" && line.section === section)
      values.set(line.name, `${values.get(line.name) ?? ""}\n${line.value}`);
  }
  return values;
}

/**
 * The file with these options: each one in its present place, and missing ones, with their reason, after the last
 * option. Everything else stays as it was written.
 */
function rewritten(texts: readonly string[], lines: readonly Line[], wanted: readonly OdooOption[]): string {
  const values = new Map(wanted.map(({ name, value }) => [name, value]));
  const there = new Set<string>();
  const end = lines.findLastIndex(
    (line) =>
      ("section" in line && line.section === OPTIONS) || (line.kind === "section" && line.name === OPTIONS),
  );
  const result = lines.flatMap((line, index) => {
    const text = texts[index] ?? "";
    if (!("section" in line) || line.section !== OPTIONS) return [{ index, text }];
    const value = values.get(line.name);
    if (value === undefined) return [{ index, text }];
    if (line.kind === "more") return [];
    there.add(line.name);
    return [{ index, text: `${indentOf(text)}${line.name} = ${value}` }];
  });
  // A line indented further than the option before would continue its value.
  const indent = indentOf(
    texts[lines.findLastIndex((line) => line.kind === "option" && line.section === OPTIONS)] ??
      texts[lines.findIndex(({ kind }, index) => kind !== "other" && index > end)] ??
      "",
  );
  const missing = wanted
    .filter(({ name }) => !there.has(name))
    .flatMap(({ name, value, reason }) => [`${indent}; ${reason}`, `${indent}${name} = ${value}`]);
  const before = result.filter(({ index }) => index <= end).map(({ text }) => text);
  const after = result.filter(({ index }) => index > end).map(({ text }) => text);
  return [...before, ...missing, ...after].join("\n");
}

function indentOf(text: string): string {
  return text.slice(0, text.length - text.trimStart().length);
}
