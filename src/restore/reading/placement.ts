import type { Statement } from "./sql-reader.ts";

/** Quoted names and texts, words, blanks, and single characters. */
const TOKENS =
  /"(?:[^"]|"")*"|[eE]'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|\$(\w*)\$[\s\S]*?\$\1\$|[\w$\u0080-\u00ff]+|\s+|[^]/g;
/** Objects that may be in a tablespace or have an access method. */
const PLACED =
  /^(?:CREATE\s+(?:GLOBAL\s+|LOCAL\s+|TEMP(?:ORARY)?\s+|UNLOGGED\s+)*(?:TABLE|(?:UNIQUE\s+)?INDEX|MATERIALIZED\s+VIEW)|ALTER\s+TABLE)\b/i;
/** A name follows these, whatever it reads like. */
const BEFORE_NAME = /^(?:TABLE|INDEX|VIEW|ON|ONLY|EXISTS|OF|SET|\.)$/i;
const NAME = /^(?:"|[\w$\u0080-\u00ff])/;

/** A statement without its clause about where its object is stored. */
export interface Unplaced {
  readonly statement: Statement;
  /** The text that was removed, as it was. */
  readonly left: readonly string[];
}

/**
 * Removes TABLESPACE, or USING of a table: they belong to the dumped server. Pure.
 * @param what the tablespaces, or a table's access method
 * @returns undefined where the statement has no such clause
 */
export function withoutPlace(
  statement: Statement,
  what: "tablespace" | "access method",
): Unplaced | undefined {
  const { words, text } = statement;
  const word = what === "tablespace" ? /\bTABLESPACE\b/i : /\bUSING\b/i;
  // A statement longer than its words was truncated: it cannot be written again.
  if (!PLACED.test(words) || !word.test(words) || text.length > words.length + 64 * 1024) return undefined;
  if (what === "access method" && /^(?:ALTER|CREATE\s+(?:UNIQUE\s+)?INDEX)\b/i.test(words)) return undefined;
  const tokens = words.match(TOKENS) ?? [];
  const left: string[] = [];
  const kept: string[] = [];
  let depth = 0;
  let query = false;
  let before = "";
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at] ?? "";
    if (token === "(") depth += 1;
    if (token === ")") depth -= 1;
    // A query or a condition follows these.
    if (depth === 0 && /^(?:AS|WHERE)$/i.test(token)) query = true;
    const clause =
      query || BEFORE_NAME.test(before)
        ? undefined
        : what === "tablespace"
          ? tablespaceAt(tokens, at, depth)
          : depth === 0
            ? clauseAt(tokens, at, ["USING"])
            : undefined;
    if (token.trim() !== "") before = token;
    if (clause === undefined) kept.push(token);
    else {
      left.push(clause.join("").replaceAll(/\s+/g, " "));
      at += clause.length - 1;
    }
  }
  if (!left.length) return undefined;
  const rewritten = kept.join("");
  return {
    statement: { ...statement, text: Buffer.from(rewritten, "latin1"), words: rewritten },
    left,
  };
}

/** Inside parentheses a column may have this name. */
function tablespaceAt(tokens: readonly string[], at: number, depth: number): string[] | undefined {
  const ofIndex = clauseAt(tokens, at, ["USING", "INDEX", "TABLESPACE"]);
  return ofIndex ?? (depth === 0 ? clauseAt(tokens, at, ["TABLESPACE"]) : undefined);
}

/** The tokens of a clause that begins here: words, then a name. */
function clauseAt(tokens: readonly string[], at: number, words: readonly string[]): string[] | undefined {
  const clause: string[] = [];
  let next = at;
  for (const word of [...words, undefined]) {
    while (clause.length && /^\s+$/.test(tokens[next] ?? "")) clause.push(tokens[next++] ?? "");
    const token = tokens[next++] ?? "";
    if (
      word === undefined
        ? !NAME.test(token) || /^(?:ON|USING|INDEX)$/i.test(token)
        : token.toUpperCase() !== word
    )
      return undefined;
    clause.push(token);
  }
  return clause;
}
