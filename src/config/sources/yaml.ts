import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { formatPath, type Origin, type Path } from "../origins.ts";
import type { Problem } from "../problems.ts";

export interface YamlFile {
  readonly path: string;
  readonly text: string;
  /** Where the file was made from environment variables: their names, by the key that each stands behind. */
  readonly variables?: ReadonlyMap<string, string> | undefined;
}

export interface YamlReading {
  /** Plain data; sections that are written but empty are left out. */
  readonly value: Readonly<Record<string, unknown>>;
  /** Line of the key or list entry at each path; paths are in lower case. */
  readonly lines: ReadonlyMap<string, number>;
  /** Mistakes in the syntax. If there are any, `value` says nothing. */
  readonly problems: readonly Problem[];
}

export interface YamlRules {
  /** Where a key without a value means that the key is not there. */
  readonly mayBeEmpty: (path: Path) => boolean;
  /** Where a number is taken as it is written: `0640` is not the same as 640 for PostgreSQL. */
  readonly keepsNumbersAsWritten: (path: Path) => boolean;
}

/** Reads a YAML 1.2 file, and remembers in which line each value stands. */
export function readYaml(file: YamlFile, rules: YamlRules): YamlReading {
  const counter = new LineCounter();
  const document = parseDocument(file.text, { lineCounter: counter, prettyErrors: false, uniqueKeys: false });
  const lines = new Map<string, number>();
  const problems: Problem[] = [];

  function report(offset: number, message: string, path?: Path): void {
    const { line, col } = counter.linePos(offset);
    const origin: Origin = { kind: "file", path: file.path, line };
    problems.push({ origin, column: col, message, ...(path === undefined ? {} : { path }) });
  }

  function readMap(node: Node, path: Path): Record<string, unknown> {
    const result: Record<string, unknown> = {};
    if (!isMap<Node, Node | null>(node)) return result;
    for (const { key, value } of node.items) {
      const offset = key.range?.[0] ?? 0;
      const name = isScalar(key) ? String(key.value) : undefined;
      const here = [...path, name ?? "?"];
      if (name === undefined || name === "__proto__") report(offset, "this cannot be a key", path);
      else if (Object.hasOwn(result, name)) {
        report(offset, `is written twice, first in line ${lineOf(lines, here) ?? "?"}: remove one`, here);
      } else {
        const read = value === null ? null : readNode(value, here);
        if (read === null && rules.mayBeEmpty(here)) continue;
        result[name] = read;
        lines.set(formatPath(here).toLowerCase(), counter.linePos(offset).line);
      }
    }
    return result;
  }

  function readNode(node: Node, path: Path): unknown {
    if (isMap(node)) return readMap(node, path);
    if (isSeq<Node>(node)) {
      return node.items.map((item, index) => {
        const here = [...path, index];
        lines.set(formatPath(here).toLowerCase(), counter.linePos(item.range?.[0] ?? 0).line);
        return readNode(item, here);
      });
    }
    if (isAlias(node)) {
      report(node.range?.[0] ?? 0, "refers to another value (*): write the value itself", path);
      return null;
    }
    if (!isScalar(node)) return null;
    if (typeof node.value === "number" && rules.keepsNumbersAsWritten(path)) return node.source ?? node.value;
    return node.value;
  }

  for (const { pos, code, message } of [...document.errors, ...document.warnings]) {
    const isSecondDocument = code === "MULTIPLE_DOCS";
    report(
      pos[0],
      isSecondDocument
        ? 'a second document starts here ("---"): keep only one'
        : `not valid YAML: ${message}`,
    );
  }
  if (problems.length > 0 || document.contents === null) return { value: {}, lines, problems };
  const isEmpty = isScalar(document.contents) && document.contents.value === null;
  if (!isMap(document.contents) && !isEmpty) {
    report(document.contents.range[0], 'the file must hold lines "key: value", such as "cluster: prod"');
  }
  return { value: readMap(document.contents, []), lines, problems };
}

/** The line in which a path is written, if it is. */
export function lineOf(lines: ReadonlyMap<string, number>, path: Path): number | undefined {
  return lines.get(formatPath(path).toLowerCase());
}
