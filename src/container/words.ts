/**
 * Splits a text into words as a shell does, with quotes and backslashes and nothing else: POSTGRES_INITDB_ARGS is
 * written for a shell, and no shell reads it here.
 */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const [whole] of text.matchAll(/(?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+/gs)) {
    words.push(
      whole.replace(/\\(.)|"((?:[^"\\]|\\.)*)"|'([^']*)'/gs, (_match, escaped, double, single) => {
        if (typeof escaped === "string") return escaped;
        return typeof double === "string" ? double.replace(/\\(["\\$`])/g, "$1") : String(single ?? "");
      }),
    );
  }
  return words;
}
