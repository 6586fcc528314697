import type { AgentOptions } from "../../agent/agent.ts";
import type { Config } from "../../config/schema.ts";
import { BackupSchedule, runInBackground } from "../../agent/backups/backup-schedule.ts";
import { DatabaseOwnership } from "../../agent/database-ownership.ts";
import { serveHealth } from "../../agent/health.ts";
import { Alarms } from "../../alarms/alarms.ts";
import { AgentLife } from "../../agent/life.ts";
import type { Part } from "../../agent/loop.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { isYoung } from "../../cluster/backups.ts";
import type { AgentReport } from "../../cluster/documents/agent-report.ts";
import type { Layout } from "../../config/layout.ts";
import { Etcd } from "../../consensus/etcd.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { OdooPgError } from "../../errors.ts";
import { verdictOf, warningInDocument } from "../../model/warnings.ts";
import { StatusSource } from "../../observe/status-source.ts";
import { findInstallation, type Installation } from "../../postgres/installation.ts";
import { stopServer } from "../../postgres/server.ts";
import { Endpoints } from "../../services/endpoints.ts";
import { Supervisor } from "../../services/supervisor.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { calledAnywhere } from "../../system/called.ts";
import { monotonic, now } from "../../system/clock.ts";
import { modifiedAt, readTextIfAny } from "../../system/files/files.ts";
import { prepareStateDirectory } from "../../store/possession.ts";
import { readPassword } from "../../store/secrets.ts";
import { serveOnSocket } from "../../system/network/http.ts";
import { serveTls, type TlsIdentity, type TlsServer } from "../../system/network/mutual-tls.ts";
import { ownPid } from "../../system/process/process.ts";
import { isMachineStopping } from "../../system/process/service-manager.ts";
import { makesBackups, newestBackupElsewhere } from "../decisions/backups.ts";
import { askerOf } from "../decisions/asker.ts";
import { hostWarnings, ownWarnings } from "../decisions/host-warnings.ts";
import { withOwnPart } from "../decisions/own-part.ts";
import type { HostOrder } from "../documents/orders.ts";
import type { HostsStatus } from "../documents/report.ts";
import { hostFiles } from "../documents/files.ts";
import { databasesOf, servedConfig } from "../documents/host-config.ts";
import { AGENT_PORT } from "../documents/places.ts";
import {
  readFileConfig,
  readKeptDocument,
  wholeHostRecord,
  type ClusterDocument,
  type HostRecord,
} from "../documents/record.ts";
import { readIdentity } from "../joining/authority.ts";
import { JoinServer } from "../joining/join-server.ts";
import { EtcdService } from "../programs/etcd-service.ts";
import { PatroniService } from "../programs/patroni-service.ts";
import { findEtcd, findPatroni } from "../programs/programs.ts";
import type { ConsoleServer } from "../../console/console.ts";
import { hostControl } from "./control.ts";
import { AskedRestarts } from "./asked-restarts.ts";
import { Guest, viewFor } from "./guest.ts";
import { hostConsole } from "./host-console.ts";
import { HostData } from "./host-data.ts";
import { HostOrders } from "./host-orders.ts";
import { HostPool } from "./host-pool.ts";
import { HostPoolers } from "./host-poolers.ts";
import { HostRouting } from "./host-routing.ts";
import { ownReport, statusOf, type SeenParts } from "./host-status.ts";
import { every, notReady, oneAtATime, SILENT, type OneHost, type Outcome } from "./host.ts";
import { LeadersWork } from "./leaders-work.ts";
import { OtherHosts } from "./other-hosts.ts";
import { OwnCertificate, type OwnIdentity } from "./own-certificate.ts";
import { OwnNode } from "./own-node.ts";
import { OwnRegister } from "../revoking/own-register.ts";
import { Revocations } from "../revoking/revocations.ts";
import { Servers } from "./servers.ts";
import { StoreWatch } from "./store-watch.ts";
import { factsOf } from "../../model/observation.ts";
import type { Leading } from "../decisions/overtaken.ts";

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
export interface HostAgentOptions extends AgentOptions {
  readonly layout: Layout;
}

