import type { Settings } from "./table.ts";

const MB = 1024 * 1024;

/**
 * What 0.1 chose, whose clusters have no record of it: they keep it.
 * @param memoryBytes of the machine, or what its container may use
 */
export function settingsOf01(memoryBytes: number): Settings {
  const buffers = Math.min(2048 * MB, Math.max(128 * MB, memoryBytes / 8));
  return {
    max_connections: "300",
    shared_buffers: megabytes(buffers),
    effective_cache_size: megabytes(Math.max(256 * MB, memoryBytes / 2)),
    work_mem: "16MB",
    maintenance_work_mem: "256MB",
    random_page_cost: "1.1",
    max_locks_per_transaction: "256",
    wal_level: "replica",
    wal_log_hints: "on",
    max_wal_size: "2GB",
    max_wal_senders: "16",
    max_replication_slots: "16",
    unix_socket_permissions: "0700",
  };
}

function megabytes(bytes: number): string {
  return `${Math.floor(bytes / MB)}MB`;
}
