import { odooPg } from "../next-step.ts";
import type * as z from "zod";
import { layoutOf, type Layout, type NodeConfig } from "../config/layout.ts";
import { identityOf } from "../model/observation.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { Metrics } from "../metrics/gather.ts";
import { OdooFactsCache } from "../odoo/facts-cache.ts";
import { databaseBytes, databaseNames } from "../postgres/sql/observing/facts.ts";
import { now, waitUntil } from "../system/clock.ts";
import type { Owner } from "../system/files/files.ts";
import { serveOnSocket } from "../system/network/http.ts";
import type { Log } from "../system/log.ts";
import type { Session } from "../system/sql/sql.ts";
import type { Machine } from "../system/machine.ts";
import { ownPid } from "../system/process/process.ts";
import { operationEvent, upEvent } from "../events/of-operations.ts";
import { Alarms } from "../alarms/alarms.ts";
import { applyConfiguration, dropArchiveCommand } from "../services/configure.ts";
import { ArchiveKeeper } from "./backups/archive-keeper.ts";
import { AttachmentsCompanion } from "./backups/attachments-companion.ts";
import { BackupSchedule, runInBackground } from "./backups/backup-schedule.ts";
import { ConsoleServer } from "../console/console.ts";
import { Gatherer } from "../console/gather/gatherer.ts";
import { BeforeUp } from "./up-and-down/before-up.ts";
import { awaitStreaming, bringUpServers } from "./up-and-down/bring-up.ts";
import { ChangeFinisher } from "./change-finisher.ts";
import { CopySchedule } from "./backups/copy-schedule.ts";
import { EventWriter } from "./event-writer.ts";
import { takeUp, type KeptCluster } from "./kept-cluster.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { Endpoints } from "../services/endpoints.ts";
import type { Poolers } from "../services/poolers.ts";
import { serveHealth } from "./control/health.ts";
import { AgentLife } from "./life.ts";
import type { Part } from "./loop.ts";
import { controlAnswers, type Orders } from "./control/server.ts";
import type { Progress } from "../progress.ts";
import { factsAccess } from "../members/facts-node.ts";
import type { ReadPool } from "../services/read-pool.ts";
import { recordBegunNodes, refuseNodeChanges } from "./up-and-down/removed-nodes.ts";
import { carryOut } from "./operations.ts";
import type {
  AgentReport,
  ApplyRequest,
  operationSchema,
  Outcome,
} from "../cluster/documents/agent-report.ts";
import { DatabaseOwnership } from "./database-ownership.ts";
import { ReplicationLog } from "./replication-log.ts";
import { observeAll } from "../members/observations.ts";
import { Cached } from "../system/cached.ts";
import { calledAnywhere } from "../system/called.ts";
import { checkMissingWal } from "../members/missing-wal.ts";
import { recordTablespaces } from "../members/tablespaces.ts";
import {
  changeState,
  primaryName,
  primaryOf,
  requireOwnPrimary,
  syncHandles,
  type Runtime,
} from "../members/runtime.ts";
import { readApplied, writeApplied, type Applied } from "../store/state.ts";
import { Supervisor } from "../services/supervisor.ts";
import { takeDownServers } from "./up-and-down/take-down.ts";
import { Samples } from "../observe/samples.ts";
import { StatementWatch } from "../observe/statement-watch.ts";
import { OperationQueue } from "./operation-queue.ts";
import { reportOf } from "./report.ts";
import type { ProgramSearch } from "../system/install.ts";
import { StatusSource } from "../observe/status-source.ts";

/** Milliseconds for HAProxy to answer while a report is made: less than anyone waits for the report. */
const HAPROXY_TIMEOUT = 300;

/** Milliseconds between two reads of the databases' sizes, on request: each reads every file's size. */
const BYTES = { every: 5000, timeout: 150 };

/** The same for their names, which are cheap. */
const NAMES = { every: 500, timeout: 150 };

/** Milliseconds that a report waits for the first observations. A status takes less than two seconds. */
const FIRST_BYTES = 700;

/** Milliseconds for replicas to join the read pool at `up`. */
const SETTLE_TIMEOUT = 30_000;

export interface AgentOptions extends ProgramSearch {
  readonly stateDir: string;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly version: string;
  /** Distinguishes this program from others of the same version. */
  readonly build: string;
  /** How to start this same program again. */
  readonly program: readonly [string, string];
  readonly log: Log;
}

