import { OWN_CONNECTIONS, SHARED_POOL_SIZE, WORKER_POOL_SIZE } from "./pools.ts";

const MB = 1024 * 1024;
const GB = 1024 * MB;

/** What the nodes run on. */
export interface Figures {
  /** Memory of the host, or of the container: for its nodes, and for Odoo where that runs here too. */
  readonly memoryBytes: number;
  /** Processors, such as 4 or 1.5. */
  readonly cpus: number;
  readonly disk: "ssd" | "hdd";
  /** Size of the disk that holds the data. */
  readonly diskBytes: number;
  /** Nodes that share the memory. */
  readonly nodes: number;
  /** Whether Odoo runs on this host too. */
  readonly odooHere: boolean;
  /** Bytes that servers can share for parallel queries (/dev/shm); undefined where nothing limits them. */
  readonly sharedBytes?: number | undefined;
  /** Whether the system can read ahead on demand (posix_fadvise): elsewhere PostgreSQL refuses the setting. */
  readonly readsAhead: boolean;
}

/** The load that the settings are made for. */
export interface LoadOptions {
  /** Odoo's workers, on all its hosts together; 0: threads in one process. */
  readonly workers?: number | undefined;
  /** People who work at the same time. */
  readonly users?: number | undefined;
}

/** What Odoo will ask for, and how the memory is divided. */
export interface Load {
  /** Odoo's workers for requests; 0: threads in one process. */
  readonly workers: number;
  readonly cronThreads: number;
  /** Most statements that can run at once. */
  readonly statements: number;
  /** `db_maxconn`, and the same for the process that serves websockets. */
  readonly poolSize: number;
  readonly websocketPoolSize: number;
  /** Connections that Odoo can open on one node, with those that PostgreSQL and odoo-pg need themselves. */
  readonly connections: number;
  readonly odooBytes: number;
  readonly nodeBytes: number;
  /** Why it is so many workers. */
  readonly workersReason: string;
  /** What the machine is too small for. */
  readonly notes: readonly string[];
}

/**
 * Memory of a process of Odoo: four of five light at 150 MB, one of five heavy at 1 GB.
 * Source: Odoo's documentation, "Deploying Odoo", worker number calculation.
 */
const ODOO_PROCESS = 325 * MB;
/** Source: the same page: one worker serves about six people who work at the same time. */
const USERS_PER_WORKER = 6;
/** With one worker, a report that fetches its own pictures from Odoo waits for itself. */
const FEWEST_WORKERS = 2;
/** Bytes of a node for a statement, below which work_mem gets less than PostgreSQL's own 4 MB. */
const SHORT_MEMORY = 32 * MB;

/**
 * From a machine and what is known of the load to Odoo's processes and everybody's share of the memory. Odoo takes at
 * most half of what it shares with the nodes. More memory never makes a share smaller.
 */
export function planLoad(figures: Figures, options: LoadOptions): Load {
  const { memoryBytes, cpus, nodes, odooHere } = figures;
  const cronThreads = cpus <= 2 ? 1 : 2;
  const most = Math.max(FEWEST_WORKERS, Math.floor(2 * cpus + 1));
  const forUsers =
    options.users === undefined
      ? most
      : Math.max(FEWEST_WORKERS, Math.ceil(options.users / USERS_PER_WORKER));
  const wanted = options.workers ?? Math.min(most, forUsers);
  // Beside the workers: those for scheduled actions, and one for websockets.
  const others = cronThreads + 1;
  const odooWants = (wanted === 0 ? 1 : wanted + others) * ODOO_PROCESS;
  const odooBytes = odooHere ? Math.min(odooWants, memoryBytes / 2) : 0;
  const fitting = odooHere ? Math.max(FEWEST_WORKERS, Math.floor(odooBytes / ODOO_PROCESS) - others) : wanted;
  const workers = options.workers ?? Math.min(wanted, fitting);

  const system = Math.min(GB / 2, memoryBytes / 8);
  const nodeBytes = (memoryBytes - odooBytes - system) / nodes;
  const websocketPoolSize = SHARED_POOL_SIZE;
  const poolSize = workers === 0 ? SHARED_POOL_SIZE : WORKER_POOL_SIZE;
  const pools = workers === 0 ? poolSize : (workers + cronThreads) * poolSize + websocketPoolSize;

  const notes: string[] = [];
  if (options.workers === undefined && forUsers > most)
    notes.push(
      `${options.users} people at once want ${forUsers} workers; ${showCpus(cpus)} carry ${most}. Give Odoo more CPUs, or a host of its own.`,
    );
  if (odooHere && odooWants > memoryBytes / 2)
    notes.push(
      `Odoo's ${wanted === 0 ? "threads" : `${wanted} workers`} want about ${Math.ceil(odooWants / MB)} MB, which is more than half of the memory: give this host more memory, or Odoo a host of its own.`,
    );
  // Not the workers that fit, but those that are wanted: who adds memory must not lose work_mem.
  const statements = (wanted === 0 ? SHARED_POOL_SIZE : wanted + others) + parallelWorkers(cpus);
  if (nodeBytes / statements < SHORT_MEMORY)
    notes.push(
      `${Math.floor(nodeBytes / MB)} MB for a node are short for ${statements} statements at once: add memory, or take fewer workers or nodes.`,
    );
  return {
    workers,
    cronThreads,
    statements,
    poolSize,
    websocketPoolSize,
    // Without a replica the pool for reads is on the primary too.
    connections: 2 * (pools + 1) + OWN_CONNECTIONS,
    odooBytes,
    nodeBytes,
    workersReason: reasonOf(),
    notes,
  };

  function reasonOf(): string {
    if (options.workers !== undefined) return "as given";
    if (workers < wanted) return `what fits into half of the memory, at 325 MB a process`;
    if (options.users !== undefined && forUsers <= most)
      return `one for ${USERS_PER_WORKER} people at once, ${FEWEST_WORKERS} at least`;
    return `2 × ${showCpus(cpus)} + 1`;
  }
}

/** Processes that help with one big query, on a node. */
export function parallelWorkers(cpus: number): number {
  return Math.min(64, Math.max(1, Math.floor(cpus)));
}

export function showCpus(cpus: number): string {
  const text = String(Math.round(cpus * 10) / 10);
  return `${text} ${text === "1" ? "CPU" : "CPUs"}`;
}
