import type { KnownFacts } from "../odoo/facts-cache.ts";
import type { ServerStatistics } from "../postgres/sql/observing/statistics.ts";
import type { OwnProcess } from "../system/process/own-process.ts";
import { keptMetrics, statusMetrics, type ClusterFigures } from "./cluster-metrics.ts";
import { renderExposition, type Metric, type Sample } from "./exposition.ts";
import { hostsMetrics, type HostsFigures } from "./hosts-metrics.ts";
import { odooMetrics } from "./odoo-metrics.ts";
import { METRICS } from "./registry.ts";
import { sample, serverMetrics } from "./server-metrics.ts";
import { settingsMetrics } from "./settings-metrics.ts";

/** The figures of one server, from which its metrics are made. */
export interface NodeFigures {
  /** HOST:PORT, by which dashboards know it. */
  readonly instance: string;
  readonly answers: boolean;
  /** Whether Odoo's databases are looked at on it. */
  readonly observed: boolean;
  /** Undefined where they could not be read. */
  readonly statistics: ServerStatistics | undefined;
  /** Seconds that it took. */
  readonly duration: number | undefined;
  readonly sizes: ReadonlyMap<string, number> | undefined;
}

/** Everything that the metrics are made from. */
export interface MetricsView {
  readonly cluster: string;
  readonly version: string;
  readonly nodes: readonly NodeFigures[];
  /** Undefined while nothing was applied. */
  readonly figures: ClusterFigures | undefined;
  /** With several hosts. */
  readonly hosts: HostsFigures | undefined;
  readonly odoo: ReadonlyMap<string, KnownFacts>;
  readonly process: OwnProcess;
  /** Our clock, milliseconds since the epoch. */
  readonly now: number;
  /** Seconds that gathering took. */
  readonly duration: number;
}

/** postgres_exporter tells of itself for the server that it watches: dashboards look for that. */
function processMetrics(own: OwnProcess, labels: Sample["labels"]): Sample[] {
  return [
    ...sample("process_cpu_seconds_total", labels, own.cpuSeconds),
    ...sample("process_resident_memory_bytes", labels, own.residentBytes),
    ...sample("process_virtual_memory_bytes", labels, own.virtualBytes),
    ...sample("process_open_fds", labels, own.openFiles),
    ...sample("process_max_fds", labels, own.maxFiles),
    ...sample("process_start_time_seconds", labels, own.startedAt),
  ];
}

/** The text of `/metrics`. The same view gives the same text. */
export function metricsText(view: MetricsView): string {
  const cluster = { cluster: view.cluster };
  const metrics = new Map<string, Metric>(Object.entries(METRICS));
  const samples: Sample[] = [];
  for (const node of view.nodes) {
    const labels = { ...cluster, instance: node.instance };
    samples.push(
      ...sample("pg_up", labels, node.answers),
      ...sample("pg_exporter_last_scrape_error", labels, node.answers && !node.statistics),
      ...sample("pg_exporter_last_scrape_duration_seconds", labels, node.duration),
      ...processMetrics(view.process, labels),
    );
    if (!node.statistics) continue;
    samples.push(...serverMetrics(node.statistics, node.sizes, labels));
    const settings = settingsMetrics(node.statistics.settings, labels);
    for (const [name, metric] of settings.metrics) metrics.set(name, metric);
    samples.push(...settings.samples);
  }
  const observed = view.nodes.find((node) => node.observed);
  samples.push(
    ...sample("odoo_pg_info", { ...cluster, version: view.version }, 1),
    ...(view.figures ? statusMetrics(view.figures, cluster) : []),
    ...(view.figures && (view.hosts?.leads ?? true) ? keptMetrics(view.figures, cluster, view.now) : []),
    ...(view.hosts ? hostsMetrics(view.hosts) : []),
    ...odooMetrics(
      view.odoo,
      { cluster, node: { ...cluster, instance: observed?.instance ?? "" } },
      view.now,
    ),
    ...sample("odoo_pg_scrape_duration_seconds", cluster, view.duration),
  );
  return renderExposition(metrics, samples);
}
