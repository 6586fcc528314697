import { OWN_CONNECTIONS } from "../../config/settings/pools.ts";
import type { Figures, Load } from "../../config/settings/load.ts";

const MB = 1024 * 1024;
const GB = 1024 * MB;

/** A line of odoo.conf that fits the settings. */
export interface OdooLine {
  readonly name: string;
  readonly value: string;
  readonly reason: string;
}

/** Odoo's own limits, which it is given where there is memory enough (odoo/tools/config.py). */
const SOFT_LIMIT = 2 * GB;
/** Less than this, and workers end at ordinary reports. Odoo's documentation has it in its sample. */
const LEAST_SOFT_LIMIT = 640 * MB;

/** The lines of odoo.conf that belong to the load. They take the place of the db_maxconn that `odoo-conf` prints. */
export function odooLines(figures: Figures, load: Load): OdooLine[] {
  const { workers, cronThreads, poolSize, websocketPoolSize, connections } = load;
  const soft = softLimit(figures);
  return [
    {
      name: "workers",
      value: String(workers),
      reason: workers === 0 ? "as given: threads in one process" : load.workersReason,
    },
    {
      name: "max_cron_threads",
      value: String(cronThreads),
      reason: "scheduled actions must leave CPUs to people",
    },
    {
      name: "limit_memory_soft",
      value: String(soft),
      reason: `${soft / MB} MB: a worker above it ends after its request, and a fresh one starts${soft < SOFT_LIMIT ? "; two heavy requests fit into Odoo's half of the memory" : ""}`,
    },
    {
      name: "limit_memory_hard",
      // As far above as Odoo's own limits are.
      value: String(soft * 1.25),
      reason: `${(soft * 1.25) / MB} MB: a request above it fails, instead of the whole host`,
    },
    {
      name: "limit_time_cpu",
      value: "600",
      reason: "Odoo's 60 s cut off big reports and imports",
    },
    {
      name: "limit_time_real",
      value: "1200",
      reason: "the same, plus waits for the database",
    },
    {
      name: "limit_time_real_cron",
      value: "1800",
      reason: "below idle_in_transaction_session_timeout: else PostgreSQL ends the action's session first",
    },
    {
      name: "db_maxconn",
      value: String(poolSize),
      reason:
        workers === 0
          ? `one process for reads and for writes: at most ${connections - OWN_CONNECTIONS} connections`
          : `a worker serves one request at a time; with ${workers + cronThreads} workers, for reads and for writes, at most ${connections - OWN_CONNECTIONS} connections`,
    },
    ...(workers === 0
      ? []
      : [
          {
            name: "db_maxconn_gevent",
            value: String(websocketPoolSize),
            reason: "the process for websockets serves everyone at once",
          },
        ]),
  ];
}

function softLimit({ memoryBytes, odooHere }: Figures): number {
  if (!odooHere) return SOFT_LIMIT;
  const each = Math.floor(memoryBytes / 4 / (64 * MB)) * 64 * MB;
  return Math.min(SOFT_LIMIT, Math.max(LEAST_SOFT_LIMIT, each));
}
