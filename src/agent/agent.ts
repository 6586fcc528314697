import type { Install } from "../system/install.ts";
import { odooPg } from "../next-step.ts";
import type * as z from "zod";
import { isAnyPooled } from "../config/pooling.ts";
import { layoutOf, UPSTREAM, type Layout } from "../config/layout.ts";
import { identityOf } from "../model/observation.ts";
import { OdooPgError, toOdooPgError } from "../errors.ts";
import { findHaproxy, type HaproxyProgram } from "../endpoints/haproxy.ts";
import { Metrics } from "../metrics/gather.ts";
import { OdooFactsCache } from "../odoo/facts-cache.ts";
import { findInstallation } from "../postgres/installation.ts";
import { databaseBytes, databaseNames } from "../postgres/sql/facts.ts";
import { now, waitUntil } from "../system/clock.ts";
import type { Owner } from "../system/files/files.ts";
import { serveOnSocket } from "../system/network/http.ts";
import type { Log } from "../system/log.ts";
import type { Machine } from "../system/machine.ts";
import { ownPid } from "../system/process/process.ts";
import { operationEvent, upEvent } from "../events/of-operations.ts";
import { Alarms } from "../alarms/alarms.ts";
import { ArchiveKeeper } from "./archive-keeper.ts";
import { AttachmentsCompanion } from "./attachments-companion.ts";
import { BackupSchedule, runInBackground } from "./backup-schedule.ts";
import { ConsoleServer } from "../console/console.ts";
import { Gatherer } from "../console/gather/gatherer.ts";
import { awaitStreaming, bringUpServers } from "./bring-up.ts";
import { ChangeFinisher } from "./change-finisher.ts";
import { Complaints } from "./complaints.ts";
import { CopySchedule } from "./copy-schedule.ts";
import { EventWriter } from "./event-writer.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { Holds } from "../members/holds.ts";
import { ForeignPrimary } from "../members/foreign-primary.ts";
import { Endpoints } from "../services/endpoints.ts";
import { findPgbouncer } from "../endpoints/pgbouncer/program.ts";
import { Poolers } from "../services/poolers.ts";
import { serveHealth } from "./health.ts";
import { requireFittingRecord } from "./fitting-record.ts";
import { Loop, type Part } from "./loop.ts";
import { reportOfNode } from "./node-report.ts";
import { controlAnswers, type Orders } from "./server.ts";
import type { Progress } from "../progress.ts";
import { factsAccess } from "../members/facts-node.ts";
import type { Failover } from "../failover/failover.ts";
import { ManualFailover } from "../failover/manual/manual-failover.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { ReadPool } from "../services/read-pool.ts";
import { prepareStateDirectory } from "../store/possession.ts";
import { refuseNodeChanges } from "./removed-nodes.ts";
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
import { checkMissingWal } from "../members/missing-wal.ts";
import { recordTablespaces } from "../members/tablespaces.ts";
import {
  changeState,
  keepSettings,
  loadState,
  primaryOf,
  requireOwnPrimary,
  syncHandles,
  type Runtime,
} from "../members/runtime.ts";
import { ensurePasswords, readPassword } from "../store/secrets.ts";
import { readApplied, readState, writeApplied, writeState, type Applied } from "../store/state.ts";
import { Servers } from "../services/postgres.ts";
import { Supervisor } from "../services/supervisor.ts";
import { takeDownServers } from "./take-down.ts";
import { Samples } from "../observe/samples.ts";
import { OperationQueue } from "./operation-queue.ts";
import { StatusSource } from "../observe/status-source.ts";

/** Milliseconds for HAProxy to answer while a report is made: less than anybody waits for the report. */
const HAPROXY_TIMEOUT = 300;

/** Milliseconds between two looks at the size of the databases, for who asks, and for each: it costs a look at every file. */
const BYTES = { every: 5000, timeout: 150 };

/** The same for their names, which are cheap. */
const NAMES = { every: 500, timeout: 150 };

/** Milliseconds for the first look at it: before it there is nothing to tell. A status takes less than two seconds. */
const FIRST_BYTES = 700;

/** Milliseconds for replicas to join the read pool at `up`. */
const SETTLE_TIMEOUT = 30_000;

export interface AgentOptions {
  readonly stateDir: string;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly searchPath: string;
  readonly install: Install;
  readonly version: string;
  /** Tells this program from others of its version. */
  readonly build: string;
  /** How to start this same program again. */
  readonly program: readonly [string, string];
  readonly log: Log;
}

