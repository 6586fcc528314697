import { formatBytes } from "../values/postgres-units.ts";
import { parallelWorkers, type Figures, type Load } from "./load.ts";
import { OWN_CONNECTIONS } from "./pools.ts";
import type { AdvisedSetting, Sizing } from "./setting.ts";

const MB = 1024 * 1024;
const GB = 1024 * MB;

/** Parts of a node's memory. A third stays for the connections themselves and for the files that the system keeps. */
const BUFFERS = 1 / 4;
const STATEMENTS = 1 / 4;
const MAINTENANCE = 1 / 16;
/** autovacuum_max_workers, each with maintenance_work_mem, and one index build. */
const MAINTAINERS = 4;
/** A statement may sort and hash at the same time; hashes take twice as much (hash_mem_multiplier, PostgreSQL 15). */
const PARTS_OF_STATEMENT = 2;

/** Connections that cost nothing worth saving: the many processes of another host's Odoo are not known here. */
export const LEAST_CONNECTIONS = 300;

/**
 * What fits a machine and an Odoo load: what `up` chooses, and what `tune` compares with. Every value is one that
 * PostgreSQL 13 to 18 takes; what the memory settings can claim together (`claimedBytes`) stays below the node's share
 * unless `load.notes` says that it is short.
 */
export const ADVISED: readonly AdvisedSetting[] = [
  {
    name: "max_connections",
    value: ({ load }) => String(Math.max(LEAST_CONNECTIONS, neededConnections(load))),
    from: ({ load }) => String(neededConnections(load)),
    stock: "100",
    restart: true,
    replicaSensitive: true,
    reason: ({ load }) =>
      `Odoo opens up to ${load.connections - OWN_CONNECTIONS} on one node: its processes times db_maxconn, for reads and for writes; ${OWN_CONNECTIONS} are for replication, monitoring and backups`,
  },
  {
    name: "shared_buffers",
    value: ({ load }) => formatBytes(sharedBuffersOf(load.nodeBytes)),
    unit: "8kB",
    stock: "128MB",
    restart: true,
    reason: (sizing) => `a quarter of ${share(sizing)} ${size(sizing.load.nodeBytes)}`,
  },
  {
    name: "effective_cache_size",
    value: ({ load: { nodeBytes } }) =>
      formatBytes(rounded(Math.max(nodeBytes * 0.75, sharedBuffersOf(nodeBytes)))),
    unit: "8kB",
    stock: "4GB",
    restart: false,
    reason: (sizing) =>
      `three quarters of ${share(sizing)} ${size(sizing.load.nodeBytes)}: with what the system keeps of files; it claims nothing`,
  },
  {
    name: "work_mem",
    value: ({ figures, load }) => formatBytes(workMemOf(figures, load)),
    unit: "kB",
    stock: "4MB",
    restart: false,
    reason: (sizing) =>
      `${sizing.load.statements} statements at once, with a sort and a hash each, stay within a quarter of ${share(sizing)} memory; more than 64MB is a risk`,
  },
  {
    name: "maintenance_work_mem",
    value: ({ load }) => formatBytes(maintenanceOf(load.nodeBytes)),
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
    value: (sizing) => (ssd(sizing) ? "1.1" : "4"),
    from: (sizing) => (ssd(sizing) ? "1" : "3"),
    to: (sizing) => (ssd(sizing) ? "1.5" : "4"),
    stock: "4",
    restart: false,
    reason: (sizing) =>
      ssd(sizing) ? "an SSD reads at random as fast as in order" : "a disk that rotates has to seek",
  },
  {
    name: "effective_io_concurrency",
    // Without posix_fadvise PostgreSQL takes 0 alone.
    value: (sizing) => (sizing.figures.readsAhead ? (ssd(sizing) ? "200" : "2") : undefined),
    from: (sizing) => (ssd(sizing) ? "16" : "1"),
    to: (sizing) => (ssd(sizing) ? "1000" : "16"),
    stock: ({ major }) => (major !== undefined && major >= 18 ? "16" : "1"),
    restart: false,
    reason: (sizing) =>
      ssd(sizing) ? "an SSD serves many reads at once" : "a disk that rotates serves few reads at once",
  },
  {
    name: "max_locks_per_transaction",
    value: "256",
    from: "128",
    stock: "64",
    restart: true,
    replicaSensitive: true,
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
    value: ({ figures }) => formatBytes(slotWalLimit(figures.diskBytes)),
    ofDisk: (diskBytes) => formatBytes(slotWalLimit(diskBytes)),
    to: ({ figures }) => formatBytes(slotWalLimit(figures.diskBytes)),
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
    value: ({ figures }) => formatBytes(walSize(figures.diskBytes / figures.nodes)),
    from: ({ figures }) => formatBytes(walSize(figures.diskBytes / figures.nodes)),
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
    value: (sizing) => (ssd(sizing) ? "1000" : "200"),
    from: (sizing) => (ssd(sizing) ? "1000" : "200"),
    stock: (sizing) => (ssd(sizing) ? "-1" : "200"),
    restart: false,
    reason: (sizing) =>
      ssd(sizing) ? "an SSD bears a faster vacuum" : "a disk that rotates has to serve reads meanwhile",
  },
  {
    name: "max_worker_processes",
    value: ({ figures }) => String(Math.max(8, parallelWorkers(figures.cpus))),
    from: ({ figures }) => String(Math.max(8, parallelWorkers(figures.cpus))),
    stock: "8",
    restart: true,
    replicaSensitive: true,
    reason: "parallel workers are taken from these",
  },
  {
    name: "max_parallel_workers",
    value: ({ figures }) => String(parallelWorkers(figures.cpus)),
    stock: "8",
    restart: false,
    reason: "one for each CPU",
  },
  {
    name: "max_parallel_workers_per_gather",
    value: ({ figures }) => String(helpersOf(figures)),
    stock: "2",
    restart: false,
    reason: "Odoo's workers keep the CPUs busy: a report may take a few, not all",
  },
];

