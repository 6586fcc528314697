import { Cached } from "../system/cached.ts";
import { factsNode } from "../members/facts-node.ts";
import type { Runtime } from "../members/runtime.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { Watch } from "../observe/watch.ts";
import { factsOf } from "../model/observation.ts";
import type { DiskUse } from "../cluster/view.ts";
import type { OdooFactsCache } from "../odoo/facts-cache.ts";
import { databaseSizes } from "../postgres/sql/facts.ts";
import { readStatistics, type ServerStatistics } from "../postgres/sql/statistics.ts";
import { monotonic, now } from "../system/clock.ts";
import { readOwnProcess } from "../system/process/own-process.ts";
import type { ClusterFigures } from "./cluster-metrics.ts";
import { metricsText, type NodeFigures } from "./metrics-text.ts";

/** Milliseconds that a scrape waits for one server: then it gets what was known before, and the look goes on. */
const WAIT = 300;
/** Milliseconds for the look itself, and for which what it brought may be told. */
const CONNECT_LIMIT = 1000;
const STATEMENT_LIMIT = 5000;
const KEPT = 60_000;
/** Milliseconds between two looks: two who scrape at once cost one. */
const EVERY = 1000;
/** pg_database_size() looks at every file of a database. */
const SIZES = { every: 300_000, limit: 30_000 };
/** Milliseconds that the first scrape waits for them: later ones are told what was seen last. */
const FIRST_SIZES = 2000;

export interface MetricsParts {
  /** Undefined while nothing was applied. */
  readonly runtime: () => Runtime | undefined;
  readonly watch: Watch;
  readonly facts: OdooFactsCache;
  /** How often each replica left the pool. */
  readonly poolLeaves: () => ReadonlyMap<string, number>;
  /** Of odoo-pg. */
  readonly version: string;
}

interface Looked {
  readonly at: number;
  readonly statistics: ServerStatistics;
  /** Seconds. */
  readonly duration: number;
}

/** What is looked at of one server, while somebody asks. */
interface NodeLooks {
  readonly statistics: Cached<Looked>;
  readonly sizes: Cached<ReadonlyMap<string, number>>;
}

/** Gathers what the metrics tell, with one query for each server. Nothing is looked at while nobody asks. */
export class Metrics {
  readonly #parts: MetricsParts;
  readonly #looks = new WeakMap<NodeHandle, NodeLooks>();

  constructor(parts: MetricsParts) {
    this.#parts = parts;
  }

  /** The text of `/metrics`. A server that does not answer costs at most 300 ms. Never throws for what is down. */
  async text(): Promise<string> {
    const start = monotonic();
    const runtime = this.#parts.runtime();
    const [nodes, figures] = await Promise.all([
      Promise.all([...(runtime?.nodes.values() ?? [])].map(async (handle) => await this.#node(handle))),
      this.#figures(runtime),
    ]);
    const looked = runtime && factsNode(runtime)?.node.name;
    return metricsText({
      cluster: runtime?.config.cluster ?? "",
      version: this.#parts.version,
      nodes: nodes.map(({ name, figures }) => ({ ...figures, looked: name === looked })),
      figures,
      odoo: this.#parts.facts.ask(odooCandidates(nodes.find(({ name }) => name === looked)?.figures)),
      process: readOwnProcess(),
      now: now(),
      duration: (monotonic() - start) / 1000,
    });
  }

  async #node(
    handle: NodeHandle,
  ): Promise<{ readonly name: string; readonly figures: Omit<NodeFigures, "looked"> }> {
    const { name, host, port } = handle.node;
    const answers = factsOf(handle.observation) !== undefined;
    // The agent has just looked: one that did not answer is not asked again.
    const looks = answers ? this.#looksOf(handle) : undefined;
    const seen = looks && ((await looks.statistics.now()) ?? looks.statistics.last());
    const looked = seen && monotonic() - seen.at < KEPT ? seen : undefined;
    return {
      name,
      figures: {
        instance: `${host}:${port}`,
        answers,
        statistics: looked?.statistics,
        duration: looked?.duration,
        sizes: await looks?.sizes.lastOrFirst(FIRST_SIZES),
      },
    };
  }

  #looksOf(handle: NodeHandle): NodeLooks {
    const present = this.#looks.get(handle);
    if (present) return present;
    const looks: NodeLooks = {
      statistics: new Cached({ every: EVERY, limit: WAIT, look: async () => await look(handle) }),
      sizes: new Cached({ ...SIZES, look: async () => await handle.use(databaseSizes) }),
    };
    this.#looks.set(handle, looks);
    return looks;
  }

  async #figures(runtime: Runtime | undefined): Promise<ClusterFigures | undefined> {
    if (!runtime) return undefined;
    const { watch, poolLeaves } = this.#parts;
    const { config } = runtime;
    const disks = config.nodes.map(async (node): Promise<readonly [string, DiskUse | undefined]> => [
      node.name,
      await watch.disk(node),
    ]);
    const [status, backups, ...looked] = await Promise.all([watch.status(), watch.backups(), ...disks]);
    return {
      config,
      status,
      backups,
      disks: new Map(looked.flatMap(([name, disk]) => (disk ? [[name, disk]] : []))),
      poolLeaves: poolLeaves(),
    };
  }
}

async function look(handle: NodeHandle): Promise<Looked> {
  const start = monotonic();
  const major = Number.parseInt(factsOf(handle.observation)?.version ?? "", 10);
  const statistics = await handle.superuser.use(async (session) => await readStatistics(session, major), {
    applicationName: "odoo-pg agent",
    connectLimit: CONNECT_LIMIT,
    statementLimit: STATEMENT_LIMIT,
    settings: { jit: "off", statement_timeout: `${STATEMENT_LIMIT}ms` },
  });
  return { at: monotonic(), statistics, duration: (monotonic() - start) / 1000 };
}

/** Databases that may be Odoo's. Those in the making are nobody's business yet. */
function odooCandidates(node: Omit<NodeFigures, "looked"> | undefined): string[] {
  return (node?.statistics?.databases ?? [])
    .filter(
      ({ datname, connectable, template }) =>
        connectable && !template && datname !== "postgres" && !datname.startsWith("odoo_pg_"),
    )
    .map(({ datname }) => datname);
}