/** The process that keeps the nodes of one host in their wanted state. It may die at any time: the servers go on. */
export class Agent {
  readonly #options: AgentOptions;
  readonly #layout: Layout;
  readonly #backups: BackupSchedule;
  readonly #archive: ArchiveKeeper;
  readonly #attachments: AttachmentsCompanion;
  readonly #copies: CopySchedule;
  readonly #alarms = new Alarms();
  #runtime: Runtime | undefined;
  readonly #complaints: Complaints;
  readonly #supervisor: Supervisor;
  #servers: Servers | undefined;
  #endpoints: Endpoints | undefined;
  #poolers: Poolers | undefined;
  #pool: ReadPool | undefined;
  #failover: Failover | undefined;
  #keeping = false;
  readonly #operations: OperationQueue;
  readonly #eventWriter: EventWriter;
  readonly #finisher: ChangeFinisher;
  /** How the cluster is, for who asks inside the agent. */
  readonly statusSource: StatusSource;
  readonly samples: Samples;
  /** What is known of Odoo's databases, for who asks inside the agent. */
  readonly facts: OdooFactsCache;
  readonly #console: ConsoleServer;
  readonly #gatherer: Gatherer;
  #loadFailure: OdooPgError | undefined;
  #loop: Loop | undefined;
  #closers: (() => Promise<void>)[] = [];

