import type { Config } from "../../config/schema.ts";
import { AttachmentsCompanion } from "../../agent/backups/attachments-companion.ts";
import { BackupSchedule, runInBackground } from "../../agent/backups/backup-schedule.ts";
import { OperationQueue } from "../../agent/operation-queue.ts";
import { DatabaseOwnership } from "../../agent/database-ownership.ts";
import { serveHealth } from "../../agent/control/health.ts";
import { Alarms } from "../../alarms/alarms.ts";
import { AgentLife } from "../../agent/life.ts";
import type { Part } from "../../agent/loop.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import type { AgentReport } from "../../cluster/documents/agent-report.ts";
import { Etcd } from "../../consensus/etcd.ts";
import { StatusSource } from "../../observe/status-source.ts";
import { stopServer } from "../../postgres/server.ts";
import { Endpoints } from "../../services/endpoints.ts";
import { Supervisor } from "../../services/supervisor.ts";
import { calledAnywhere } from "../../system/called.ts";
import { monotonic, now } from "../../system/clock.ts";
import { readTextIfAny } from "../../system/files/files.ts";
import { serveOnSocket } from "../../system/network/http.ts";
import { serveTls, type TlsServer } from "../../system/network/mutual-tls.ts";
import { ownPid } from "../../system/process/process.ts";
import { isMachineStopping } from "../../system/process/service-manager.ts";
import { makesBackups } from "../decisions/backups.ts";
import { askerOf } from "../decisions/certificates/asker.ts";
import type { HostOrder } from "../documents/orders.ts";
import type { HostsStatus } from "../documents/report.ts";
import { hostFiles } from "../documents/files.ts";
import { databasesOf } from "../documents/host-config.ts";
import { AGENT_PORT } from "../documents/places.ts";
import { HostArchive } from "../archiving/host-archive.ts";
import { ANY_SECOND } from "../archiving/other-repositories.ts";
import { JoinServer } from "../joining/join-server.ts";
import { EtcdService } from "../programs/etcd-service.ts";
import { PatroniService } from "../programs/patroni-service.ts";
import type { ConsoleServer } from "../../console/console.ts";
import { hostControl } from "./orders/control.ts";
import { AskedRestarts } from "./orders/asked-restarts.ts";
import { Guest, viewFor } from "./guest.ts";
import { hostConsole } from "./host-console.ts";
import { HostData } from "./own-server/host-data.ts";
import { HostOrders } from "./orders/host-orders.ts";
import { HostPool } from "./host-pool.ts";
import { HostPoolers } from "./host-poolers.ts";
import { HostRouting } from "./host-routing.ts";
import { FileConfig } from "./file-config.ts";
import { findHere, type Found, type HostAgentOptions } from "./found-here.ts";
import { alarmStatus, ownReport, statusOf, wholeStatus, type SeenParts } from "./host-status.ts";
import { ServedEndpoints } from "./served-endpoints.ts";
import { every, notReady, oneAtATime, type OneHost, type Outcome } from "./host.ts";
import { LeadersWork } from "./leaders-work.ts";
import { NewClients } from "./new-clients.ts";
import { OtherHosts } from "./other-hosts.ts";
import { OwnCertificate, type OwnIdentity } from "./own-certificate.ts";
import { OwnNode } from "./own-server/own-node.ts";
import { Revocations } from "../revoking/revocations.ts";
import { Servers } from "./servers.ts";
import { StoreWatch } from "./store-watch.ts";
import { factsOf } from "../../model/observation.ts";
import type { Leading } from "../decisions/primary/overtaken.ts";

/** Milliseconds between two looks at the store's members and at the agents of other hosts, and at what is the leader's to do. */
const MEMBERS_EVERY = 1000;
/** The same for members where the last look found all of them level: each look asks every one. */
const LEVEL_MEMBERS_EVERY = 2500;
const OTHERS_EVERY = 1000;

/** Milliseconds between two looks when this host's certificate ends. */
const CERTIFICATE_EVERY = 60_000;

/** Milliseconds between two questions whether the primary still is one, while the store says nothing of it. */
const CONFIRM_EVERY = 1000;