/** The process that keeps the nodes of one host in their desired state. It may die at any time: the servers go on. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #layout: Layout;
  readonly #backups: BackupSchedule;
  readonly #archive: ArchiveKeeper;
  readonly #attachments: AttachmentsCompanion;
  readonly #copies: CopySchedule;
  readonly #alarms: Alarms;
  readonly #life: AgentLife;
  readonly #supervisor: Supervisor;
  /** What was applied; undefined before the first configuration. */
  #cluster: KeptCluster | undefined;
  /** Whether it is kept running, not only observed. */
  #keeping = false;
  readonly #operations: OperationQueue;
  readonly #eventWriter: EventWriter;
  readonly #finisher: ChangeFinisher;
  /** The state of the cluster, for parts of the agent that ask. */
  readonly statusSource: StatusSource;
  readonly samples: Samples;
  readonly #statements: StatementWatch;
  /** Facts of Odoo's databases, for the parts of the agent that need them. */
  readonly facts: OdooFactsCache;
  readonly #console: ConsoleServer;
  readonly #gatherer: Gatherer;
  readonly #rights = new DatabaseOwnership();
  readonly #replicationLog = new ReplicationLog();
  readonly #databaseBytes = new Cached({ ...BYTES, read: async () => await this.#ofPrimary(databaseBytes) });
  readonly #databaseNames = new Cached({ ...NAMES, read: async () => await this.#ofPrimary(databaseNames) });
  #loadFailure: OdooPgError | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#layout = layoutOf(options.stateDir);
    this.#backups = new BackupSchedule(runInBackground(options.program));
    const called = calledAnywhere(options.program);
    this.#alarms = new Alarms(called);
    this.#operations = new OperationQueue(options.log);
    this.#archive = new ArchiveKeeper({
      ...options,
      turns: this.#operations,
      server: {
        apply: async (runtime, progress) => {
          const clients = this.#cluster?.clients;
          if (clients) await applyConfiguration(runtime, clients, progress);
        },
        drop: dropArchiveCommand,
      },
    });
    this.#attachments = new AttachmentsCompanion({ program: options.program, turns: this.#operations });
    this.#copies = new CopySchedule(options);
    this.#life = new AgentLife(this.#layout, options.owner, options.log, async () => await this.#leave());
    this.#supervisor = new Supervisor(options.log);
    this.#eventWriter = new EventWriter(this.#layout, options.owner);
    this.#finisher = new ChangeFinisher(
      this.#operations,
      (event) => this.#eventWriter.write(event),
      options.log,
    );
    this.statusSource = new StatusSource({
      layout: this.#layout,
      runtime: () => this.#cluster?.runtime,
      failure: () => this.#loadFailure,
      report: async () =>
        this.#reportWith((await this.#cluster?.endpoints.answered(HAPROXY_TIMEOUT)) ?? false),
    });
    this.samples = new Samples(options.stateDir, options.owner, this.statusSource);
    this.#statements = new StatementWatch(options.stateDir);
    this.facts = new OdooFactsCache(() => factsAccess(this.#cluster?.runtime));
    const metrics = new Metrics({
      runtime: () => this.#cluster?.runtime,
      statusSource: this.statusSource,
      facts: this.facts,
      poolLeaves: () => this.#cluster?.pool.leaves ?? new Map(),
      version: options.version,
    });
    this.#gatherer = new Gatherer({
      stateDir: options.stateDir,
      called,
      runtime: () => this.#cluster?.runtime,
      statusSource: this.statusSource,
      samples: this.samples,
      odoo: this.facts,
    });
    this.#console = new ConsoleServer({
      layout: this.#layout,
      hostname: options.machine.hostname,
      program: options.program,
      source: this.#gatherer,
      metrics: async () => await metrics.text(),
      log: options.log,
    });
  }

  /** Takes the lock, opens the sockets, and looks after what is already running. @throws OdooPgError locked. */
  async open(): Promise<void> {
    await this.#life.open(async (closed) => {
      closed(await serveHealth(this.#layout, (node) => this.#cluster?.pool.members.has(node) ?? false));
      const applied = await readApplied(this.#layout);
      if (applied)
        await this.#takeUp({ ...applied, passwords: {} }).catch((error: unknown) => this.#notLoaded(error));
      closed(await serveOnSocket(this.#layout.agentSocket, controlAnswers(this.#asOrders())));
      closed(
        async () => await this.#console.close(),
        async () => await this.#gatherer.close(),
      );
      if (applied) await this.#console.apply(applied.config);
    });
    this.#options.log(
      "info",
      `agent ${this.#options.version} (process ${ownPid}) looks after ${this.#layout.stateDir}`,
    );
  }

  /** What was applied last cannot be used, such as when its programs are gone: the next `up` may bring what can. */
  #notLoaded(error: unknown): void {
    this.#loadFailure = toOdooPgError(error);
    this.#options.log("warn", this.#loadFailure.message);
  }

  /** Observes and acts until `stop`, or until the cluster was taken down. */
  async run(): Promise<void> {
    await this.#life.run(this.#parts(), () => this.#operations.closed);
  }

  /** Ends the agent; the servers keep running. */
  stop(): void {
    this.#operations.close();
  }

  async close(): Promise<void> {
    await this.#life.close();
  }

  async #leave(): Promise<void> {
    await this.#attachments.close();
    await this.#alarms.close();
    await this.#rights.close();
    for (const handle of this.#cluster?.runtime?.nodes.values() ?? []) await handle.disconnect();
  }

  /** Brings the cluster to the desired state: see docs/architecture.md. Waits for its turn. @param by who asks */
  async apply(request: ApplyRequest, progress: Progress, by: string): Promise<void> {
    await this.#operations.run("up", progress, async () => {
      const before = await readApplied(this.#layout);
      const { cluster } = request.config;
      await this.#eventWriter.of(
        { kind: "up", by },
        async () => await this.#apply(request, before, progress),
        () => upEvent(by, cluster, before?.config, request.config),
      );
    });
  }

  async #apply(request: ApplyRequest, before: Applied | undefined, progress: Progress): Promise<void> {
    const former = before && this.#cluster && new BeforeUp(this.#cluster);
    let opened = false;
    let begun: readonly NodeConfig[] = [];
    const openEndpoints = async ({ runtime, endpoints, poolers, pool }: KeptCluster): Promise<void> => {
      opened = true;
      pool.leadWrites(primaryName(runtime));
      // Clients may be waiting for a server: those from before a reload are out of reach of any later order. Where this step
      // fails, the loop's next one tells.
      await pool.step().catch(() => {});
      // Before HAProxy sends clients to them, and after it no longer does.
      await poolers.ensure(runtime, progress);
      await endpoints.ensure(runtime, progress);
      await poolers.retire(runtime.config, progress);
      this.#keeping = true;
      // Commits may be waiting for a replica that does not answer: they are released before anybody waits for it.
      await pool.step();
    };
    // What was refused must not rule what is kept running.
    const asBefore = async (): Promise<void> => {
      const cluster = this.#cluster;
      if (!former || !cluster) return;
      await former.restore(begun);
      await this.#archive.back(cluster.runtime);
      if (!opened) return;
      await openEndpoints(cluster).catch((error: unknown) =>
        cluster.runtime.log("warn", `The endpoints are not as before yet: ${String(error)}`),
      );
    };
    const cluster = await this.#takeUp(request).catch(async (error: unknown) => {
      await asBefore();
      throw error;
    });
    const { runtime, endpoints, poolers, clients, pool, failover } = cluster;
    if (runtime.state.stopped) await changeState(runtime, { stopped: undefined });
    let broughtUp: Awaited<ReturnType<typeof bringUpServers>>;
    try {
      const ports = await endpoints.neededPorts(
        runtime,
        before?.config,
        async (port) => await poolers.hold(port),
      );
      await this.#archive.check(runtime);
      refuseNodeChanges(runtime, before?.config);
      begun = await recordBegunNodes(runtime, before?.config);
      await syncHandles(runtime);
      broughtUp = await bringUpServers(runtime, failover, before?.config, clients, progress, {
        ports,
        beforeChange: async () => await this.#archive.endIfOff(runtime),
        beforeSeeding: async () => await openEndpoints(cluster),
      });
    } catch (error) {
      await asBefore();
      throw error;
    }
    await writeApplied(this.#layout, {
      format: 1,
      config: runtime.config,
      major: runtime.installation.major,
      config_file: request.config_file,
    });
    await this.#console.apply(runtime.config);
    await openEndpoints(cluster);
    await this.#archive.begin(runtime, progress);
    const late = await awaitStreaming(runtime, failover, broughtUp.replicas, progress);
    await pool.step();
    const [problem] = [...broughtUp.problems, ...late];
    if (problem) throw problem;
    await settle(pool, progress);
    await endpoints.waitUntilAnswering(runtime, pool.members);
  }

  /** Stops endpoints and servers; the data stays. @param by who asks */
  async down(progress: Progress, by: string): Promise<void> {
    // No one should wait hours for a copy that the end of the cluster makes useless.
    this.#cluster?.runtime.interruption.abort();
    await this.#operations.run("down", progress, async () => {
      this.#keeping = false;
      if (!this.#cluster && this.#loadFailure) throw this.#loadFailure;
      if (!this.#cluster) return;
      const { runtime, endpoints, poolers } = this.#cluster;
      runtime.interruption = new AbortController();
      progress.step("haproxy", "stop");
      await takeDown(endpoints);
      await poolers.stop();
      await takeDownServers(runtime, progress);
      await changeState(runtime, { stopped: { at: new Date(now()).toISOString(), by } });
      this.#eventWriter.write({ kind: "down", by, text: `${runtime.config.cluster} was stopped` });
    });
    this.stop();
  }

  /** Carries out an operation on the running cluster. @throws OdooPgError not_running, or what the operation refuses. */
  async operate(request: z.output<typeof operationSchema>, progress: Progress, by: string): Promise<Outcome> {
    return await this.#operations.once(request, progress, async () => {
      if (!this.#cluster || !this.#keeping) {
        throw new OdooPgError("not_running", {
          message: `The agent does not keep the cluster running yet.`,
          safe: "Nothing was changed.",
          next: odooPg("up"),
        });
      }
      const { runtime, failover } = this.#cluster;
      if (request.dry_run) return await carryOut(request, failover, progress);
      await this.#archive.beforeOperation(runtime);
      const node = request.operation === "switchover" ? request.to : request.node;
      return await this.#eventWriter.of(
        { kind: request.operation, by, node },
        async () => await carryOut(request, failover, progress),
        () => operationEvent(request, by, runtime.state.history.at(-1)),
      );
    });
  }

  async #takeUp(request: ApplyRequest): Promise<KeptCluster> {
    this.#cluster = await takeUp(request, this.#cluster, {
      ...this.#options,
      layout: this.#layout,
      wake: () => this.#life.wake(),
      loadArchive: async (runtime) => await this.#archive.load(runtime),
    });
    return this.#cluster;
  }

  /** The parts of each turn of the loop, in this order. A cluster that is not kept running is only observed. */
  #parts(): Part[] {
    const kept = (act: (cluster: KeptCluster) => Promise<void> | void) => async (): Promise<void> => {
      if (this.#cluster && this.#keeping) await act(this.#cluster);
    };
    const supervisor = this.#supervisor;
    return [
      { name: "console", run: () => this.#console.tick() },
      { name: "look", run: async () => await this.#observeMembers() },
      {
        name: "connections of others",
        run: kept(
          async ({ runtime, endpoints }) =>
            await endpoints.tellOthers([...runtime.nodes.values()].map(({ observation }) => observation)),
        ),
        aside: true,
      },
      {
        name: "tablespaces",
        run: kept(async ({ runtime }) => await this.#eachNode(runtime, recordTablespaces)),
      },
      // A start may take minutes, and the pool must be looked after meanwhile.
      { name: "servers", run: kept(async (cluster) => await this.#superviseServers(cluster)), aside: true },
      { name: "replication log", run: kept(({ runtime }) => this.#replicationLog.tick(runtime)) },
      // Even during a long operation, such as the copy of a large node.
      {
        name: "haproxy",
        run: kept(async ({ endpoints }) => await supervisor.check(endpoints)),
      },
      { name: "pgbouncer", run: kept(async ({ poolers }) => await this.#supervisePoolers(poolers)) },
      {
        name: "pgbouncer's roles",
        run: kept(async ({ runtime, poolers }) => await poolers.tick(runtime)),
        aside: true,
      },
      { name: "read pool", run: kept(async ({ pool }) => await pool.step()) },
      {
        name: "missing WAL",
        run: kept(async ({ runtime }) => await this.#eachNode(runtime, checkMissingWal)),
      },
      { name: "rights", run: kept(async ({ runtime }) => await this.#rights.tick(runtime)), aside: true },
      { name: "failover", run: kept((cluster) => this.#finishChange(cluster)) },
      { name: "samples", run: kept(async ({ runtime }) => await this.samples.tick(runtime)), aside: true },
      {
        name: "statements",
        run: kept(async ({ runtime }) => await this.#statements.tick(runtime)),
        aside: true,
      },
      {
        name: "alarms",
        run: kept(({ runtime }) => this.#alarms.tick(runtime, async () => await this.statusSource.status())),
      },
      { name: "archive", run: kept(async ({ runtime }) => await this.#archive.tick(runtime)), aside: true },
      {
        name: "attachments",
        run: kept(async ({ runtime }) => await this.#attachments.tick(runtime)),
        aside: true,
      },
      { name: "copies", run: kept(async ({ runtime }) => await this.#copies.tick(runtime)) },
      { name: "backup", run: kept(async ({ runtime }) => await this.#backups.tick(runtime)) },
    ];
  }

  async #observeMembers(): Promise<void> {
    const runtime = this.#cluster?.runtime;
    if (!runtime) return;
    const members = [...runtime.nodes.values(), ...(runtime.upstream ? [runtime.upstream] : [])];
    await Promise.all(members.map(async (member) => await member.observeShared()));
    this.#eventWriter.observed(members);
  }

  async #superviseServers({ runtime, servers }: KeptCluster): Promise<void> {
    const nodes = [...runtime.nodes.values()];
    await Promise.all(nodes.map(async (handle) => await this.#supervisor.check(servers.of(handle))));
  }

  async #supervisePoolers(poolers: Poolers): Promise<void> {
    for (const pooler of poolers.services) if (this.#keeping) await this.#supervisor.check(pooler);
  }

  #finishChange({ runtime, failover }: KeptCluster): void {
    this.#finisher.tick(failover, identityOf(primaryOf(runtime).observation) !== undefined);
  }

  /** What fails at one node must not hold up the others. */
  async #eachNode(
    runtime: Runtime,
    act: (runtime: Runtime, handle: NodeHandle) => Promise<unknown>,
  ): Promise<void> {
    for (const handle of runtime.nodes.values())
      await act(runtime, handle).catch((error: unknown) => this.#life.complaints.of(handle.node.name, error));
  }

  /** Undefined before a configuration was applied. */
  async #ofPrimary<T>(ask: (session: Session) => Promise<T>): Promise<T | undefined> {
    const runtime = this.#cluster?.runtime;
    return runtime && (await requireOwnPrimary(runtime).use(ask));
  }

  #asOrders(): Orders {
    return {
      report: async () => await this.report(),
      observations: async () => {
        const [nodes, bytes, databases] = await Promise.all([
          observeAll(this.#cluster?.runtime?.nodes.values() ?? []),
          this.#databaseBytes.now(),
          this.#databaseNames.now(),
        ]);
        // The former value, if the read takes long.
        return {
          nodes,
          database_bytes: bytes ?? (await this.#databaseBytes.lastOrFirst(FIRST_BYTES)) ?? null,
          databases: databases ?? null,
        };
      },
      apply: async (request, progress, by) => {
        try {
          await this.apply(request, progress, by);
        } catch (error) {
          // A first launch that was refused leaves no process behind; servers that were already started keep running.
          if (!this.#keeping && this.#operations.empty) this.stop();
          throw error;
        }
      },
      operate: async (request, progress, by) => await this.operate(request, progress, by),
      consoleLink: () => this.#console.newLink(),
      down: async (progress, by) => await this.down(progress, by),
      stop: () => this.stop(),
    };
  }

  async report(): Promise<AgentReport> {
    return this.#reportWith((await this.#cluster?.endpoints.answer(HAPROXY_TIMEOUT)) ?? false);
  }

  #reportWith(haproxy: boolean): AgentReport {
    return {
      ...reportOf(this.#cluster),
      pid: ownPid,
      version: this.#options.version,
      build: this.#options.build,
      keeping: this.#keeping,
      ending: this.#operations.closed,
      operation: this.#operations.current ?? null,
      haproxy,
      console: this.#console.account,
      failing_channels: this.#alarms.failing,
      attachments: this.#attachments.kept,
      rights: { problem: this.#rights.problem, by_password: this.#rights.byPassword },
    };
  }
}

async function takeDown(endpoints: Endpoints): Promise<void> {
  await endpoints.hold.take("stop");
  try {
    await endpoints.stop("fast");
  } finally {
    endpoints.hold.release();
  }
}

/** Waits until the replicas that may serve reads do: in read-your-writes that takes a proof. */
async function settle(pool: ReadPool, progress: Progress): Promise<void> {
  const settled = (): boolean =>
    pool.eligibilities.every(({ name, eligible }) => !eligible || pool.members.has(name));
  // A long statement on the primary may hold up the proof: the cluster is up all the same, and reads go to the primary.
  await waitUntil(settled, { what: "the replicas to join the read pool", timeout: SETTLE_TIMEOUT }).catch(
    () => progress.note("not every replica is in the read pool yet", odooPg("status", "--watch")),
  );
}
