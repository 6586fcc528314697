/** Breaks a line at spaces; the lines after the first start with `indent`. A word too long for a line stays whole. */
export function wrap(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let rest = text;
  while (rest.length > width) {
    const start = rest.length - rest.trimStart().length;
    const before = rest.lastIndexOf(" ", width);
    const at = before > start ? before : rest.indexOf(" ", Math.max(width, start));
    if (at === -1) break;
    lines.push(rest.slice(0, at).trimEnd());
    rest = indent + rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Lines that a message takes at most, on any screen; the whole of it stands behind what the last of them names. */
const MESSAGE_LINES = 3;

/** As `wrap`, with words that are longer than a line broken too: no line is longer than `width`. */
export function wrapAll(text: string, width: number): string[] {
  return wrap(text, width, "").flatMap((line) => {
    const parts: string[] = [];
    for (let at = 0; at < line.length; at += width) parts.push(line.slice(at, at + width));
    return parts.length ? parts : [line];
  });
}

/**
 * The beginning of a message: what is wrong stands in its first words.
 * @param whole how all of it is read, as in `whole: --full`; undefined where that is said elsewhere
 */
export function briefly(lines: readonly string[], width: number, whole?: string): readonly string[] {
  if (lines.length <= MESSAGE_LINES) return lines;
  const more = whole === undefined ? " …" : ` … (${whole})`;
  const kept = lines.slice(0, MESSAGE_LINES);
  const last = kept[MESSAGE_LINES - 1] ?? "";
  kept[MESSAGE_LINES - 1] = `${last.slice(0, width - more.length).trimEnd()}${more}`;
  return kept;
}