  constructor(options: AgentOptions) {
    this.#options = options;
    this.#layout = layoutOf(options.stateDir);
    this.#backups = new BackupSchedule(runInBackground(options.program));
    this.#operations = new OperationQueue(options.log);
    this.#archive = new ArchiveKeeper({
      ...options,
      turns: this.#operations,
      clients: () => this.#poolers,
    });
    this.#attachments = new AttachmentsCompanion({ program: options.program, turns: this.#operations });
    this.#copies = new CopySchedule(options);
    this.#complaints = new Complaints(options.log);
    this.#supervisor = new Supervisor(options.log);
    this.#eventWriter = new EventWriter(this.#layout, options.owner);
    this.#finisher = new ChangeFinisher(
      this.#operations,
      (event) => this.#eventWriter.write(event),
      options.log,
    );
    this.statusSource = new StatusSource({
      layout: this.#layout,
      runtime: () => this.#runtime,
      failure: () => this.#loadFailure,
      report: async () => this.#reportWith((await this.#endpoints?.answered(HAPROXY_TIMEOUT)) ?? false),
    });
    this.samples = new Samples(options.stateDir, options.owner, this.statusSource);
    this.facts = new OdooFactsCache(() => factsAccess(this.#runtime));
    const metrics = new Metrics({
      runtime: () => this.#runtime,
      statusSource: this.statusSource,
      facts: this.facts,
      poolLeaves: () => this.#pool?.leaves ?? new Map(),
      version: options.version,
    });
    this.#gatherer = new Gatherer({
      stateDir: options.stateDir,
      runtime: () => this.#runtime,
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

  /** Takes the lock, opens the sockets, and looks after what runs already. @throws OdooPgError locked. */
  async open(): Promise<void> {
    const { owner } = this.#options;
    await prepareStateDirectory(this.#layout, owner);
    await takeLock(this.#layout.lockFile, ownPid);
    try {
      this.#closers.push(await serveHealth(this.#layout, (node) => this.#pool?.members.has(node) ?? false));
      const applied = await readApplied(this.#layout);
      if (applied)
        await this.#load({ ...applied, passwords: {} }).catch((error: unknown) => this.#notLoaded(error));
      this.#closers.push(await serveOnSocket(this.#layout.agentSocket, controlAnswers(this.#asOrders())));
      this.#closers.push(async () => await this.#console.close());
      this.#closers.push(async () => await this.#gatherer.close());
      if (applied) await this.#console.apply(applied.config);
    } catch (error) {
      await this.close();
      throw error;
    }
    this.#options.log(
      "info",
      `agent ${this.#options.version} (process ${ownPid}) looks after ${this.#layout.stateDir}`,
    );
  }

  /** What was applied last cannot be taken up, such as when its programs are gone: the next `up` may bring what can. */
  #notLoaded(error: unknown): void {
    this.#loadFailure = toOdooPgError(error);
    this.#options.log("warn", this.#loadFailure.message);
  }

  /** Looks and acts until `stop` or until the cluster was taken down. */
  async run(): Promise<void> {
    this.#loop = new Loop(this.#parts(), this.#complaints);
    await this.#loop.run(() => this.#operations.closed);
    await this.close();
  }

  /** Ends the agent; the servers go on. */
  stop(): void {
    this.#operations.close();
  }

  async close(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
    await this.#attachments.close();
    await this.#alarms.close();
    await this.#rights.close();
    for (const handle of this.#runtime?.nodes.values() ?? []) await handle.disconnect();
    await releaseLock(this.#layout.lockFile, ownPid);
  }

  /** Brings the cluster to the wanted state: see docs/architecture.md. Waits for its turn. @param by who asks */
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
    const kept = this.#runtime && {
      config: this.#runtime.config,
      configFile: this.#runtime.configFile,
      installation: this.#runtime.installation,
      passwords: this.#runtime.passwords,
    };
    const runtime = await this.#load(request);
    if (runtime.state.stopped) await changeState(runtime, { stopped: undefined });
    const [endpoints, poolers, failover] = [this.#endpoints, this.#poolers, this.#failover];
    if (!endpoints || !poolers || !failover) throw new Error("endpoints were not loaded");
    const openEndpoints = async (): Promise<void> => {
      this.#pool?.leadWrites(runtime.state.primary);
      // Clients may be waiting for a server: those of before a reload are out of reach of any later order.
      await this.#pool?.step().catch(() => {});
      // Before HAProxy leads clients to them, and after it leads none there any more.
      await poolers.ensure(runtime, progress);
      await endpoints.ensure(runtime, progress);
      await poolers.retire(runtime.config, progress);
      this.#keeping = true;
      // Commits may be waiting for a replica that does not answer: they are released before anybody waits for it.
      await this.#pool?.step();
    };
    let broughtUp: Awaited<ReturnType<typeof bringUpServers>>;
    try {
      await endpoints.check(runtime, before?.config, async (port) => await poolers.hold(port));
      await this.#archive.check(runtime);
      refuseNodeChanges(runtime, before?.config);
      await syncHandles(runtime);
      broughtUp = await bringUpServers(runtime, failover, before?.config, poolers, progress, openEndpoints);
    } catch (error) {
      // What was refused must not rule what is kept running.
      if (before && kept) {
        Object.assign(runtime, kept);
        await syncHandles(runtime);
      }
      throw error;
    }
    await writeApplied(this.#layout, {
      format: 1,
      config: runtime.config,
      major: runtime.installation.major,
      config_file: request.config_file,
    });
    await this.#console.apply(runtime.config);
    await openEndpoints();
    await this.#archive.begin(runtime, progress);
    const late = await awaitStreaming(runtime, failover, broughtUp.replicas, progress);
    await this.#pool?.step();
    const [problem] = [...broughtUp.problems, ...late];
    if (problem) throw problem;
    await this.#settlePool(progress);
    await endpoints.waitUntilAnswering(runtime, this.#pool?.members ?? new Set());
  }

  /** Waits until the replicas that may serve reads do: in read-your-writes that takes a proof. */
  async #settlePool(progress: Progress): Promise<void> {
    const pool = this.#pool;
    if (!pool) return;
    const settled = (): boolean =>
      pool.eligibilities.every(({ name, eligible }) => !eligible || pool.members.has(name));
    // A long statement on the primary may hold the proof up: the cluster is up all the same, and reads go to the primary.
    await waitUntil(settled, { what: "the replicas to join the read pool", timeout: SETTLE_TIMEOUT }).catch(
      () => progress.note("not every replica is in the read pool yet", odooPg("status", "--watch")),
    );
  }

  /** Stops endpoints and servers; the data stays. @param by who asks */
  async down(progress: Progress, by: string): Promise<void> {
    // Nobody waits hours for a copy that the end of the cluster makes useless.
    this.#runtime?.interruption.abort();
    await this.#operations.run("down", progress, async () => {
      const runtime = this.#runtime;
      this.#keeping = false;
      if (!runtime && this.#loadFailure) throw this.#loadFailure;
      if (!runtime) return;
      runtime.interruption = new AbortController();
      progress.step("haproxy", "stop");
      await this.#takeDownEndpoints();
      await this.#poolers?.stop();
      await takeDownServers(runtime, progress);
      await changeState(runtime, { stopped: { at: new Date(now()).toISOString(), by } });
      this.#eventWriter.write({ kind: "down", by, text: `${runtime.config.cluster} was stopped` });
    });
    this.stop();
  }

  async #takeDownEndpoints(): Promise<void> {
    const endpoints = this.#endpoints;
    await endpoints?.hold.take("stop");
    try {
      await endpoints?.stop("fast");
    } finally {
      endpoints?.hold.release();
    }
  }

  /** Carries out an operation on the running cluster. @throws OdooPgError not_running, or what the operation refuses. */
  async operate(request: z.output<typeof operationSchema>, progress: Progress, by: string): Promise<Outcome> {
    return await this.#operations.once(request, progress, async () => {
      const runtime = this.#runtime;
      const failover = this.#failover;
      if (!runtime || !failover || !this.#keeping) {
        throw new OdooPgError("not_running", {
          message: `The agent does not keep the cluster running yet.`,
          safe: "Nothing was changed.",
          next: odooPg("up"),
        });
      }
      if (request.dry_run) return await carryOut(request, failover, progress);
      const node = request.operation === "switchover" ? request.to : request.node;
      return await this.#eventWriter.of(
        { kind: request.operation, by, node },
        async () => await carryOut(request, failover, progress),
        () => operationEvent(request, by, runtime.state.history.at(-1)),
      );
    });
  }

  /** Finds programs and passwords for a configuration and makes what operations share. */
  async #load({ config, passwords: given, config_file }: ApplyRequest): Promise<Runtime> {
    const { owner, machine, log } = this.#options;
    const installation = await findInstallation(config.postgres, this.#options);
    const haproxy: HaproxyProgram = await findHaproxy(config.haproxy.program, this.#options);
    const pgbouncer = isAnyPooled(config)
      ? await findPgbouncer(config.pgbouncer.program, this.#options)
      : undefined;
    const state = await loadState(this.#layout, config);
    requireFittingRecord(state, config);
    // Written before anything else is made: by it the directory is recognised, also by `destroy`.
    if (!(await readState(this.#layout))) await writeState(this.#layout, state);
    const follows = state.primary === UPSTREAM ? config.upstream : undefined;
    const passwords = await ensurePasswords(this.#layout, given, owner, follows?.user);
    const runtime: Runtime = this.#runtime ?? {
      layout: this.#layout,
      owner,
      machine,
      log,
      config,
      configFile: config_file ?? undefined,
      installation,
      passwords,
      state,
      kept: {},
      nodes: new Map(),
      upstream: undefined,
      marks: [],
      held: new Holds(),
      startable: undefined,
      wake: () => this.#loop?.wake(),
      interruption: new AbortController(),
    };
    runtime.config = config;
    runtime.configFile = config_file ?? undefined;
    runtime.installation = installation;
    runtime.passwords = passwords;
    await keepSettings(runtime);
    await this.#archive.load(runtime);
    runtime.upstream = follows
      ? new ForeignPrimary(follows, (await readPassword(this.#layout, "upstream")) ?? "")
      : undefined;
    if (!this.#runtime) await syncHandles(runtime);
    this.#runtime = runtime;
    this.#servers ??= new Servers(runtime);
    this.#endpoints ??= new Endpoints(this.#layout, owner, log);
    this.#endpoints.program = haproxy;
    this.#poolers ??= new Poolers(runtime);
    this.#poolers.program = pgbouncer;
    const endpoints = this.#endpoints;
    this.#pool ??= new ReadPool(runtime, async (routing) => await endpoints.route(routing));
    this.#failover ??= new ManualFailover(runtime, this.#pool, this.#poolers);
    return runtime;
  }

  /** What is done at each look, in this order. Only a cluster that is kept running is more than looked at. */
  #parts(): Part[] {
    const kept = (act: (runtime: Runtime) => Promise<void> | void) => async (): Promise<void> => {
      if (this.#runtime && this.#keeping) await act(this.#runtime);
    };
    const supervisor = this.#supervisor;
    return [
      { name: "console", run: () => this.#console.tick() },
      { name: "look", run: async () => await this.#observeMembers() },
      {
        name: "tablespaces",
        run: kept(async (runtime) => await this.#eachNode(runtime, recordTablespaces)),
      },
      // A start may take minutes, and the pool must be looked after meanwhile.
      { name: "servers", run: kept(async (runtime) => await this.#superviseServers(runtime)), aside: true },
      { name: "replication log", run: kept((runtime) => this.#replicationLog.tick(runtime)) },
      // Also while a long operation goes on, such as the copy of a large node.
      {
        name: "haproxy",
        run: kept(async () => this.#endpoints && (await supervisor.check(this.#endpoints))),
      },
      { name: "pgbouncer", run: kept(async () => await this.#supervisePoolers()) },
      {
        name: "pgbouncer's roles",
        run: kept(async (runtime) => await this.#poolers?.tick(runtime)),
        aside: true,
      },
      { name: "read pool", run: kept(async () => await this.#pool?.step()) },
      { name: "missing WAL", run: kept(async (runtime) => await this.#eachNode(runtime, checkMissingWal)) },
      { name: "rights", run: kept(async (runtime) => await this.#rights.tick(runtime)), aside: true },
      { name: "failover", run: kept((runtime) => this.#finishChange(runtime)) },
      { name: "samples", run: kept(async (runtime) => await this.samples.tick(runtime)), aside: true },
      {
        name: "alarms",
        run: kept((runtime) => this.#alarms.tick(runtime, async () => await this.statusSource.status())),
      },
      { name: "archive", run: kept(async (runtime) => await this.#archive.tick(runtime)), aside: true },
      {
        name: "attachments",
        run: kept(async (runtime) => await this.#attachments.tick(runtime)),
        aside: true,
      },
      { name: "copies", run: kept(async (runtime) => await this.#copies.tick(runtime)) },
      { name: "backup", run: kept(async (runtime) => await this.#backups.tick(runtime)) },
    ];
  }

  async #observeMembers(): Promise<void> {
    const runtime = this.#runtime;
    if (!runtime) return;
    const members = [...runtime.nodes.values(), ...(runtime.upstream ? [runtime.upstream] : [])];
    await Promise.all(members.map(async (member) => await member.observeShared()));
    this.#eventWriter.observed(members);
  }

  async #superviseServers(runtime: Runtime): Promise<void> {
    const servers = this.#servers;
    if (!servers) return;
    const nodes = [...runtime.nodes.values()];
    await Promise.all(nodes.map(async (handle) => await this.#supervisor.check(servers.of(handle))));
  }

  async #supervisePoolers(): Promise<void> {
    for (const pooler of this.#poolers?.services ?? [])
      if (this.#keeping) await this.#supervisor.check(pooler);
  }

  #finishChange(runtime: Runtime): void {
    const answers = identityOf(primaryOf(runtime).observation) !== undefined;
    if (this.#failover) this.#finisher.tick(this.#failover, answers);
  }

  /** What fails at one node keeps nothing from the others. */
  async #eachNode(
    runtime: Runtime,
    act: (runtime: Runtime, handle: NodeHandle) => Promise<unknown>,
  ): Promise<void> {
    for (const handle of runtime.nodes.values())
      await act(runtime, handle).catch((error: unknown) => this.#complaints.of(handle.node.name, error));
  }

  readonly #rights = new DatabaseOwnership();
  readonly #replicationLog = new ReplicationLog();

  readonly #databaseBytes = new Cached({
    ...BYTES,
    read: async () => {
      const runtime = this.#runtime;
      return runtime && (await requireOwnPrimary(runtime).use(databaseBytes));
    },
  });

  readonly #databaseNames = new Cached({
    ...NAMES,
    read: async () => {
      const runtime = this.#runtime;
      return runtime && (await requireOwnPrimary(runtime).use(databaseNames));
    },
  });

  #asOrders(): Orders {
    return {
      report: async () => await this.report(),
      observations: async () => {
        const [nodes, bytes, databases] = await Promise.all([
          observeAll(this.#runtime?.nodes.values() ?? []),
          this.#databaseBytes.now(),
          this.#databaseNames.now(),
        ]);
        // Where the look takes long, what the last one saw.
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
          // A first launch that was refused leaves no process behind; servers that were started already go on.
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

  /** Who waits: where PgBouncer stands behind an endpoint, they wait there. */
  #waitingClients(): AgentReport["waiting_clients"] {
    const waiting = this.#endpoints?.waiting;
    return waiting ? { ...waiting, ...this.#poolers?.waiting() } : null;
  }

  async report(): Promise<AgentReport> {
    return this.#reportWith((await this.#endpoints?.answer(HAPROXY_TIMEOUT)) ?? false);
  }

  #reportWith(haproxy: boolean): AgentReport {
    const runtime = this.#runtime;
    return {
      pid: ownPid,
      version: this.#options.version,
      build: this.#options.build,
      keeping: this.#keeping,
      ending: this.#operations.closed,
      operation: this.#operations.current ?? null,
      primary: runtime?.state.primary ?? null,
      haproxy,
      pool: [...(this.#pool?.members ?? [])].sort(),
      waiting_clients: this.#waitingClients(),
      poolers: runtime && this.#poolers ? this.#poolers.status(runtime.config) : null,
      console: this.#console.account,
      overrides: [...(this.#pool?.overrides ?? [])],
      failing_channels: this.#alarms.failing,
      attachments: this.#attachments.kept,
      rights: { problem: this.#rights.problem, by_password: this.#rights.byPassword },
      nodes: [...(runtime?.nodes.values() ?? [])].map((handle) => reportOfNode(handle, this.#pool)),
    };
  }
}
