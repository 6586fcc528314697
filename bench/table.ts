export interface Benchmark {
  readonly name: string;
  readonly title: string;
  /** Measures with this built program and returns Markdown. */
  readonly measure: (program: string) => Promise<string>;
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? high : ((sorted[middle - 1] ?? Number.NaN) + high) / 2;
}

/** Median, least and most of times in milliseconds, as cells of a table: seconds. */
export function timeCells(times: readonly number[]): readonly string[] {
  return [median(times), Math.min(...times), Math.max(...times)].map(
    (time) => `${(time / 1000).toFixed(2)} s`,
  );
}

/** Milliseconds that something takes. */
export async function timed(act: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await act();
  return performance.now() - start;
}
