import type { PoolerStatus } from "../model/pooler.ts";
import type { BackupStatus } from "../model/backups/backup-report.ts";
import type { StatusDocument } from "../cluster/documents/status.ts";
import type { DiskUse } from "../cluster/view.ts";
import { warningCodes } from "../model/troubles/troubles.ts";
import { severityOf } from "../model/warnings.ts";
import type { Config } from "../config/schema.ts";
import type { Labels, Sample } from "./exposition.ts";
import { sample } from "./server-metrics.ts";

/** The figures of the cluster as a whole, from which its metrics are made. */
export interface ClusterFigures {
  readonly config: Config;
  readonly status: StatusDocument;
  readonly backups: BackupStatus | undefined;
  /** By HOST:PORT of the node. */
  readonly disks: ReadonlyMap<string, DiskUse>;
  /** How often each replica left the pool; undefined where it is not counted. */
  readonly poolLeaves: ReadonlyMap<string, number> | undefined;
}

const seconds = (at: string | null | undefined): number | null =>
  at === null || at === undefined ? null : Date.parse(at) / 1000;

const ageOf = (at: string | null, now: number): number | null => {
  const then = seconds(at);
  return then === null ? null : Math.max(0, now / 1000 - then);
};

function warnings({ warnings }: StatusDocument, labels: Labels): Sample[] {
  return warningCodes().flatMap((code) =>
    sample(
      "odoo_pg_warnings",
      { ...labels, code, severity: severityOf(code) },
      warnings.filter((warning) => warning.code === code).length,
    ),
  );
}

function pooler(seen: PoolerStatus | null, labels: Labels): Sample[] {
  if (!seen) return [];
  return [
    ...sample("odoo_pg_pooler_up", labels, seen.answers),
    ...sample("odoo_pg_pooler_clients", labels, seen.clients),
    ...sample("odoo_pg_pooler_server_sessions", { ...labels, state: "active" }, seen.servers_active),
    ...sample("odoo_pg_pooler_server_sessions", { ...labels, state: "idle" }, seen.servers_idle),
  ];
}

function endpoints({ config, status, poolLeaves }: ClusterFigures, labels: Labels): Sample[] {
  const { read, write } = status.endpoints;
  const rules = config.endpoints.read;
  return [
    ...sample("odoo_pg_read_endpoint_up", labels, read.answers),
    ...sample(
      "odoo_pg_write_endpoint_up",
      labels,
      write.answers === null ? null : write.answers && write.node !== null,
    ),
    ...(["read", "write"] as const).flatMap((endpoint) => {
      const { waiting } = status.endpoints[endpoint];
      const of = { ...labels, endpoint };
      return [
        ...sample("odoo_pg_endpoint_waiting_clients", of, waiting?.clients ?? null),
        ...sample("odoo_pg_endpoint_longest_wait_seconds", of, waiting?.longest_seconds ?? null),
        ...pooler(status.endpoints[endpoint].pooler, of),
      ];
    }),
    ...sample("odoo_pg_pool_size", labels, read.pool.length),
    ...sample("odoo_pg_read_consistency", { ...labels, consistency: read.consistency }, 1),
    ...(read.consistency === "eventual"
      ? []
      : [
          ...sample("odoo_pg_read_max_lag_bytes", labels, rules.max_lag),
          ...sample("odoo_pg_read_max_lag_seconds", labels, rules.max_lag_seconds),
        ]),
    ...(read.consistency === "read-your-writes"
      ? sample("odoo_pg_read_max_commit_wait_seconds", labels, rules.max_commit_wait_seconds)
      : []),
    ...(poolLeaves ? status.nodes : []).flatMap(({ name }) =>
      sample("odoo_pg_pool_leaves_total", { ...labels, node: name }, poolLeaves?.get(name) ?? 0),
    ),
  ];
}

function copies({ status }: ClusterFigures, labels: Labels, now: number): Sample[] {
  return status.copies.flatMap(({ name: place, copied_at: at, error }) => [
    ...sample("odoo_pg_copy_ok", { ...labels, place }, at === null && error === null ? null : error === null),
    ...sample("odoo_pg_copy_timestamp_seconds", { ...labels, place }, seconds(at)),
    ...sample("odoo_pg_copy_age_seconds", { ...labels, place }, ageOf(at, now)),
  ]);
}

