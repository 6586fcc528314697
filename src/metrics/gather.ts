import { Cached } from "../system/cached.ts";
import { factsNode } from "../members/facts-node.ts";
import type { Runtime } from "../members/runtime.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { StatusSource } from "../observe/status-source.ts";
import { factsOf } from "../model/observation.ts";
import type { DiskUse } from "../cluster/view.ts";
import type { OdooFactsCache } from "../odoo/facts-cache.ts";
import { databaseSizes } from "../postgres/sql/observing/facts.ts";
import { readStatistics, type ServerStatistics } from "../postgres/sql/observing/statistics.ts";
import { monotonic, now } from "../system/clock.ts";
import { readOwnProcess } from "../system/process/own-process.ts";
import type { ClusterFigures } from "./cluster-metrics.ts";
import type { HostsFigures } from "./hosts-metrics.ts";
import { metricsText, type NodeFigures } from "./metrics-text.ts";

/** Milliseconds that a scrape waits for one server: then it gets the former values, and the query goes on. */
const WAIT = 300;
/** Milliseconds for the query itself, and for which its values may be reported. */
const CONNECT_TIMEOUT = 1000;
const STATEMENT_TIMEOUT = 5000;
const KEPT = 60_000;
/** Milliseconds between two queries: two scrapes at the same time cost one. */
const EVERY = 1000;
/** pg_database_size() reads the size of every file of a database. */
const SIZES = { every: 300_000, timeout: 30_000 };
/** Milliseconds that the first scrape waits for them: later ones get what was seen last. */
const FIRST_SIZES = 2000;

export interface MetricsParts {
  /** Undefined while nothing was applied. */
  readonly runtime: () => Runtime | undefined;
  readonly statusSource: Pick<StatusSource, "status" | "disk" | "backups">;
  readonly facts: OdooFactsCache;
  /** How often each replica left the pool; undefined where it is not counted. */
  readonly poolLeaves: () => ReadonlyMap<string, number> | undefined;
  /** With several hosts: how they are. */
  readonly hosts?: () => Promise<HostsFigures>;
  /** Of odoo-pg. */
  readonly version: string;
}

interface Reading {
  readonly at: number;
  readonly statistics: ServerStatistics;
  /** Seconds. */
  readonly duration: number;
}

/** The values queried from one server, each no more often than it is worth while metrics are scraped. */
interface NodeCaches {
  readonly statistics: Cached<Reading>;
  readonly sizes: Cached<ReadonlyMap<string, number>>;
}

/** Gathers what the metrics tell, with one query for each server. Nothing is queried while there is no scrape. */
export class Metrics {
  readonly #parts: MetricsParts;
  readonly #caches = new WeakMap<NodeHandle, NodeCaches>();

  constructor(parts: MetricsParts) {
    this.#parts = parts;
  }

  /** The text of `/metrics`. A server that does not answer costs at most 300 ms. Never throws for what is down. */
  async text(): Promise<string> {
    const start = monotonic();
    const runtime = this.#parts.runtime();
    const [nodes, figures, hosts] = await Promise.all([
      Promise.all([...(runtime?.nodes.values() ?? [])].map(async (handle) => await this.#node(handle))),
      this.#figures(runtime),
      this.#parts.hosts?.(),
    ]);
    // One host reports what concerns the cluster as a whole.
    const tellsAll = hosts?.leads ?? true;
    const observed = runtime && tellsAll ? factsNode(runtime)?.node.name : undefined;
    return metricsText({
      cluster: hosts?.cluster ?? runtime?.config.cluster ?? "",
      version: this.#parts.version,
      nodes: nodes.map(({ name, figures }) => ({ ...figures, observed: name === observed })),
      figures,
      hosts,
      odoo: this.#parts.facts.ask(odooCandidates(nodes.find(({ name }) => name === observed)?.figures)),
      process: readOwnProcess(),
      now: now(),
      duration: (monotonic() - start) / 1000,
    });
  }

  async #node(
    handle: NodeHandle,
  ): Promise<{ readonly name: string; readonly figures: Omit<NodeFigures, "observed"> }> {
    const { name, host, port } = handle.node;
    const answers = factsOf(handle.observation) !== undefined;
    // The agent has just looked: one that did not answer is not asked again.
    const caches = answers ? this.#cachesOf(handle) : undefined;
    const seen = caches && ((await caches.statistics.now()) ?? caches.statistics.last());
    const observed = seen && monotonic() - seen.at < KEPT ? seen : undefined;
    return {
      name,
      figures: {
        instance: `${host}:${port}`,
        answers,
        statistics: observed?.statistics,
        duration: observed?.duration,
        sizes: await caches?.sizes.lastOrFirst(FIRST_SIZES),
      },
    };
  }

  #cachesOf(handle: NodeHandle): NodeCaches {
    const present = this.#caches.get(handle);
    if (present) return present;
    const caches: NodeCaches = {
      statistics: new Cached({
        every: EVERY,
        timeout: WAIT,
        read: async () => await timedStatistics(handle),
      }),
      sizes: new Cached({ ...SIZES, read: async () => await handle.use(databaseSizes) }),
    };
    this.#caches.set(handle, caches);
    return caches;
  }

  async #figures(runtime: Runtime | undefined): Promise<ClusterFigures | undefined> {
    if (!runtime) return undefined;
    const { statusSource, poolLeaves } = this.#parts;
    const { config } = runtime;
    const disks = config.nodes.map(async (node): Promise<readonly [string, DiskUse | undefined]> => [
      `${node.host}:${node.port}`,
      await statusSource.disk(node),
    ]);
    const [status, backups, ...observed] = await Promise.all([
      statusSource.status(),
      statusSource.backups(),
      ...disks,
    ]);
    return {
      config,
      status,
      backups,
      disks: new Map(observed.flatMap(([name, disk]) => (disk ? [[name, disk]] : []))),
      poolLeaves: poolLeaves(),
    };
  }
}

async function timedStatistics(handle: NodeHandle): Promise<Reading> {
  const start = monotonic();
  const major = Number.parseInt(factsOf(handle.observation)?.version ?? "", 10);
  const statistics = await handle.superuser.use(async (session) => await readStatistics(session, major), {
    applicationName: "odoo-pg agent",
    connectTimeout: CONNECT_TIMEOUT,
    statementTimeout: STATEMENT_TIMEOUT,
    settings: { jit: "off", statement_timeout: `${STATEMENT_TIMEOUT}ms` },
  });
  return { at: monotonic(), statistics, duration: (monotonic() - start) / 1000 };
}

/** Databases that may be Odoo's. Those in the making do not count yet. */
function odooCandidates(node: Omit<NodeFigures, "observed"> | undefined): string[] {
  return (node?.statistics?.databases ?? [])
    .filter(
      ({ datname, connectable, template }) =>
        connectable && !template && datname !== "postgres" && !datname.startsWith("odoo_pg_"),
    )
    .map(({ datname }) => datname);
}
