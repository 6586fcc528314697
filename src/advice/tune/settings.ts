import { formatBytes } from "../../config/postgres-units.ts";
import { OWN_CONNECTIONS } from "../../odoo/pools.ts";
import { parallelWorkers, type Figures, type Load } from "./load.ts";

const MB = 1024 * 1024;
const GB = 1024 * MB;

/** One PostgreSQL setting as it should be for the load. */
export interface TunedSetting {
  readonly name: string;
  /** As it stands in odoo-pg.yaml. */
  readonly value: string;
  /** What a number without a unit counts, as in pg_settings; undefined for what has none. */
  readonly unit?: Unit;
  /** Other values that are as good: from here on, up to here. Without both, only `value` is. */
  readonly from?: string;
  readonly to?: string;
  /** What PostgreSQL takes when nobody sets it. */
  readonly stock: string;
  /** Whether a server takes it only when it starts. */
  readonly restart: boolean;
  readonly reason: string;
}

export type Unit = "8kB" | "kB" | "MB" | "ms" | "s";

/** Parts of a node's memory. A third stays for the connections themselves and for the files that the system keeps. */
const BUFFERS = 1 / 4;
const STATEMENTS = 1 / 4;
const MAINTENANCE = 1 / 16;
/** autovacuum_max_workers, each with maintenance_work_mem, and one index build. */
const MAINTAINERS = 4;
/** A statement may sort and hash at the same time; hashes take twice as much (hash_mem_multiplier, PostgreSQL 15). */
const PARTS_OF_STATEMENT = 2;

/**
 * PostgreSQL settings for an Odoo load. Every value is one that PostgreSQL 13 to 18 takes; what the memory settings can
 * claim together (`claimedBytes`) stays below the node's share unless `load.notes` says that it is short.
 * @param major of the server, where that is known: PostgreSQL's own values differ a little
 */
export function tunedSettings(figures: Figures, load: Load, major: number | undefined): TunedSetting[] {
  const { cpus, disk, diskBytes } = figures;
  const { nodeBytes } = load;
  const ssd = disk === "ssd";
  const share = figures.nodes > 1 ? `each of the ${figures.nodes} nodes'` : "the node's";
  const workMem = workMemOf(load);
  const connections = Math.max(100, Math.ceil(load.connections / 50) * 50);
  return [
    {
      name: "max_connections",
      value: String(connections),
      from: String(connections),
      stock: "100",
      restart: true,
      reason: `Odoo opens up to ${load.connections - OWN_CONNECTIONS} on one node: its processes times db_maxconn, for reads and for writes; ${OWN_CONNECTIONS} are for replication, monitoring and backups`,
    },
    {
      name: "shared_buffers",
      value: formatBytes(sharedBuffersOf(nodeBytes)),
      unit: "8kB",
      stock: "128MB",
      restart: true,
      reason: `a quarter of ${share} ${size(nodeBytes)}`,
    },
    {
      name: "effective_cache_size",
      value: formatBytes(rounded(Math.max(nodeBytes * 0.75, sharedBuffersOf(nodeBytes)))),
      unit: "8kB",
      stock: "4GB",
      restart: false,
      reason: `three quarters of ${share} ${size(nodeBytes)}: with what the system keeps of files; it claims nothing`,
    },
    {
      name: "work_mem",
      value: formatBytes(workMem),
      unit: "kB",
      stock: "4MB",
      restart: false,
      reason: `${load.statements} statements at once, with a sort and a hash each, stay within a quarter of ${share} memory; more than 64MB is a risk`,
    },
    {
      name: "maintenance_work_mem",
      value: formatBytes(maintenanceOf(nodeBytes)),
      unit: "kB",
      stock: "64MB",
      restart: false,
      reason: "index builds at restores; autovacuum takes it three times",
    },
    {
      name: "jit",
      value: "off",
      stock: "on",
      restart: false,
      reason: "Odoo's queries are short: compiling costs more than it wins",
    },
    {
      name: "random_page_cost",
      value: ssd ? "1.1" : "4",
      from: ssd ? "1" : "3",
      to: ssd ? "1.5" : "4",
      stock: "4",
      restart: false,
      reason: ssd ? "an SSD reads at random as fast as in order" : "a disk that rotates has to seek",
    },
    // Without posix_fadvise PostgreSQL takes 0 alone.
    ...(figures.readsAhead ? [readAhead(ssd, major)] : []),
    {
      name: "max_locks_per_transaction",
      value: "256",
      from: "128",
      stock: "64",
      restart: true,
      reason: "an update of modules locks 100 to 300 tables and indexes in one transaction",
    },
    {
      name: "idle_in_transaction_session_timeout",
      value: "1h",
      from: "1h",
      unit: "ms",
      stock: "0",
      restart: false,
      reason:
        "above limit_time_real_cron (30 min): a scheduled action holds its row throughout its run; 0 would leave a forgotten transaction for ever",
    },
    {
      name: "max_slot_wal_keep_size",
      value: `${Math.max(1, Math.floor(diskBytes / 4 / MB))}MB`,
      to: `${Math.max(1, Math.floor(diskBytes / 4 / MB))}MB`,
      unit: "MB",
      stock: "-1",
      restart: false,
      reason: "a quarter of the disk: the slot of a dead replica must not fill it",
    },
    {
      name: "hot_standby_feedback",
      value: "on",
      stock: "off",
      restart: false,
      reason: "vacuum on the primary must not cancel reads on a replica",
    },
    {
      name: "max_standby_streaming_delay",
      value: "30s",
      from: "30s",
      to: "60s",
      unit: "ms",
      stock: "30s",
      restart: false,
      reason: "a read may hold a replica back so long, not longer",
    },
    {
      name: "max_wal_size",
      value: formatBytes(walSize(diskBytes / figures.nodes)),
      from: formatBytes(walSize(diskBytes / figures.nodes)),
      unit: "MB",
      stock: "1GB",
      restart: false,
      reason: "fewer checkpoints during imports and restores",
    },
    {
      name: "checkpoint_timeout",
      value: "15min",
      from: "15min",
      unit: "s",
      stock: "5min",
      restart: false,
      reason: "the first change of a page after a checkpoint writes the whole page to WAL",
    },
    {
      name: "autovacuum_vacuum_scale_factor",
      value: "0.05",
      to: "0.05",
      stock: "0.2",
      restart: false,
      reason: "bus_bus, mail_message and stock_quant change all day: a fifth of a big table is too late",
    },
    {
      name: "autovacuum_analyze_scale_factor",
      value: "0.05",
      to: "0.05",
      stock: "0.1",
      restart: false,
      reason: "plans follow the data",
    },
    {
      name: "autovacuum_vacuum_cost_limit",
      value: ssd ? "1000" : "200",
      from: ssd ? "1000" : "200",
      stock: ssd ? "-1" : "200",
      restart: false,
      reason: ssd ? "an SSD bears a faster vacuum" : "a disk that rotates has to serve reads meanwhile",
    },
    {
      name: "max_worker_processes",
      value: String(Math.max(8, parallelWorkers(cpus))),
      from: String(Math.max(8, parallelWorkers(cpus))),
      stock: "8",
      restart: true,
      reason: "parallel workers are taken from these",
    },
    {
      name: "max_parallel_workers",
      value: String(parallelWorkers(cpus)),
      stock: "8",
      restart: false,
      reason: "one for each CPU",
    },
    {
      name: "max_parallel_workers_per_gather",
      value: cpus >= 4 ? "2" : cpus >= 2 ? "1" : "0",
      stock: "2",
      restart: false,
      reason: "Odoo's workers keep the CPUs busy: a report may take a few, not all",
    },
  ];
}