/** Bytes that a node may take when all use their memory at once. */
export function claimedBytes(figures: Figures, load: Load): number {
  return (
    sharedBuffersOf(load.nodeBytes) +
    load.statements * PARTS_OF_STATEMENT * workMemOf(figures, load) +
    MAINTAINERS * maintenanceOf(load.nodeBytes)
  );
}

/** Bytes of WAL that slots may keep on a disk of this size. */
export function slotWalLimit(diskBytes: number): number {
  return Math.max(1, Math.floor(diskBytes / 4 / MB)) * MB;
}

function neededConnections({ connections }: Load): number {
  return Math.max(100, Math.ceil(connections / 50) * 50);
}

function sharedBuffersOf(nodeBytes: number): number {
  // PostgreSQL's own 128 MB, as soon as they are less than a third.
  const least = Math.min(128 * MB, nodeBytes / 3);
  return rounded(Math.min(32 * GB, Math.max(nodeBytes * BUFFERS, least)));
}

function workMemOf(figures: Figures, { nodeBytes, statements }: Load): number {
  const each = (nodeBytes * STATEMENTS) / (statements * PARTS_OF_STATEMENT);
  // The hash table of a parallel query lies in shared memory, which is 64 MB in many a container: half of it for one.
  const takers = PARTS_OF_STATEMENT * (helpersOf(figures) + 1);
  const shared = (figures.sharedBytes ?? Infinity) / 2 / takers;
  return rounded(Math.min(64 * MB, shared, Math.max(MB, each)));
}

/** Processes that help with one statement. */
function helpersOf({ cpus }: Figures): number {
  return cpus >= 4 ? 2 : cpus >= 2 ? 1 : 0;
}

function maintenanceOf(nodeBytes: number): number {
  return rounded(Math.min(GB, Math.max(MB, nodeBytes * MAINTENANCE)));
}

function walSize(diskBytes: number): number {
  return rounded(Math.min(8 * GB, Math.max(2 * GB, diskBytes / 32)));
}

function ssd({ figures }: Sizing): boolean {
  return figures.disk === "ssd";
}

function share({ figures }: Sizing): string {
  return figures.nodes > 1 ? `each of the ${figures.nodes} nodes'` : "the node's";
}

/** Down to three binary digits, so that a few bytes more or less of memory change nothing. At least 1 MB. */
function rounded(bytes: number): number {
  const step = Math.max(MB, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.max(MB, Math.floor(bytes / step) * step);
}

function size(bytes: number): string {
  return bytes >= GB ? `${(bytes / GB).toFixed(1)} GB` : `${Math.floor(bytes / MB)} MB`;
}