/** As of an agent of one host. */
/**
 * The agent of a cluster of several hosts: one on each. Who is primary is for Patroni and the store to say; the agent
 * keeps both running, leads its host's endpoints to where they say, copies a data directory where none is, and does on
 * the primary's host what is to be done once for the cluster. It never starts or stops PostgreSQL.
 */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #host: OneHost;
  readonly #life: AgentLife;
  readonly #supervisor: Supervisor;
  /** None on a witness: nobody asks it for a database. */
  readonly #endpoints: Endpoints | undefined;
  readonly #etcd: EtcdService | undefined;
  readonly #patroni: PatroniService | undefined;
  readonly #store: StoreWatch;
  readonly #certificate: OwnCertificate;
  readonly #revocations: Revocations;
  readonly #servers: Servers;
  readonly #node: OwnNode;
  readonly #hostPool: HostPool;
  /** None where there is no server: it says who may log in. */
  readonly #poolers: HostPoolers | undefined;
  readonly #served: ServedEndpoints;
  readonly #routing: HostRouting;
  readonly #newClients: NewClients;
  readonly #others: OtherHosts;
  readonly #data: HostData;
  /** On a host with endpoints alone. */
  readonly #guest: Guest | undefined;
  readonly #work: LeadersWork;
  readonly #join: JoinServer;
  readonly #orders: HostOrders;
  readonly #console: ConsoleServer;
  readonly #backups: BackupSchedule;
  readonly #archive: HostArchive;
  readonly #attachments: AttachmentsCompanion;
  readonly #ownership = new DatabaseOwnership();
  readonly #alarms: Alarms;
  /** Of this host's own server, as of a cluster of one host. */
  readonly #ownStatus: StatusSource;
  readonly #fileConfig: FileConfig;
  /** Of what the console was last set up, and the configuration that said it. */
  #consoleOf = "";
  #consoleConfig: Config | undefined;
  #ending = false;
  #door: TlsServer | undefined;

  private constructor(options: HostAgentOptions, found: Found) {
    const { layout, owner, machine, log } = options;
    const { record, document, installation, register, programs, collectd } = found;
    const identity: OwnIdentity = { ...found.identity, id: record.id };
    this.#fileConfig = new FileConfig(layout, found.fileConfig);
    const files = hostFiles(layout);
    const etcd = new Etcd(record.store, identity);
    const fileConfig = (): Config | undefined => this.#fileConfig.now;
    const host = { layout, owner, machine, log, files, identity, installation, etcd, fileConfig };
    this.#options = options;
    this.#host = host;
    this.#life = new AgentLife(layout, owner, log, async () => await this.#leave());
    this.#supervisor = new Supervisor(log);
    this.#endpoints = programs.haproxy && new Endpoints(layout, owner, log);
    if (this.#endpoints) this.#endpoints.program = programs.haproxy;
    this.#backups = new BackupSchedule(runInBackground(options.program));
    const called = calledAnywhere(options.program);
    this.#alarms = new Alarms(called);
    const parts = { files, record, identity, owner };
    this.#etcd = programs.etcd && new EtcdService({ ...parts, program: programs.etcd });
    this.#store = new StoreWatch(host, this.#etcd, { record, document, register });
    this.#certificate = new OwnCertificate(host, this.#store, identity);
    this.#servers = new Servers(collectd);
    const node = new OwnNode(host, this.#store);
    this.#node = node;
    this.#patroni =
      programs.patroni &&
      new PatroniService(
        { ...parts, program: programs.patroni },
        async () => await node.mayRunPatroni(),
        () => this.#whoLeads(),
      );
    this.#revocations = new Revocations(host, {
      store: this.#store,
      servers: this.#servers,
      node,
      etcd: this.#etcd,
      patroni: this.#patroni,
    });
    this.#hostPool = new HostPool({
      name: record.name,
      cluster: document.cluster,
      identity,
      etcd,
      databases: () => databasesOf(this.#store.document),
      server: installation && node.server(),
      log,
      wake: () => this.#life.wake(),
    });
    this.#poolers = installation && new HostPoolers(host, this.#store, node, options);
    this.#served = new ServedEndpoints({
      machine,
      store: this.#store,
      servers: this.#servers,
      endpoints: this.#endpoints,
      poolers: this.#poolers,
    });
    this.#routing = new HostRouting(host, this.#store, this.#servers, this.#hostPool);
    this.#others = new OtherHosts(host, this.#store);
    this.#newClients = new NewClients(this.#endpoints);
    this.#guest = record.role === "endpoints" ? new Guest(host, this.#store, this.#newClients) : undefined;
    this.#data = new HostData(host, this.#store, this.#servers, node);
    const asked = new AskedRestarts(host, {
      store: this.#store,
      servers: this.#servers,
      others: this.#others,
      node,
    });
    this.#attachments = new AttachmentsCompanion({
      program: options.program,
      turns: new OperationQueue(log),
    });
    this.#archive = new HostArchive(host, {
      ...options,
      node,
      name: record.name,
      document: () => this.#store.document,
      view: () => this.#store.view,
      answers: (name) => this.#others.answers(name),
    });
    this.#work = new LeadersWork(host, this.#store, this.#others, asked);
    this.#ownStatus = new StatusSource({
      layout,
      runtime: () => node.runtime,
      failure: () => undefined,
      report: async () => await Promise.resolve(this.#agentReport()),
    });
    this.#orders = new HostOrders(host, {
      ...this.#seen,
      pool: this.#hostPool,
      etcd: this.#etcd,
      endpoints: this.#endpoints,
      poolers: this.#poolers,
      revocations: this.#revocations,
      asked,
      stop: () => this.stop(),
    });
    this.#console = hostConsole({
      options,
      called,
      runtime: () => node.runtime,
      ownStatus: this.#ownStatus,
      judged: async () => await this.#judged(),
      hosts: async () => await this.#status(),
      carryOut: async (order) => await this.#orders.carryOut(order),
    });
    this.#join = new JoinServer({
      layout,
      owner,
      record,
      etcd,
      report: async () => await ownReport(this.#seen),
      order: async (order) => await this.#order(order),
      view: async (guest, body) =>
        viewFor(guest, body, {
          store: this.#store,
          others: this.#others,
          newClients: this.#newClients,
          status: await statusOf(this.#seen),
        }),
      storeAnswers: () => this.#store.answers,
      isSure: () => this.#store.answers && this.#store.isListedInStore,
      document: () => this.#store.document,
      certificates: this.#store,
    });
  }

  /** @throws OdooPgError state_dir_unusable, program_missing, haproxy_missing, postgres_missing */
  static async load(options: HostAgentOptions): Promise<HostAgent> {
    return new HostAgent(options, await findHere(options));
  }

  /** Takes the lock, opens its listeners; the endpoints go nowhere yet. @throws OdooPgError locked, port_in_use */
  async open(): Promise<void> {
    const { layout, log, version } = this.#options;
    const { record, document } = this.#store;
    const guests = await readTextIfAny(this.#host.files.endpointsAuthority);
    await this.#life.open(async (closed) => {
      closed(await serveHealth(layout, (node) => this.#routing.mayBeRead(node)));
      closed(
        await serveOnSocket(
          layout.agentSocket,
          hostControl({
            report: () => this.#agentReport(),
            status: async () => await this.#status(),
            invite: async (endpointsOnly) => await this.#join.invite(endpointsOnly),
            order: async (order) => await this.#order(order),
            consoleLink: () => this.#console.newLink(),
            stop: () => this.stop(),
          }),
        ),
      );
      const door = await serveTls({
        host: record.address,
        port: AGENT_PORT,
        identity: this.#host.identity,
        ...(guests === undefined ? {} : { guests }),
        answer: async (question) => {
          const { peer, guest } = askerOf(this.#store.document, question, now());
          const asker = peer ?? guest;
          if (asker !== undefined) this.#store.see(asker, question.certificate);
          if (question.path === "/pool" && asker !== undefined)
            return this.#hostPool.answer(asker, question.body);
          if (question.path.startsWith(ANY_SECOND) && peer !== undefined && this.#hasDatabase(peer)) {
            const { path, body, sent } = question;
            return await this.#archive.answer(path, body, { from: peer, sent });
          }
          return await this.#join.answer({ ...question, peer, guest });
        },
      });
      this.#door = door;
      closed(door.close);
      // Where there are no clients, nothing is read.
      const asking = this.#endpoints ? this.#hostPool.start() : (): void => {};
      closed(asking);
      closed(async () => await this.#console.close());
      await this.#routing.recall();
      // Before etcd and Patroni start: they let nobody in without it. It is tried again each second.
      await this.#revocations.write().catch((error: unknown) => log("warn", String(error)));
      await this.#applyDocument();
    });
    log("info", `agent ${version} (process ${ownPid}): host ${record.name} of ${document.cluster}`);
  }

  /** Observes and acts until `stop`. Everything else then goes on. */
  async run(): Promise<void> {
    await this.#life.run(this.#parts(), () => this.#ending);
  }

  /**
   * Ends the agent. Where the machine goes down with it, this host's part is stopped first, as by `odoo-pg down`: else
   * another host would take over only when the key of this one has ended, and the server would be killed.
   */
  async end(): Promise<void> {
    const { log } = this.#options;
    if (await isMachineStopping()) {
      log("info", "the machine is going down: this host's part is stopped first");
      await this.#orders
        .carryOut({ order: "down" })
        .catch((error: unknown) => log("warn", `this host's part is not stopped whole: ${String(error)}`));
    }
    this.stop();
  }

  stop(): void {
    this.#ending = true;
    this.#life.wake();
  }

  async #leave(): Promise<void> {
    await this.#alarms.close();
    await this.#attachments.close();
    await this.#ownership.close();
    await this.#servers.close();
    await this.#node.close();
  }

  #parts(): Part[] {
    const etcd = this.#etcd;
    const patroni = this.#patroni;
    const endpoints = this.#endpoints;
    const poolers = this.#poolers;
    return [
      { name: "store", run: oneAtATime(async () => await this.#readStore()), aside: true },
      { name: "look", run: async () => await this.#servers.look() },
      { name: "own server", run: async () => await this.#node.observe(), aside: true },
      {
        name: "routing",
        run: () => {
          this.#routing.decide();
          // While clients wait each look counts.
          if (!this.#routing.isPrimaryUp) this.#life.wake();
        },
      },
      ...(endpoints
        ? [
            { name: "haproxy", run: async () => await this.#supervisor.check(endpoints) },
            { name: "endpoints", run: async () => await this.#routing.lead(endpoints) },
            {
              name: "right of the primary",
              run: oneAtATime(every(CONFIRM_EVERY, async () => await this.#routing.confirm())),
              aside: true,
            } as const,
            { name: "routing's record", run: async () => await this.#routing.remember() },
          ]
        : []),
      ...(poolers
        ? [
            {
              name: "pgbouncer",
              run: oneAtATime(async () => await poolers.supervise(this.#supervisor)),
              aside: true,
            } as const,
            {
              name: "pgbouncer's roles",
              run: oneAtATime(async () => await poolers.tick()),
              aside: true,
            } as const,
          ]
        : []),
      { name: "configuration", run: oneAtATime(async () => await this.#applyDocument()), aside: true },
      ...(this.#guest ? [] : this.#storeParts()),
      { name: "pool", run: oneAtATime(async () => await this.#routing.keepPool()), aside: true },
      { name: "data", run: oneAtATime(async () => await this.#data.ensure()), aside: true },
      {
        name: "certificate",
        run: oneAtATime(every(CERTIFICATE_EVERY, async () => await this.#renewCertificate())),
        aside: true,
      },
      { name: "removed", run: oneAtATime(async () => await this.#ceaseWhereRemoved()), aside: true },
      ...(etcd ? [{ name: "etcd", run: () => this.#supervisor.check(etcd), aside: true } as const] : []),
      ...(patroni
        ? [{ name: "patroni", run: () => this.#supervisor.check(patroni), aside: true } as const]
        : []),
      { name: "console", run: () => this.#console.tick() },
      {
        name: "databases' owners",
        run: async () => {
          const { runtime } = this.#node;
          if (runtime) await this.#ownership.tick(runtime);
        },
        aside: true,
      },
      {
        name: "backup",
        run: async () => {
          const { runtime } = this.#node;
          if (runtime && this.#isPrimarys) await this.#backups.tick(runtime);
        },
      },
      {
        name: "attachments",
        run: oneAtATime(async () => {
          const { runtime } = this.#node;
          // As backups: into the folder of the primary's host, from the filestore that it has.
          if (runtime && this.#isPrimarys) await this.#attachments.tick(runtime);
          else await this.#attachments.close();
        }),
        aside: true,
      },
      {
        name: "archive",
        run: oneAtATime(async () => await this.#archive.tick(this.#isPrimarys)),
        aside: true,
      },
      {
        name: "alarms",
        run: () => {
          const { runtime } = this.#node;
          if (runtime) this.#alarms.tick(runtime, async () => await this.#judged());
        },
      },
    ];
  }

  /** Whether this host does what is the primary's host's: no other one does so at the same time. */
  get #isPrimarys(): boolean {
    return this.#store.isListed && makesBackups(this.#store.record.name, this.#routing.writes);
  }

  #hasDatabase(peer: string | undefined): boolean {
    return databasesOf(this.#store.document).some(({ name }) => name === peer);
  }

  /** What hosts with access to the store do. */
  #storeParts(): Part[] {
    return [
      {
        name: "members of the store",
        run: oneAtATime(
          every(
            () => (this.#store.isLevel ? LEVEL_MEMBERS_EVERY : MEMBERS_EVERY),
            async () => await this.#store.lookAtMembers(),
          ),
        ),
        aside: true,
      },
      {
        name: "other hosts",
        run: oneAtATime(every(OTHERS_EVERY, async () => await this.#others.ask())),
        aside: true,
      },
      {
        name: "revoked certificates",
        run: oneAtATime(every(MEMBERS_EVERY, async () => await this.#keepRemovedOut())),
        aside: true,
      },
      {
        name: "whether this host was removed",
        run: oneAtATime(every(OTHERS_EVERY, async () => await this.#revocations.askWhetherListed())),
        aside: true,
      },
      {
        name: "work of the primary's host",
        run: oneAtATime(
          every(
            MEMBERS_EVERY,
            this.#whereListed(async () => await this.#work.do()),
          ),
        ),
        aside: true,
      },
    ];
  }

  /** By which a Patroni that hangs is told. */
  #whoLeads(): Leading {
    const { answers, view, record } = this.#store;
    return {
      at: monotonic(),
      inRecovery: factsOf(this.#servers.of(record.name))?.in_recovery,
      leader: answers ? view?.leader : undefined,
      name: record.name,
      isPaused: view?.paused === true,
    };
  }

  /** What a removed host no longer does: another machine may have its name by now. */
  #whereListed(act: () => Promise<void>): () => Promise<void> {
    return async () => {
      if (this.#store.isListed) await act();
    };
  }

  /** @throws OdooPgError refused on a host that was removed, but for its own leaving */
  async #order(order: HostOrder): Promise<Outcome> {
    if (!this.#store.isListed && order.order !== "leave" && order.order !== "down")
      throw notReady(
        `This machine is no longer part of the cluster: it was removed, or another one was given the name ${this.#store.record.name}. Run odoo-pg leave here; it can join again then.`,
      );
    return await this.#orders.carryOut(order);
  }

  async #readStore(): Promise<void> {
    if (this.#guest) await this.#guest.read(await ownReport(this.#seen));
    else await this.#store.read();
  }

  async #status(): Promise<HostsStatus> {
    return await wholeStatus(this.#seen, this.#guest?.status);
  }

  async #judged(): Promise<StatusDocument> {
    return await alarmStatus(this.#seen, this.#ownStatus);
  }

  get #seen(): SeenParts {
    return {
      version: this.#options.version,
      store: this.#store,
      servers: this.#servers,
      others: this.#others,
      routing: this.#routing,
      newClients: this.#newClients,
      node: this.#node,
      data: this.#data,
      patroni: this.#patroni,
      certificate: this.#certificate,
      anySecond: () => this.#archive.report,
      revocations: this.#revocations,
      lastGoodBackup: async () => (await this.#ownStatus.backups())?.last_good_at ?? null,
    };
  }

  /** Applies what the cluster's document says now. */
  async #applyDocument(): Promise<void> {
    await this.#fileConfig.read();
    await this.#archive.prepare();
    await this.#node.apply(this.#patroni, () => this.#life.wake());
    await this.#applyConsole();
    await this.#served.apply();
  }

  /** Where it listens and what it may show is in this host's own part. */
  async #applyConsole(): Promise<void> {
    const { config } = this.#node.own;
    if (config === this.#consoleConfig) return;
    const wanted = JSON.stringify([config.cluster, config.console]);
    if (wanted !== this.#consoleOf) await this.#console.apply(config);
    this.#consoleOf = wanted;
    this.#consoleConfig = config;
  }

  async #renewCertificate(): Promise<void> {
    await this.#certificate.renew(async () => {
      this.#door?.renew();
      // etcd reads its own at each connection.
      await this.#patroni?.reload();
    });
  }

  async #keepRemovedOut(): Promise<void> {
    try {
      await this.#revocations.write();
    } finally {
      await this.#revocations.cut();
    }
  }

  /** A host that the others have given up must not go on with what it has when it comes back. */
  async #ceaseWhereRemoved(): Promise<void> {
    const patroni = this.#patroni;
    if (this.#store.isListed || !patroni || patroni.hold.operation !== undefined) return;
    this.#options.log(
      "warn",
      "this host was removed from the cluster, or another machine was given its name: its server is stopped, its data stays",
    );
    await patroni.hold.take("remove");
    await patroni.stop("fast");
    // One that was just started, or is paused, leaves it running.
    await stopServer(this.#node.files.dataDir, this.#store.record.name, "fast");
  }

  #agentReport(): AgentReport {
    return {
      pid: ownPid,
      version: this.#options.version,
      build: this.#options.build,
      keeping: true,
      ending: this.#ending,
      operation: this.#data.working ?? null,
      primary: this.#routing.writes ?? null,
      haproxy: true,
      pool: this.#routing.reads,
      waiting_clients: null,
      poolers: this.#poolers?.status() ?? null,
      overrides: [],
      failing_channels: this.#alarms.failing,
      attachments: this.#attachments.kept,
      rights: { problem: this.#ownership.problem, by_password: this.#ownership.byPassword },
      console: this.#console.account,
      nodes: [],
    };
  }
}
