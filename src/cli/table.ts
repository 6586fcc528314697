import { printableLine } from "../printable.ts";
import type { Output } from "../system/terminal.ts";

/** Rows in columns that are as wide as their widest cell; nothing behind the last. */
export function showTable(
  output: Output,
  head: readonly string[],
  rows: readonly (readonly string[])[],
): void {
  const all = [head, ...rows.map((row) => row.map(printableLine))];
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  for (const row of all)
    output.out(
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    );
}
