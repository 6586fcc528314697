/** As Prometheus counts them. A well-known name that breaks its rules for names is untyped: rules and dashboards read it all the same. */
export type MetricType = "gauge" | "counter" | "untyped";

export interface Metric {
  readonly type: MetricType;
  /** One line: what the number is, and its unit where the name does not say it. */
  readonly help: string;
}

export type Labels = Readonly<Record<string, string>>;

/** One number of a metric. */
export interface Sample {
  readonly name: string;
  readonly labels: Labels;
  readonly value: number;
}

const CONTROL = /[\\\n"]/g;
const escapeLabel = (text: string): string =>
  text.replace(CONTROL, (found) => (found === "\n" ? "\\n" : `\\${found}`));
const escapeHelp = (text: string): string => text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");

function formatValue(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

function line({ name, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
  return `${name}${pairs.length ? `{${pairs.join(",")}}` : ""} ${formatValue(value)}\n`;
}

/**
 * The text that Prometheus reads, format 0.0.4: each metric once with its help and type, in the order of `metrics`.
 * A sample of a metric that is not in there is an error of the program.
 */
export function renderExposition(metrics: ReadonlyMap<string, Metric>, samples: readonly Sample[]): string {
  const byName = new Map<string, Sample[]>();
  for (const sample of samples) {
    const present = byName.get(sample.name);
    if (present) present.push(sample);
    else if (metrics.has(sample.name)) byName.set(sample.name, [sample]);
    else throw new Error(`metric ${sample.name} is not declared`);
  }
  let text = "";
  for (const [name, { type, help }] of metrics) {
    const found = byName.get(name);
    if (!found) continue;
    text += `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
    for (const sample of found) text += line(sample);
  }
  return text;
}
