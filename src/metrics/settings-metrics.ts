import type { ServerStatistics } from "../postgres/sql/observing/statistics.ts";
import type { Labels, Metric, Sample } from "./exposition.ts";

/** Units of pg_settings as seconds or bytes. Source: PostgreSQL manual, "Parameter Names and Values". */
const SECONDS: Readonly<Record<string, number>> = { us: 1e-6, ms: 1e-3, s: 1, min: 60, h: 3600, d: 86_400 };
const BYTES: Readonly<Record<string, number>> = {
  B: 1,
  kB: 2 ** 10,
  MB: 2 ** 20,
  GB: 2 ** 30,
  TB: 2 ** 40,
};

interface Unit {
  readonly name: "seconds" | "bytes";
  readonly factor: number;
}

/** Such as `8kB`: a number of pages. */
function unitOf(text: string): Unit | undefined {
  const seconds = SECONDS[text];
  if (seconds !== undefined) return { name: "seconds", factor: seconds };
  const [, count = "", unit = ""] = /^(\d*)([a-zA-Z]+)$/.exec(text) ?? [];
  const bytes = BYTES[unit];
  return bytes === undefined ? undefined : { name: "bytes", factor: bytes * Number(count || 1) };
}

/** Ends of names that Prometheus keeps for other types, such as that of tcp_keepalives_count. */
const RESERVED = /_(?:count|sum|bucket|total)$/;

/** The parameters of a server that are numbers or on/off, named and converted as postgres_exporter does: -1 stays -1. */
export function settingsMetrics(
  settings: ServerStatistics["settings"],
  labels: Labels,
): { readonly metrics: ReadonlyMap<string, Metric>; readonly samples: readonly Sample[] } {
  const metrics = new Map<string, Metric>();
  const samples: Sample[] = [];
  for (const { name, setting, unit, vartype } of settings) {
    const known = unit === null ? undefined : unitOf(unit);
    const metric = `pg_settings_${name.replace(/\W/g, "_")}${known ? `_${known.name}` : ""}`;
    if (metrics.has(metric)) continue;
    const value = vartype === "bool" ? Number(setting === "on") : Number(setting);
    metrics.set(metric, {
      type: RESERVED.test(metric) ? "untyped" : "gauge",
      help: `Parameter ${name} of the server${known ? `, in ${known.name}` : ""}.`,
    });
    samples.push({ name: metric, labels, value: known && value !== -1 ? value * known.factor : value });
  }
  return { metrics, samples };
}
