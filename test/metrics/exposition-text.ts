/** One sample of an exposition text. */
export interface Series {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

const unescape = (text: string): string =>
  text.replace(/\\(.)/gs, (_, found: string) => (found === "n" ? "\n" : found));

/** Reads what Prometheus would. @throws Error for a line that is none of the format */
export function parseExposition(text: string): readonly Series[] {
  return text.split("\n").flatMap((line) => {
    if (line === "" || line.startsWith("#")) return [];
    const [, name = "", labels = "", value = ""] = /^([a-z_]\w*)(?:\{(.*)\})? (\S+)$/s.exec(line) ?? [];
    if (name === "") throw new Error(`not a sample: ${line}`);
    const pairs = [...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/gs)];
    return [
      {
        name,
        labels: Object.fromEntries(pairs.map(([, label = "", word = ""]) => [label, unescape(word)])),
        value: Number(value),
      },
    ];
  });
}

/** The samples of a metric whose labels are those given, among others. */
export function seriesOf(
  all: readonly Series[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): readonly Series[] {
  return all.filter(
    (series) =>
      series.name === name &&
      Object.entries(labels).every(([label, word]) => (series.labels[label] ?? "") === word),
  );
}

/** The value of the one series that fits. @throws Error when it is not one */
export function valueOf(
  all: readonly Series[],
  name: string,
  labels: Readonly<Record<string, string>> = {},
): number {
  const [one, ...more] = seriesOf(all, name, labels);
  if (one === undefined || more.length > 0)
    throw new Error(`${more.length + (one ? 1 : 0)} series of ${name} ${JSON.stringify(labels)}`);
  return one.value;
}
