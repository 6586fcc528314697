/**
 * What Grafana's dashboard 9628 ("PostgreSQL Database", made for postgres_exporter) asks for: each metric of its panels
 * and of its variables, with the labels that its selectors and legends name. `release` and `kubernetes_namespace` are
 * empty outside of Kubernetes, where a label that is not there counts as empty.
 */
export const dashboard9628: Readonly<Record<string, readonly string[]>> = {
  // Variables: instance, namespace and release, datname, mode.
  pg_up: ["instance"],
  pg_exporter_last_scrape_duration_seconds: ["instance"],
  // Panels.
  pg_static: ["instance", "short_version"],
  pg_postmaster_start_time_seconds: ["instance"],
  pg_stat_database_tup_fetched: ["instance", "datname"],
  pg_stat_database_tup_inserted: ["instance", "datname"],
  pg_stat_database_tup_updated: ["instance", "datname"],
  pg_stat_database_tup_deleted: ["instance", "datname"],
  pg_stat_database_tup_returned: ["instance", "datname"],
  pg_settings_max_connections: ["instance"],
  process_cpu_seconds_total: ["instance"],
  process_resident_memory_bytes: ["instance"],
  process_virtual_memory_bytes: ["instance"],
  process_open_fds: ["instance"],
  pg_settings_shared_buffers_bytes: ["instance"],
  pg_settings_effective_cache_size_bytes: ["instance"],
  pg_settings_maintenance_work_mem_bytes: ["instance"],
  pg_settings_work_mem_bytes: ["instance"],
  pg_settings_max_wal_size_bytes: ["instance"],
  pg_settings_random_page_cost: ["instance"],
  pg_settings_seq_page_cost: ["instance"],
  pg_settings_max_worker_processes: ["instance"],
  pg_settings_max_parallel_workers: ["instance"],
  pg_stat_activity_count: ["instance", "datname", "state"],
  pg_stat_database_xact_commit: ["instance", "datname"],
  pg_stat_database_xact_rollback: ["instance", "datname"],
  pg_locks_count: ["instance", "datname", "mode"],
  pg_stat_database_blks_hit: ["instance", "datname"],
  pg_stat_database_blks_read: ["instance", "datname"],
  pg_stat_bgwriter_buffers_backend_total: ["instance"],
  pg_stat_bgwriter_buffers_alloc_total: ["instance"],
  pg_stat_bgwriter_buffers_backend_fsync_total: ["instance"],
  pg_stat_bgwriter_buffers_checkpoint_total: ["instance"],
  pg_stat_bgwriter_buffers_clean_total: ["instance"],
  pg_stat_database_conflicts: ["instance", "datname"],
  pg_stat_database_deadlocks: ["instance", "datname"],
  pg_stat_database_temp_bytes: ["instance", "datname"],
  pg_stat_bgwriter_checkpoint_write_time_total: ["instance"],
  pg_stat_bgwriter_checkpoint_sync_time_total: ["instance"],
};

/** States and modes that its panels select. */
export const states9628 = ["active", "idle", "idle in transaction", "idle in transaction (aborted)"];