/** What the agent of one of several hosts finds when it starts. */
interface Found {
  readonly record: HostRecord;
  readonly document: ClusterDocument;
  readonly identity: TlsIdentity;
  readonly installation: Installation | undefined;
  readonly fileConfig: Config | undefined;
  readonly register: OwnRegister;
}

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
  readonly #routing: HostRouting;
  readonly #others: OtherHosts;
  readonly #data: HostData;
  /** On a host with endpoints alone. */
  readonly #guest: Guest | undefined;
  readonly #work: LeadersWork;
  readonly #join: JoinServer;
  readonly #orders: HostOrders;
  readonly #console: ConsoleServer;
  readonly #backups: BackupSchedule;
  readonly #ownership = new DatabaseOwnership();
  readonly #alarms: Alarms;
  /** Of this host's own server, as of a cluster of one host. */
  readonly #ownStatus: StatusSource;
  /** The configuration of this host's file, and when that was written (milliseconds since the epoch). */
  #fileConfig: Config | undefined;
  #fileConfigAt: number | undefined;
  /** Of what the endpoints and the looks were last set up, and where that was last read. */
  #served = "";
  #servedOf: { readonly document: ClusterDocument; readonly pools: boolean } | undefined;
  /** Of what the console was last set up, and the configuration that said it. */
  #consoleOf = "";
  #consoleConfig: Config | undefined;
  #ending = false;
  #door: TlsServer | undefined;

  private constructor(
    options: HostAgentOptions,
    found: Found,
    programs: Awaited<ReturnType<typeof programsOf>>,
    collectd: string,
  ) {
    const { layout, owner, machine, log } = options;
    const { record, document, installation, register } = found;
    const identity: OwnIdentity = { ...found.identity, id: record.id };
    this.#fileConfig = found.fileConfig;
    const files = hostFiles(layout);
    const etcd = new Etcd(record.store, identity);
    const fileConfig = (): Config | undefined => this.#fileConfig;
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
    this.#routing = new HostRouting(host, this.#store, this.#servers, this.#hostPool);
    this.#others = new OtherHosts(host, this.#store);
    this.#guest = record.role === "endpoints" ? new Guest(host, this.#store) : undefined;
    this.#data = new HostData(host, this.#store, this.#servers, node);
    const asked = new AskedRestarts(host, {
      store: this.#store,
      servers: this.#servers,
      others: this.#others,
      node,
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
      judged: async () => await this.#alarmStatus(),
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
    const { layout, owner } = options;
    const files = hostFiles(layout);
    const [record, document, identity, fileConfig] = await Promise.all([
      wholeHostRecord(layout),
      readKeptDocument(layout),
      readIdentity(files),
      readFileConfig(layout),
    ]);
    if (!record || !document || !identity) {
      throw new OdooPgError("state_dir_unusable", {
        message: `${files.dir} is not whole: this host has not joined its cluster to the end.`,
        safe: "What runs keeps running.",
        next: nextStep`Join again, with a new token: ${odooPg("join", "--help")}`,
      });
    }
    const config = withOwnPart(document.config, fileConfig);
    const installation =
      record.role === "database"
        ? await findInstallation({ ...config.postgres, version: document.major }, options)
        : undefined;
    const programs = await programsOf(options, record, config);
    await prepareStateDirectory(layout, owner);
    const register = await OwnRegister.open(files, options.log);
    const collectd = (await readPassword(layout, "collectd")) ?? "";
    return new HostAgent(
      options,
      { record, document, identity, installation, fileConfig, register },
      programs,
      collectd,
    );
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
          return question.path === "/pool" && asker !== undefined
            ? this.#hostPool.answer(asker, question.body)
            : await this.#join.answer({ ...question, peer, guest });
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
          if (runtime && this.#store.isListed && makesBackups(this.#store.record.name, this.#routing.writes))
            await this.#backups.tick(runtime);
        },
      },
      {
        name: "alarms",
        run: () => {
          const { runtime } = this.#node;
          if (runtime) this.#alarms.tick(runtime, async () => await this.#alarmStatus());
        },
      },
    ];
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

  /** The whole cluster, as this host sees it or was told. */
  async #status(): Promise<HostsStatus> {
    const own = await statusOf(this.#seen);
    const told = this.#guest?.status;
    if (!told) return own;
    const { seen_from, store, primary } = own;
    const hosts = told.hosts.map(
      (host) => own.hosts.find(({ name }) => name === host.name && name === seen_from) ?? host,
    );
    return { ...told, seen_from, store, primary, hosts };
  }

  get #seen(): SeenParts {
    return {
      version: this.#options.version,
      store: this.#store,
      servers: this.#servers,
      others: this.#others,
      routing: this.#routing,
      node: this.#node,
      data: this.#data,
      patroni: this.#patroni,
      certificate: this.#certificate,
      lastGoodBackup: async () => (await this.#ownStatus.backups())?.last_good_at ?? null,
    };
  }

  /** What alarms are judged by: the server that is primary, and the hosts; elsewhere the host's own disks. */
  async #alarmStatus(): Promise<StatusDocument> {
    const [own, hosts] = await Promise.all([this.#ownStatus.status(), statusOf(this.#seen)]);
    const { answers, isListed, view, record } = this.#store;
    const leads = answers && isListed && view?.leader === record.name;
    const warnings = [
      ...hostWarnings(hosts).map((found) => warningInDocument(found, undefined)),
      ...(leads ? ownWarnings(own.warnings, this.#isBackedUpElsewhere(hosts)) : []),
    ];
    return { ...own, warnings, verdict: verdictOf(warnings) };
  }

  #isBackedUpElsewhere(hosts: HostsStatus): boolean {
    const hours = this.#node.runtime?.config.backup.max_age_hours;
    return hours !== undefined && isYoung(newestBackupElsewhere(hosts)?.at, hours, now());
  }

  /** Applies what the cluster's document says now. */
  async #applyDocument(): Promise<void> {
    await this.#readFileConfig();
    const { document } = this.#store;
    await this.#node.apply(this.#patroni, () => this.#life.wake());
    await this.#applyConsole();
    // Where PgBouncer is missing clients go to the servers by HAProxy alone.
    let missing: unknown;
    await this.#poolers?.ensure(SILENT).catch((error: unknown) => (missing = error));
    const pools = this.#poolers?.serves === true;
    const isSame = this.#servedOf?.document === document && this.#servedOf.pools === pools;
    const text = isSame ? this.#served : JSON.stringify([document, pools]);
    if (text === this.#served) {
      this.#servedOf = { document, pools };
      if (missing !== undefined) throw missing;
      return;
    }
    this.#servedOf = undefined;
    const config = servedConfig(document, pools);
    await this.#servers.lead(config.nodes);
    if (config.nodes.length)
      await this.#endpoints?.ensure(
        {
          config,
          machine: this.#options.machine,
          upstream: undefined,
          kept: document.settings,
          elsewhere: true,
        },
        SILENT,
      );
    await this.#poolers?.retire(config, SILENT);
    this.#served = text;
    if (missing !== undefined) throw missing;
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

  /** What is of this host alone is taken up from what `up` has kept of its file. */
  async #readFileConfig(): Promise<void> {
    const { layout } = this.#options;
    const at = await modifiedAt(hostFiles(layout).fileConfig).catch(() => undefined);
    if (at === this.#fileConfigAt) return;
    this.#fileConfig = await readFileConfig(layout);
    this.#fileConfigAt = at;
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
      attachments: null,
      rights: { problem: null, by_password: null },
      console: this.#console.account,
      nodes: [],
    };
  }
}

async function programsOf(options: HostAgentOptions, { role }: HostRecord, config: Config) {
  const { searchPath, install } = options;
  const machine = { searchPath, install };
  return {
    haproxy: role === "witness" ? undefined : await findHaproxy(config.haproxy.program, machine),
    etcd: role === "endpoints" ? undefined : await findEtcd(machine),
    patroni: role === "database" ? await findPatroni(machine) : undefined,
  };
}