function anySecond({ status }: ClusterFigures, labels: Labels, now: number): Sample[] {
  const { window, attachments_kept_at: keptAt, second_proven: proven } = status;
  if (!window) return [];
  return [
    ...sample("odoo_pg_window_begin_timestamp_seconds", labels, seconds(window.from)),
    ...sample("odoo_pg_window_end_timestamp_seconds", labels, seconds(window.to)),
    ...sample("odoo_pg_window_end_age_seconds", labels, ageOf(window.to, now)),
    ...sample("odoo_pg_window_gaps", labels, window.gaps.length),
    ...sample("odoo_pg_window_archiving", labels, window.archiving),
    ...sample("odoo_pg_base_backups", labels, window.base_backups),
    ...sample(
      "odoo_pg_second_drill_ok",
      labels,
      proven && (proven.proven_at !== null || proven.failed_at !== null) ? proven.failed_at === null : null,
    ),
    ...sample("odoo_pg_second_proven_timestamp_seconds", labels, seconds(proven?.proven_at)),
    ...sample("odoo_pg_second_proven_age_seconds", labels, ageOf(proven?.proven_at ?? null, now)),
    ...sample("odoo_pg_second_proven_duration_seconds", labels, proven?.seconds),
    ...sample("odoo_pg_attachments_kept_age_seconds", labels, ageOf(keptAt, now)),
  ];
}

function backups({ config, status, backups }: ClusterFigures, labels: Labels, now: number): Sample[] {
  const { enabled, drill_schedule, max_age_hours, max_drill_age_days } = config.backup;
  const age = (at: string | null | undefined): number | null => ageOf(at ?? null, now);
  const goodAt = status.backups?.last_good_at;
  const drilledAt = status.backups?.last_drill_at;
  return [
    ...sample("odoo_pg_backup_enabled", labels, enabled),
    ...sample("odoo_pg_backup_max_age_seconds", labels, enabled ? max_age_hours * 3600 : null),
    ...sample("odoo_pg_backup_last_good_timestamp_seconds", labels, seconds(goodAt)),
    ...sample("odoo_pg_backup_age_seconds", labels, age(goodAt)),
    ...sample("odoo_pg_backup_last_run_ok", labels, backups?.last_run?.ok),
    ...sample("odoo_pg_backup_last_run_timestamp_seconds", labels, seconds(backups?.last_run?.finished_at)),
    ...sample("odoo_pg_backup_databases", labels, backups?.databases),
    ...sample("odoo_pg_backup_databases_without", labels, backups?.without_backup.length),
    ...sample("odoo_pg_backup_size_bytes", labels, status.backups?.size_bytes),
    ...sample(
      "odoo_pg_drill_max_age_seconds",
      labels,
      enabled && drill_schedule !== "off" ? max_drill_age_days * 86_400 : null,
    ),
    ...sample("odoo_pg_drill_last_ok", labels, status.backups?.last_drill_ok),
    ...sample("odoo_pg_drill_last_timestamp_seconds", labels, seconds(drilledAt)),
    ...sample("odoo_pg_drill_age_seconds", labels, age(drilledAt)),
    ...sample(
      "odoo_pg_drill_databases_without",
      labels,
      status.backups?.proofs.filter(({ proven_at }) => proven_at === null).length,
    ),
    ...(status.backups?.proofs ?? []).flatMap(({ database, proven_at, failed_at }) => {
      const both = { ...labels, datname: database };
      const tried = proven_at !== null || failed_at !== null;
      return [
        ...sample("odoo_pg_database_drill_ok", both, tried ? failed_at === null : null),
        ...sample("odoo_pg_database_proven_timestamp_seconds", both, seconds(proven_at)),
        ...sample("odoo_pg_database_proven_age_seconds", both, age(proven_at)),
      ];
    }),
  ];
}

/** What the status says, in numbers. */
export function statusMetrics(figures: ClusterFigures, labels: Labels): Sample[] {
  const { status, disks } = figures;
  return [
    ...(["ok", "warning", "critical"] as const).flatMap((verdict) =>
      sample("odoo_pg_status", { ...labels, verdict }, status.verdict === verdict),
    ),
    ...warnings(status, labels),
    ...sample("odoo_pg_agent_busy", labels, status.agent.operation !== null),
    ...endpoints(figures, labels),
    ...status.nodes.flatMap((node) => {
      const both = { ...labels, instance: `${node.host}:${node.port}`, node: node.name };
      const disk = disks.get(both.instance);
      return [
        ...sample("odoo_pg_node_primary", both, node.role === "primary"),
        ...sample("odoo_pg_node_in_pool", both, node.in_pool),
        ...sample("odoo_pg_node_lag_bytes", both, node.lag_bytes),
        ...sample("odoo_pg_node_lag_seconds", both, node.lag_seconds),
        ...sample("odoo_pg_node_slot_kept_bytes", both, node.slot?.kept_bytes),
        ...sample("odoo_pg_node_disk_free_bytes", both, disk?.freeBytes),
        ...sample("odoo_pg_node_disk_size_bytes", both, disk?.totalBytes),
        ...sample("odoo_pg_node_last_seen_timestamp_seconds", both, seconds(node.last_seen)),
      ];
    }),
  ];
}

/** Metrics of backups, archive and copies elsewhere. @param now our clock, milliseconds since the epoch */
export function keptMetrics(figures: ClusterFigures, labels: Labels, now: number): Sample[] {
  return [
    ...backups(figures, labels, now),
    ...anySecond(figures, labels, now),
    ...copies(figures, labels, now),
  ];
}
