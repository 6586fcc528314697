import type { ServerStatistics } from "../postgres/sql/observing/statistics.ts";
import type { Labels, Sample } from "./exposition.ts";
import type { MetricName } from "./registry.ts";

/** A sample of a declared metric; none for a number that is not known. */
export function sample(
  name: MetricName,
  labels: Labels,
  value: number | boolean | null | undefined,
): Sample[] {
  if (value === null || value === undefined) return [];
  return [{ name, labels, value: Number(value) }];
}

/** States that are always reported, so that a series does not end when no session is in that state. */
const STATES = ["active", "idle", "idle in transaction", "idle in transaction (aborted)"];
const MODES = [
  "accesssharelock",
  "rowsharelock",
  "rowexclusivelock",
  "shareupdateexclusivelock",
  "sharelock",
  "sharerowexclusivelock",
  "exclusivelock",
  "accessexclusivelock",
  "sireadlock",
];

const DATABASE: Readonly<Record<string, MetricName>> = {
  numbackends: "pg_stat_database_numbackends",
  xact_commit: "pg_stat_database_xact_commit",
  xact_rollback: "pg_stat_database_xact_rollback",
  blks_read: "pg_stat_database_blks_read",
  blks_hit: "pg_stat_database_blks_hit",
  tup_returned: "pg_stat_database_tup_returned",
  tup_fetched: "pg_stat_database_tup_fetched",
  tup_inserted: "pg_stat_database_tup_inserted",
  tup_updated: "pg_stat_database_tup_updated",
  tup_deleted: "pg_stat_database_tup_deleted",
  conflicts: "pg_stat_database_conflicts",
  temp_files: "pg_stat_database_temp_files",
  temp_bytes: "pg_stat_database_temp_bytes",
  deadlocks: "pg_stat_database_deadlocks",
  checksum_failures: "pg_stat_database_checksum_failures",
  blk_read_time: "pg_stat_database_blk_read_time",
  blk_write_time: "pg_stat_database_blk_write_time",
};
const CONFLICTS: Readonly<Record<string, MetricName>> = {
  confl_tablespace: "pg_stat_database_conflicts_confl_tablespace",
  confl_lock: "pg_stat_database_conflicts_confl_lock",
  confl_snapshot: "pg_stat_database_conflicts_confl_snapshot",
  confl_bufferpin: "pg_stat_database_conflicts_confl_bufferpin",
  confl_deadlock: "pg_stat_database_conflicts_confl_deadlock",
};

function columns(
  names: Readonly<Record<string, MetricName>>,
  counters: Readonly<Record<string, number | null>> | null,
  labels: Labels,
): Sample[] {
  return Object.entries(names).flatMap(([column, name]) => sample(name, labels, counters?.[column]));
}

/** The counts of one view by database and one more label, with zero for what the view has no row of. */
function filled<T extends { readonly datname: string }>(
  statistics: ServerStatistics,
  rows: readonly T[],
  told: readonly string[],
  wordOf: (row: T) => string,
): { readonly datname: string; readonly word: string; readonly row: T | undefined }[] {
  const known = new Map(rows.map((row) => [`${row.datname}\n${wordOf(row)}`, row]));
  const words = [...told, ...new Set(rows.map(wordOf).filter((word) => !told.includes(word)))];
  return statistics.databases
    .filter(({ connectable }) => connectable)
    .flatMap(({ datname }) =>
      words.map((word) => ({ datname, word, row: known.get(`${datname}\n${word}`) })),
    );
}

