import { printableLine } from "../printable.ts";
import type { Output } from "../system/terminal.ts";
import { wrap } from "../wrap.ts";

/**
 * Rows in columns as wide as their widest cell; nothing after the last. On a terminal no line is longer than it is
 * wide.
 */
export function showTable(
  output: Output,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  for (const line of tableLines(head, rows, output.terminal ? output.width : undefined)) output.out(line);
}

/** Characters by which continuation lines are indented. */
const INDENT = "    ";
/** A last column narrower than this is put below. */
const NARROWEST = 20;

/**
 * The lines of a table. Where it is wider than `width`, the last column is wrapped below itself, or cells that do not
 * fit continue on the next line. A cell that is no heading and no words stays whole.
 */
export function tableLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  width: number | undefined,
): string[] {
  const all = [head, ...rows.map((row) => row.map(printableLine))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const whole = (row: readonly string[]): string =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd();
  if (width === undefined || all.every((row) => whole(row).length <= width)) return all.map(whole);
  const last = head.length - 1;
  const before = widths.slice(0, last).reduce((sum, one) => sum + one + 2, 0);
  if (width - before < NARROWEST) return all.flatMap((row) => broken(row, widths, width));
  return all.flatMap((row) => {
    const [first = "", ...more] = wrap(row[last] ?? "", width - before, "");
    return [whole([...row.slice(0, last), first]), ...more.map((text) => " ".repeat(before) + text)];
  });
}

/** A row over several lines, broken between its cells. */
function broken(row: readonly string[], widths: readonly number[], width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const [column, cell] of row.entries()) {
    if (cell === "") continue;
    const padded = cell.padEnd(widths[column] ?? 0);
    const longer = line === "" ? padded : `${line}  ${padded}`;
    if (line === "" || longer.trimEnd().length <= width) {
      line = longer;
      continue;
    }
    lines.push(line.trimEnd());
    line = INDENT + cell;
  }
  return [...lines, line].flatMap((text) => wrap(text.trimEnd(), width, INDENT));
}