/** Bytes that a node may take when all use their memory at once. */
export function claimedBytes(load: Load): number {
  return (
    sharedBuffersOf(load.nodeBytes) +
    load.statements * PARTS_OF_STATEMENT * workMemOf(load) +
    MAINTAINERS * maintenanceOf(load.nodeBytes)
  );
}

function sharedBuffersOf(nodeBytes: number): number {
  // PostgreSQL's own 128 MB, as soon as they are less than a third.
  const least = Math.min(128 * MB, nodeBytes / 3);
  return rounded(Math.min(32 * GB, Math.max(nodeBytes * BUFFERS, least)));
}

function workMemOf({ nodeBytes, statements }: Load): number {
  const each = (nodeBytes * STATEMENTS) / (statements * PARTS_OF_STATEMENT);
  return rounded(Math.min(64 * MB, Math.max(MB, each)));
}

function maintenanceOf(nodeBytes: number): number {
  return rounded(Math.min(GB, Math.max(MB, nodeBytes * MAINTENANCE)));
}

function walSize(diskBytes: number): number {
  return rounded(Math.min(8 * GB, Math.max(2 * GB, diskBytes / 32)));
}

function readAhead(ssd: boolean, major: number | undefined): TunedSetting {
  return {
    name: "effective_io_concurrency",
    value: ssd ? "200" : "2",
    ...(ssd ? { from: "16" } : { from: "1", to: "16" }),
    stock: major !== undefined && major >= 18 ? "16" : "1",
    restart: false,
    reason: ssd ? "an SSD serves many reads at once" : "a disk that rotates serves few reads at once",
  };
}

/** Down to three binary digits, so that a few bytes more or less of memory change nothing. At least 1 MB. */
function rounded(bytes: number): number {
  const step = Math.max(MB, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.max(MB, Math.floor(bytes / step) * step);
}

function size(bytes: number): string {
  return bytes >= GB ? `${(bytes / GB).toFixed(1)} GB` : `${Math.floor(bytes / MB)} MB`;
}
