/**
 * Names of databases, roles, tables and files, and the words of servers may hold anything. A terminal, a log or a mail
 * would act upon these characters: those that control (C0 and C1, such as ESC), that turn the direction of what follows
 * (as in U+202E), or that begin a line (U+2028, U+2029). Source: Unicode, "Bidirectional Algorithm", 2.1 to 2.4.
 */
const ACTING = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu;

/**
 * A text as it may be shown: what would act is written as `\u001b`, which JSON reads as the same character. Ends of lines
 * and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(ACTING, (character) =>
    character === "\n" || character === "\t" ? character : escaped(character),
  );
}

/** The same for what is one line, or a cell of a table: an end of line in it would begin a line that nobody wrote. */
export function printableLine(text: string): string {
  return text.replace(ACTING, escaped);
}

/** Characters of a sentence that is kept, sent or shown among others. */
const SENTENCE = 400;

/** A text of any length as one line of at most `limit` characters: of what is longer, the beginning. */
export function oneLine(text: string, limit = SENTENCE): string {
  const line = text.replaceAll(/\s+/g, " ").trim();
  // Never half of a character of two code units.
  return line.length > limit ? `${line.slice(0, limit - 1).replace(/[\ud800-\udbff]$/, "")}…` : line;
}

function escaped(character: string): string {
  if (character === "\n") return "\\n";
  if (character === "\t") return "\\t";
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Ways to colour a text as picocolors writes them: bold, dim, red, green, yellow, and back. */
const COLOURS = /(\u001b\[(?:0|1|2|22|3[1-9]|39)m)/; // oxlint-disable-line no-control-regex -- it is what is looked for

/** As `printable`, for texts in which odoo-pg itself sets colours. */
export function printableWithColours(text: string): string {
  return text
    .split(COLOURS)
    .map((part, index) => (index % 2 ? part : printable(part)))
    .join("");
}
