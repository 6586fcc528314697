import type { DefaultSetting } from "./setting.ts";

/** https://www.postgresql.org/docs/14/runtime-config-error-handling.html: on Linux. */
const FIRST_WITH_SYNCFS = 14;

/** The library by which a server counts its statements. It comes with PostgreSQL, but not with every package of it. */
export const STATEMENT_COUNTS = "pg_stat_statements";

/** What replication, safety and Odoo need on every machine. Reasons: facts of Odoo and PostgreSQL. */
export const PLAIN: readonly DefaultSetting[] = [
  { name: "wal_level", value: "replica", restart: true, reason: "streaming replication" },
  { name: "wal_log_hints", value: "on", restart: true, reason: "pg_rewind" },
  { name: "archive_mode", value: "on", restart: true, reason: "any second later, without a restart" },
  { name: "wal_compression", value: "on", restart: false, reason: "full page images are most of Odoo's WAL" },
  { name: "checkpoint_completion_target", value: "0.9", restart: false, reason: "spread the writing" },
  {
    name: "max_wal_senders",
    value: "16",
    restart: true,
    replicaSensitive: true,
    reason: "replicas, base backups and new nodes without a restart",
  },
  {
    name: "max_replication_slots",
    value: "16",
    restart: true,
    reason: "one for each replica, new ones without a restart",
  },
  {
    name: "max_prepared_transactions",
    value: undefined,
    stock: "0",
    restart: true,
    replicaSensitive: true,
    reason: "Odoo prepares none",
  },
  {
    name: "wal_receiver_status_interval",
    value: "1s",
    restart: false,
    reason: "bounds how long a waiting commit misses a changed list of synchronous replicas",
  },
  { name: "wal_receiver_timeout", value: "10s", restart: false, reason: "a replica notices a dead primary" },
  { name: "wal_sender_timeout", value: "10s", restart: false, reason: "a primary notices a dead replica" },
  {
    name: "wal_retrieve_retry_interval",
    value: "500ms",
    restart: false,
    reason: "a replica comes back soon after its primary",
  },
  {
    name: "recovery_init_sync_method",
    value: "syncfs",
    restart: false,
    // Each of some ten thousand files synced by itself takes seconds on a busy disk, all at once less than one.
    reason: "soon back after a crash",
    taken: ({ major, platform }) => platform === "linux" && major !== undefined && major >= FIRST_WITH_SYNCFS,
  },
  {
    name: "shared_preload_libraries",
    value: STATEMENT_COUNTS,
    restart: true,
    reason: "which statements take the time",
  },
  { name: "ssl_min_protocol_version", value: "TLSv1.2", restart: false, reason: "nothing older is safe" },
  { name: "unix_socket_permissions", value: "0700", restart: true, reason: "the agent's own connection" },
  { name: "log_line_prefix", value: "%m [%p] %q%u@%d/%a ", restart: false, reason: "who did it" },
  { name: "log_checkpoints", value: "on", restart: false, reason: "slow disks show here" },
  { name: "log_lock_waits", value: "on", restart: false, reason: "who waits for whom" },
  { name: "log_temp_files", value: "64MB", restart: false, reason: "queries that want more work_mem" },
  { name: "log_autovacuum_min_duration", value: "10s", restart: false, reason: "long vacuums" },
  { name: "log_timezone", value: "UTC", restart: false, reason: "one clock for all logs" },
  { name: "log_file_mode", value: "0600", restart: false, reason: "logs may hold data" },
  { name: "log_rotation_age", value: "1d", restart: false, reason: "seven days" },
  { name: "log_rotation_size", value: "0", restart: false, reason: "seven days" },
  { name: "log_truncate_on_rotation", value: "on", restart: false, reason: "seven days" },
  { name: "timezone", value: "UTC", restart: false, reason: "Odoo stores UTC" },
  { name: "lc_messages", value: "C", restart: false, reason: "messages that can be searched for" },
];
