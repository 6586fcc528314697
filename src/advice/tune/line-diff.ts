/** The lines that change from one text to another: `- old`, `+ new`, in their order. For files of people's size. */
export function changedLines(before: string, after: string): string[] {
  const old = before.split("\n");
  const fresh = after.split("\n");
  // common[i][j]: how many lines old from i on and fresh from j on have in common, in order.
  const common = Array.from({ length: old.length + 1 }, () => new Uint32Array(fresh.length + 1));
  const at = (i: number, j: number): number => common[i]?.[j] ?? 0;
  for (let i = old.length - 1; i >= 0; i--) {
    const row = common[i];
    if (!row) continue;
    for (let j = fresh.length - 1; j >= 0; j--)
      row[j] = old[i] === fresh[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
  }
  const lines: string[] = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < fresh.length) {
    if (i < old.length && j < fresh.length && old[i] === fresh[j]) {
      i += 1;
      j += 1;
    } else if (i < old.length && (j === fresh.length || at(i + 1, j) >= at(i, j + 1))) {
      lines.push(`- ${old[i] ?? ""}`);
      i += 1;
    } else {
      lines.push(`+ ${fresh[j] ?? ""}`);
      j += 1;
    }
  }
  return lines.filter((line) => line !== "- " && line !== "+ ");
}