/** bgwriter's view was split in PostgreSQL 17: the well-known names stay. */
function writers({ bgwriter, checkpointer, backend_writes }: ServerStatistics, labels: Labels): Sample[] {
  const checkpoints = checkpointer
    ? {
        timed: checkpointer["num_timed"],
        requested: checkpointer["num_requested"],
        write: checkpointer["write_time"],
        sync: checkpointer["sync_time"],
        buffers: checkpointer["buffers_written"],
      }
    : {
        timed: bgwriter["checkpoints_timed"],
        requested: bgwriter["checkpoints_req"],
        write: bgwriter["checkpoint_write_time"],
        sync: bgwriter["checkpoint_sync_time"],
        buffers: bgwriter["buffers_checkpoint"],
      };
  return [
    ...sample("pg_stat_bgwriter_checkpoints_timed_total", labels, checkpoints.timed),
    ...sample("pg_stat_bgwriter_checkpoints_req_total", labels, checkpoints.requested),
    ...sample("pg_stat_bgwriter_checkpoint_write_time_total", labels, checkpoints.write),
    ...sample("pg_stat_bgwriter_checkpoint_sync_time_total", labels, checkpoints.sync),
    ...sample("pg_stat_bgwriter_buffers_checkpoint_total", labels, checkpoints.buffers),
    ...sample("pg_stat_bgwriter_buffers_clean_total", labels, bgwriter["buffers_clean"]),
    ...sample("pg_stat_bgwriter_maxwritten_clean_total", labels, bgwriter["maxwritten_clean"]),
    ...sample("pg_stat_bgwriter_buffers_alloc_total", labels, bgwriter["buffers_alloc"]),
    ...sample(
      "pg_stat_bgwriter_buffers_backend_total",
      labels,
      backend_writes?.writes ?? bgwriter["buffers_backend"],
    ),
    ...sample(
      "pg_stat_bgwriter_buffers_backend_fsync_total",
      labels,
      backend_writes?.fsyncs ?? bgwriter["buffers_backend_fsync"],
    ),
  ];
}

/** What a server's statistics say, in the names that dashboards know. @param labels those of the node */
export function serverMetrics(
  statistics: ServerStatistics,
  sizes: ReadonlyMap<string, number> | undefined,
  labels: Labels,
): Sample[] {
  const { version, short_version, archiver } = statistics;
  return [
    ...sample("pg_static", { ...labels, version, short_version }, 1),
    ...sample("pg_postmaster_start_time_seconds", labels, statistics.started_at),
    ...sample("pg_replication_is_replica", labels, statistics.in_recovery),
    ...sample("pg_replication_lag_seconds", labels, statistics.lag_seconds),
    ...filled(statistics, statistics.activity, STATES, ({ state }) => state).flatMap(
      ({ datname, word: state, row }) => [
        ...sample("pg_stat_activity_count", { ...labels, datname, state }, row?.sessions ?? 0),
        ...sample(
          "pg_stat_activity_max_tx_duration",
          { ...labels, datname, state },
          row?.max_tx_seconds ?? 0,
        ),
      ],
    ),
    ...filled(statistics, statistics.locks, MODES, ({ mode }) => mode).flatMap(
      ({ datname, word: mode, row }) =>
        sample("pg_locks_count", { ...labels, datname, mode }, row?.locks ?? 0),
    ),
    ...statistics.databases.flatMap((database) => {
      const { datname } = database;
      const both = { ...labels, datid: String(database.datid), datname };
      return [
        ...sample("pg_database_size_bytes", { ...labels, datname }, sizes?.get(datname)),
        ...columns(DATABASE, database.statistics, both),
        ...columns(CONFLICTS, database.conflicts, both),
        ...sample("odoo_pg_database_xid_age", { ...labels, datname }, database.xid_age),
      ];
    }),
    ...writers(statistics, labels),
    ...sample("pg_stat_archiver_archived_count", labels, archiver.archived_count),
    ...sample("pg_stat_archiver_failed_count", labels, archiver.failed_count),
    ...sample("pg_stat_archiver_last_archive_age", labels, archiver.last_archive_age),
    ...sample("pg_stat_replication_pg_current_wal_lsn_bytes", labels, statistics.wal_position),
    ...statistics.standbys.flatMap(({ application_name, client_addr, state, slot_name, behind_bytes }) =>
      sample(
        "pg_stat_replication_pg_wal_lsn_diff",
        { ...labels, application_name, client_addr, state, slot_name },
        behind_bytes,
      ),
    ),
    ...statistics.slots.flatMap(({ slot_name, slot_type, active, kept_bytes, safe_wal_size, wal_status }) => {
      const both = { ...labels, slot_name, slot_type };
      return [
        ...sample("pg_replication_slots_active", both, active),
        ...sample("pg_replication_slots_pg_wal_lsn_diff", both, kept_bytes),
        ...sample("pg_replication_slots_safe_wal_size_bytes", both, safe_wal_size),
        ...(wal_status === null
          ? []
          : sample("pg_replication_slots_wal_status", { ...both, wal_status }, true)),
      ];
    }),
    ...sample("pg_wal_size_bytes", labels, statistics.wal.bytes),
    ...sample("pg_wal_segments", labels, statistics.wal.segments),
    ...sample("odoo_pg_blocked_sessions", labels, statistics.blocked.sessions),
    ...sample("odoo_pg_blocked_longest_seconds", labels, statistics.blocked.longest_seconds),
  ];
}
