import * as z from "zod";
import { BackupSchedule, runInBackground } from "../agent/backup-schedule.ts";
import { DatabaseOwnership } from "../agent/database-ownership.ts";
import { Complaints } from "../agent/complaints.ts";
import { serveHealth } from "../agent/health.ts";
import { Loop, type Part } from "../agent/loop.ts";
import type { AgentReport } from "../cluster/documents/agent-report.ts";
import { odooPg } from "../next-step.ts";
import { stamp } from "../model/time-stamp.ts";
import { slotName, type Layout, type NodeConfig } from "../config/layout.ts";
import { Etcd, EtcdError } from "../consensus/etcd.ts";
import { nextVoterStep, type VoterMember } from "../consensus/voters.ts";
import { findHaproxy } from "../endpoints/haproxy.ts";
import { OdooPgError } from "../errors.ts";
import { RemoteServer } from "../members/remote-server.ts";
import { factsOf, isPrimary, lagOf, type NodeObservation } from "../model/observation.ts";
import type { Lsn } from "../model/lsn.ts";
import { reloadAndWait } from "../postgres/reload.ts";
import { Superuser } from "../postgres/sql/superuser.ts";
import { inspectDataDirectory } from "../postgres/data-directory.ts";
import { findInstallation, type Installation } from "../postgres/installation.ts";
import { findPostmaster, reloadServer, stopServer } from "../postgres/server.ts";
import { seedDataDirectory } from "../postgres/seed.ts";
import { errorFromEvent, type Progress } from "../progress.ts";
import { checkpoint } from "../postgres/sql/operations.ts";
import type { Runtime } from "../members/runtime.ts";
import { Endpoints, type Served } from "../services/endpoints.ts";
import type { PoolSight } from "../services/pool-keeper.ts";
import type { Routing } from "../services/read-pool.ts";
import { PoolMembership } from "../services/pool-membership.ts";
import { Supervisor } from "../services/supervisor.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { prepareStateDirectory } from "../store/possession.ts";
import { readPassword } from "../store/secrets.ts";
import { monotonic, now, waitUntil } from "../system/clock.ts";
import { move, writeFileIfChanged, type Owner } from "../system/files/files.ts";
import { renameIn } from "../system/files/folder.ts";
import { inspectJsonFile, parseJson } from "../system/files/json-file.ts";
import type { Install } from "../system/install.ts";
import type { Log } from "../system/log.ts";
import type { Machine } from "../system/machine.ts";
import { serveOnSocket } from "../system/network/http.ts";
import { askTls, serveTls, type TlsIdentity } from "../system/network/mutual-tls.ts";
import { ownPid } from "../system/process/process.ts";
import { readIdentity } from "./authority.ts";
import { ownRuntime } from "./own-runtime.ts";
import { hostOutcomeSchema, type HostOrder } from "./orders.ts";
import { decideSwitchover } from "./switchover.ts";
import { hostControl } from "./control.ts";
import { HostPool, poolKey, type OwnServer } from "./host-pool.ts";
import { dynamicChange } from "./dynamic.ts";
import { EtcdService } from "./etcd-service.ts";
import { hostFiles, type HostFiles } from "./files.ts";
import { changeDocument, JoinServer } from "./join-server.ts";
import { withoutHost } from "./joining.ts";
import { ownConfig, writeOwnFiles, type OwnFilesInput } from "./own-files.ts";
import { PatroniService } from "./patroni-service.ts";
import { proveCopy } from "./prove-copy.ts";
import { findEtcd, findPatroni } from "./programs.ts";
import {
  documentSchema,
  readHostRecord,
  readKeptDocument,
  writeHostRecord,
  type ClusterDocument,
  type Host,
  type HostRecord,
} from "./record.ts";
import {
  AGENT_PORT,
  API_PORT,
  copySource,
  databasesOf,
  hostsPrefix,
  patroniDynamic,
  patroniPrefix,
  peerUrlOf,
  servedConfig,
} from "./render.ts";
import { hostReportSchema, type HostReport, type HostsStatus } from "./report.ts";
import { readsFrom, type RoutingInput, writesTo } from "./routing.ts";
import { viewOfStore, type StoreView } from "./store-view.ts";
import { failoverVerdict } from "./verdict.ts";

const routingSchema = z.object({ writes: z.string().nullable(), reads: z.string().array() });

/** Milliseconds without an answer of the store after which it counts as silent. */
const STORE_SILENT = 5000;

/** Milliseconds between two looks at the agents of the other hosts, for one to answer, and until it counts as away. */
const OTHERS_EVERY = 1000;
const OTHER_TIMEOUT = 1500;
const AWAY_AFTER = 5000;

/** Milliseconds for a host to follow, or for the others to do their part. */
const FOLLOW_TIMEOUT = 120_000;

/** Milliseconds for a planned change of the primary. */
const SWITCHOVER_TIMEOUT = 60_000;

/** Milliseconds between two looks at the store's members, and at what is the leader's to do. */
const MEMBERS_EVERY = 1000;

export interface HostAgentOptions {
  readonly stateDir: string;
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly searchPath: string;
  readonly install: Install;
  readonly version: string;
  readonly build: string;
  /** How to start this same program again. */
  readonly program: readonly [string, string];
  readonly log: Log;
}

/** What an agent of one of several hosts finds when it is started. */
interface Found {
  readonly record: HostRecord;
  readonly document: ClusterDocument;
  readonly identity: TlsIdentity;
  readonly installation: Installation | undefined;
}

/** Milliseconds to connect to this host's own server. */
const OWN_SERVER_TIMEOUT = 2000;

const SILENT: Progress = { step: () => {}, bytes: () => {}, note: () => {} };

/**
 * The agent of a cluster of several hosts: one on each. Who is primary is for Patroni and the store to say; the agent
 * keeps both running, leads its host's endpoints to where they say, copies a data directory where none is, and does on
 * the primary's host what is to be done once for the cluster. It never starts or stops PostgreSQL.
 */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #files: HostFiles;
  readonly #supervisor: Supervisor;
  readonly #standings: PoolMembership;
  /** None on a witness: nobody asks it for a database. */
  readonly #endpoints: Endpoints | undefined;
  readonly #etcd: Etcd;
  readonly #etcdService: EtcdService | undefined;
  readonly #patroni: PatroniService | undefined;
  readonly #join: JoinServer;
  readonly #identity: TlsIdentity;
  readonly #installation: Installation | undefined;
  readonly #collectd: string;
  #record: HostRecord;
  #document: ClusterDocument;
  /** What of the document was last taken up here. */
  #applied = "";
  #members: RemoteServer[] = [];
  #observations: readonly NodeObservation[] = [];
  readonly #pool = new Set<string>();
  readonly #hostPool: HostPool;
  /** Who keeps the pool, as the store says; undefined where nobody does. */
  #poolOf: string | undefined;
  /** Hosts that this one's server does not let replicate, for the time being. */
  #refused: readonly string[] = [];
  #writes: string | undefined;
  #store: StoreView | undefined;
  #storeAt = -Infinity;
  #voters: readonly VoterMember[] = [];
  #storeLeads = false;
  readonly #reports = new Map<string, { readonly report: HostReport; readonly at: number }>();
  #working: string | undefined;
  /** This host's server, where it has one. */
  #runtime: Runtime | undefined;
  readonly #backups: BackupSchedule;
  readonly #ownership = new DatabaseOwnership();
  #ending = false;
  #closers: (() => Promise<void>)[] = [];
  #loop: Loop | undefined;

  private constructor(
    options: HostAgentOptions,
    found: Found,
    programs: Awaited<ReturnType<typeof programsOf>>,
    collectd: string,
  ) {
    const { layout, owner, log } = options;
    this.#options = options;
    this.#files = hostFiles(layout);
    this.#record = found.record;
    this.#document = found.document;
    this.#identity = found.identity;
    this.#installation = found.installation;
    this.#collectd = collectd;
    this.#supervisor = new Supervisor(log);
    this.#standings = new PoolMembership(log);
    this.#endpoints = programs.haproxy && new Endpoints(layout, owner, log);
    if (this.#endpoints) this.#endpoints.program = programs.haproxy;
    const { record, identity } = found;
    this.#backups = new BackupSchedule(runInBackground(options.program));
    this.#etcd = new Etcd(record.store, identity);
    this.#etcdService = programs.etcd && new EtcdService(this.#files, record, programs.etcd, identity, owner);
    this.#patroni =
      programs.patroni &&
      new PatroniService(this.#files, record, programs.patroni, identity, owner, async () =>
        this.#mayRunPatroni(),
      );
    this.#hostPool = new HostPool({
      name: record.name,
      cluster: found.document.cluster,
      identity,
      etcd: this.#etcd,
      databases: () => databasesOf(this.#document),
      server: this.#installation && this.#ownServer(),
      log,
      wake: () => this.#loop?.wake(),
    });
    this.#join = new JoinServer({
      layout,
      owner,
      record,
      etcd: this.#etcd,
      report: async () => await this.#ownReport(),
      order: async (order) => await this.order(order),
      storeAnswers: () => this.#storeAnswers,
      document: () => this.#document,
    });
  }

  /** @throws OdooPgError state_dir_unusable, program_missing, haproxy_missing, postgres_missing */
  static async load(options: HostAgentOptions): Promise<HostAgent> {
    const { layout, owner } = options;
    const files = hostFiles(layout);
    const [record, document, identity] = await Promise.all([
      readHostRecord(layout),
      readKeptDocument(layout),
      readIdentity(files),
    ]);
    if (!record || !document || !identity) {
      throw new OdooPgError("state_dir_unusable", {
        message: `${files.dir} is not whole: this host has not joined its cluster to the end.`,
        safe: "What runs keeps running.",
        next: "Run odoo-pg join again, with a new token.",
      });
    }
    const installation =
      record.role === "database"
        ? await findInstallation({ ...document.config.postgres, version: document.major }, options)
        : undefined;
    const programs = await programsOf(options, record, document);
    await prepareStateDirectory(layout, owner);
    const collectd = (await readPassword(layout, "collectd")) ?? "";
    return new HostAgent(options, { record, document, identity, installation }, programs, collectd);
  }

  /** Takes the lock, opens its doors, and leads the endpoints to nowhere yet. @throws OdooPgError locked, port_in_use */
  async open(): Promise<void> {
    const { layout, log, version } = this.#options;
    await takeLock(layout.lockFile, ownPid);
    try {
      this.#closers.push(await serveHealth(layout, (node) => this.#mayBeRead(node)));
      this.#closers.push(
        await serveOnSocket(
          layout.agentSocket,
          hostControl({
            report: () => this.#agentReport(),
            status: async () => await this.status(),
            invite: async () => await this.#join.invite(),
            order: async (order) => await this.order(order),
            stop: () => this.stop(),
          }),
        ),
      );
      this.#closers.push(
        await serveTls({
          host: this.#record.address,
          port: AGENT_PORT,
          identity: this.#identity,
          answer: async (question) =>
            question.path === "/pool" && question.peer !== undefined
              ? this.#hostPool.answer(question.peer, question.body)
              : await this.#join.answer(question),
        }),
      );
      // Where no clients are, nobody is read from.
      const asking = this.#endpoints ? this.#hostPool.start() : (): void => {};
      this.#closers.push(async () => await Promise.resolve(asking()));
      await this.#recallRouting();
      await this.#applyDocument();
    } catch (error) {
      await this.#close();
      throw error;
    }
    log(
      "info",
      `agent ${version} (process ${ownPid}): host ${this.#record.name} of ${this.#document.cluster}`,
    );
  }

  /** Looks and acts until `stop`. Everything else goes on then. */
  async run(): Promise<void> {
    this.#loop = new Loop(this.#parts(), new Complaints(this.#options.log));
    await this.#loop.run(() => this.#ending);
    await this.#close();
  }

  stop(): void {
    this.#ending = true;
    this.#loop?.wake();
  }

  async #close(): Promise<void> {
    for (const close of this.#closers.splice(0)) await close();
    await this.#ownership.close();
    for (const member of [...this.#members, ...(this.#runtime?.nodes.values() ?? [])])
      await member.disconnect();
    await releaseLock(this.#options.layout.lockFile, ownPid);
  }

  async #recallRouting(): Promise<void> {
    const kept = await inspectJsonFile(this.#files.routing, routingSchema);
    if (kept?.ok !== true) return;
    this.#writes = kept.value.writes ?? undefined;
    for (const name of kept.value.reads) this.#pool.add(name);
  }

  async #rememberRouting(): Promise<void> {
    const { primary, pool } = this.#routing;
    await writeFileIfChanged(
      this.#files.routing,
      `${JSON.stringify({ writes: primary ?? null, reads: [...pool] } satisfies z.input<typeof routingSchema>)}\n`,
    );
  }

  #parts(): Part[] {
    const etcd = this.#etcdService;
    const patroni = this.#patroni;
    const endpoints = this.#endpoints;
    return [
      { name: "store", run: oneAtATime(async () => await this.#readStore()), aside: true },
      { name: "look", run: async () => await this.#lookAtMembers() },
      { name: "routing", run: () => this.#decide() },
      ...(endpoints
        ? [
            { name: "haproxy", run: async () => await this.#supervisor.check(endpoints) },
            { name: "endpoints", run: async () => await this.#lead(endpoints) },
            { name: "routing's record", run: async () => await this.#rememberRouting() },
          ]
        : []),
      { name: "configuration", run: oneAtATime(async () => await this.#applyDocument()), aside: true },
      {
        name: "members of the store",
        run: oneAtATime(every(MEMBERS_EVERY, async () => await this.#lookAtStoreMembers())),
        aside: true,
      },
      { name: "pool", run: oneAtATime(async () => await this.#keepPool()), aside: true },
      { name: "data", run: oneAtATime(async () => await this.#ensureData()), aside: true },
      { name: "removed", run: oneAtATime(async () => await this.#ceaseWhereRemoved()), aside: true },
      ...(etcd ? [{ name: "etcd", run: () => this.#supervisor.check(etcd), aside: true } as const] : []),
      ...(patroni
        ? [{ name: "patroni", run: () => this.#supervisor.check(patroni), aside: true } as const]
        : []),
      {
        name: "databases' owners",
        run: async () => this.#runtime && (await this.#ownership.tick(this.#runtime)),
        aside: true,
      },
      { name: "backup", run: async () => this.#runtime && (await this.#backups.tick(this.#runtime)) },
      {
        name: "other hosts",
        run: oneAtATime(every(OTHERS_EVERY, async () => await this.#askOthers())),
        aside: true,
      },
      {
        name: "work of the primary's host",
        run: oneAtATime(every(MEMBERS_EVERY, async () => await this.#leadersWork())),
        aside: true,
      },
    ];
  }

  get #storeAnswers(): boolean {
    return monotonic() - this.#storeAt < STORE_SILENT;
  }

  get #routing(): Routing {
    return { primary: this.#writes, pool: [...this.#pool].sort() };
  }

  async #readStore(): Promise<void> {
    const { cluster } = this.#document;
    const key = `${hostsPrefix(cluster)}document`;
    const [keys, stored] = await Promise.all([this.#etcd.list(patroniPrefix(cluster)), this.#etcd.get(key)]);
    this.#store = viewOfStore(keys);
    this.#poolOf = (await this.#etcd.get(poolKey(cluster)))?.value;
    this.#storeAt = monotonic();
    if (stored) {
      const parsed = parseJson(stored.value, documentSchema);
      if (parsed.ok) this.#document = parsed.value;
      else throw new Error(`the cluster's document in the store: ${parsed.problem}`);
    } else if ((await this.#etcdService?.startedAs())?.state === "new") {
      await this.#etcd.swap(key, 0n, JSON.stringify(this.#document));
    }
  }

  async #lookAtMembers(): Promise<void> {
    const own = [...(this.#runtime?.nodes.values() ?? [])];
    const [observations] = await Promise.all([
      Promise.all(this.#members.map(async (member) => await member.observeShared())),
      ...own.map(async (handle) => await handle.observeShared()),
    ]);
    this.#observations = observations;
  }

  #decide(): void {
    const input = {
      store: this.#store,
      storeAnswers: this.#storeAnswers,
      observations: this.#observations,
      last: this.#writes,
    };
    const writes = this.#onceUnread(writesTo(input));
    if (writes !== this.#writes)
      this.#options.log(
        "info",
        writes === undefined ? "writes wait for a primary" : `writes go to ${writes}`,
      );
    this.#writes = writes;
    const pool = this.#isFresh ? this.#hostPool.pool().names : this.#nearEnough(input);
    this.#pool.clear();
    for (const name of pool) this.#pool.add(name);
  }

  /** Whether the cluster promises that no read lacks what was acknowledged. */
  get #isFresh(): boolean {
    return this.#document.config.endpoints.read.consistency === "read-your-writes";
  }

  #mayBeRead(node: string): boolean {
    return this.#isFresh ? this.#hostPool.serves(node) : this.#pool.has(node);
  }

  /**
   * A new primary is written to only when nobody can be read from any more whom the one before granted: its commits do
   * not wait for them.
   */
  #onceUnread(writes: string | undefined): string | undefined {
    const isNew = this.#isFresh && writes !== undefined && writes !== this.#writes;
    return isNew && this.#storeAnswers && this.#poolOf !== undefined && this.#poolOf !== writes
      ? undefined
      : writes;
  }

  async #lead(endpoints: Endpoints): Promise<void> {
    const held = this.#hostPool.pool();
    const pool = this.#isFresh ? [...held.names].sort() : this.#routing.pool;
    await endpoints.route({ primary: this.#writes, pool });
    this.#hostPool.led(held);
  }

  /** Keeps the pool where this host's server is the primary, as far as that is known. */
  async #keepPool(): Promise<void> {
    if (!this.#isFresh) return;
    const { name } = this.#record;
    const own = this.#observations.find((seen) => seen.name === name);
    const facts = factsOf(own);
    const leads = this.#storeAnswers && this.#store?.leader === name;
    if (leads && own && facts && isPrimary(own))
      await this.#hostPool.keep(this.#sightFrom(own, `${facts.started_at} ${facts.processes_since}`));
    else if (facts?.in_recovery === true || (this.#storeAnswers && !leads))
      await this.#hostPool.keep(undefined);
  }

  #sightFrom(primary: NodeObservation, start: string): PoolSight {
    const replicas = this.#observations.filter(({ name }) => name !== primary.name);
    const members = new Set(this.#hostPool.pool().names);
    const { read } = this.#document.config.endpoints;
    const standings = this.#standings.decide(read, { primary, replicas, members });
    const replayed = replicas.flatMap((replica): [string, Lsn][] => {
      const lsn = factsOf(replica)?.replay_lsn;
      return lsn === undefined || lsn === null ? [] : [[replica.name, lsn]];
    });
    return {
      eligible: new Set(standings.filter(({ eligible }) => eligible).map(({ name }) => name)),
      replayed: new Map(replayed),
      start,
    };
  }

  #ownServer(): OwnServer {
    const { layout } = this.#options;
    const { node, files } = ownConfig(this.#ownFilesInput());
    const superuser = Superuser.of(layout, node);
    const use: OwnServer["use"] = async (act) => {
      const session = await superuser.session({
        applicationName: "odoo-pg agent",
        connectTimeout: OWN_SERVER_TIMEOUT,
        settings: { synchronous_commit: "local" },
      });
      try {
        return await act(session);
      } finally {
        await session.close();
      }
    };
    return {
      dataDir: files.dataDir,
      use,
      refuse: async (names) => {
        this.#refused = names;
        await writeOwnFiles(this.#ownFilesInput());
        await use(async (session) => await reloadAndWait(session, files.dataDir, node.name));
      },
    };
  }

  /** Where reads are not promised to be fresh: who is near enough. */
  #nearEnough(input: RoutingInput): readonly string[] {
    const primary = this.#observations.find(({ name }) => name === this.#writes);
    const { read } = this.#document.config.endpoints;
    const standings = this.#standings.decide(read, {
      primary: isPrimary(primary) ? primary : undefined,
      replicas: this.#observations.filter(({ name }) => name !== this.#writes),
      members: this.#pool,
    });
    const eligible = standings.filter((standing) => standing.eligible).map(({ name }) => name);
    return read.consistency === "eventual" ? eligible : readsFrom(eligible, this.#pool, input);
  }

  /** Takes up what the cluster's document says now. */
  async #applyDocument(): Promise<void> {
    const document = this.#document;
    const text = JSON.stringify([document, this.#record, this.#refused]);
    if (text === this.#applied) return;
    const input = this.#ownFilesInput(document);
    const changed = await writeOwnFiles(input);
    const wanted: NodeConfig[] = servedConfig(document).nodes;
    const kept = this.#members.filter(({ node }) => wanted.some((next) => same(next, node)));
    const left = this.#members.filter((member) => !kept.includes(member));
    this.#members = wanted.map(
      (node) => kept.find((member) => same(member.node, node)) ?? new RemoteServer(node, this.#collectd),
    );
    for (const member of left) await member.disconnect();
    if (wanted.length) await this.#endpoints?.ensure(this.#served(document), SILENT);
    // It looks for the store's members every 200 s only, and a reload does not tell it of them: so it is started again,
    // which its server does not notice.
    if (this.#installation && changed.patroni) await this.#patroni?.stop("immediate");
    if (this.#installation && changed.server) {
      const { files } = ownConfig(input);
      if (await findPostmaster(files.dataDir)) await reloadServer(files.dataDir);
    }
    if (this.#installation) {
      for (const handle of this.#runtime?.nodes.values() ?? []) await handle.disconnect();
      this.#runtime = await ownRuntime(
        { ...input, installation: this.#installation },
        this.#options.log,
        () => this.#loop?.wake(),
      );
    }
    this.#applied = text;
  }

  #served(document: ClusterDocument): Served {
    const { machine } = this.#options;
    return {
      config: servedConfig(document),
      machine,
      upstream: undefined,
      kept: document.settings,
      elsewhere: true,
    };
  }

  #ownFilesInput(document = this.#document): OwnFilesInput {
    const { layout, owner, machine } = this.#options;
    return {
      layout,
      owner,
      machine,
      record: this.#record,
      document,
      installation: this.#installation,
      refused: this.#refused,
    };
  }

  /** Sees who is a member of the store, and becomes or ceases to be one as the others have decided. */
  async #lookAtStoreMembers(): Promise<void> {
    const members = await this.#etcd.members();
    const own = peerUrlOf(this.#record);
    const addressOf = (url: string): string => new URL(url).hostname.replaceAll(/^\[|\]$/g, "");
    const statuses = new Map(
      await Promise.all(
        members.map(async ({ peerUrls: [url = ""] }) => {
          const status = await this.#etcd.status(addressOf(url)).catch(() => undefined);
          return [url, status] as const;
        }),
      ),
    );
    const terms = [...statuses.values()].map((status) => status?.raftTerm ?? 0n);
    const term = terms.reduce((most, next) => (next > most ? next : most), 0n);
    this.#voters = members.map(({ id, peerUrls: [peerUrl = ""], isLearner }) => {
      const status = statuses.get(peerUrl);
      const isLevel = status !== undefined && status.raftTerm === term && status.leader !== "0";
      return { id, peerUrl, isLearner, isLevel };
    });
    const ownStatus = statuses.get(own);
    this.#storeLeads = ownStatus !== undefined && ownStatus.leader === ownStatus.memberId;
    const voting = members
      .filter(({ isLearner }) => !isLearner)
      .flatMap(({ peerUrls }) => peerUrls.slice(0, 1).map(addressOf));
    if (voting.length && !same([...voting].sort(), [...this.#record.store].sort())) {
      this.#record = { ...this.#record, store: voting };
      await writeHostRecord(this.#options.layout, this.#record);
      this.#etcd.use(voting);
    }
    const service = this.#etcdService;
    if (!service) return;
    const start = await service.startedAs();
    const isMember = members.some(({ peerUrls }) => peerUrls.includes(own));
    if (isMember && !start) {
      const named = members.map(({ name, peerUrls: [url = ""] }): [string, string] => [
        url === own ? this.#record.name : name,
        url,
      ]);
      await service.become({ state: "existing", members: Object.fromEntries(named) });
    }
    if (!isMember && start) {
      await service.retire();
      await move(this.#files.etcdDir, `${this.#files.etcdDir}.removed-${now()}`);
    }
  }

  async #mayRunPatroni(): Promise<boolean> {
    if (!this.#installation || this.#store?.dynamic === undefined || this.#applied === "") return false;
    const { files } = ownConfig(this.#ownFilesInput());
    const data = await inspectDataDirectory(files.dataDir, this.#installation, this.#options.owner);
    return data.kind === "whole";
  }

  /** Copies the primary where this host has no data yet. */
  async #ensureData(): Promise<void> {
    if (!this.#installation || this.#applied === "" || !this.#isListed || this.#working !== undefined) return;
    const { files } = ownConfig(this.#ownFilesInput());
    const data = await inspectDataDirectory(files.dataDir, this.#installation, this.#options.owner);
    if (data.kind !== "absent" && data.kind !== "empty") return;
    // From when its slot is there the primary keeps what the copy will need.
    if (!this.#copySource?.hasSlot) return;
    await renameIn(await this.#copyPrimary(), files.dataDir);
  }

  /** The host that a copy is made of: the primary's, where it is another one and answers. */
  get #copySource(): { readonly host: Host; readonly hasSlot: boolean } | undefined {
    const { name } = this.#record;
    const primary = this.#observations.find((observation) => observation.name === this.#store?.leader);
    const host = databasesOf(this.#document).find((candidate) => candidate.name === primary?.name);
    const slots = factsOf(primary)?.slots;
    if (!host || !slots || host.name === name) return undefined;
    const hasSlot = slots.some((slot) => slot.slot_name === slotName(name) && slot.restart_lsn !== null);
    return { host, hasSlot };
  }

  /** Copies the primary beside this host's data directory, and tries the copy. @returns the directory of the copy */
  async #copyPrimary(): Promise<string> {
    const installation = this.#installation;
    const source = this.#copySource?.host;
    if (!installation || !source) throw notReady("The primary of another host does not answer.");
    const { layout, owner, log } = this.#options;
    const { config, node, files } = ownConfig(this.#ownFilesInput());
    const { port, shared } = this.#document;
    const { name } = this.#record;
    log("info", `copying ${source.name}`);
    this.#working = `copies ${source.name}`;
    try {
      const copy = await seedDataDirectory({
        config,
        layout,
        node,
        files,
        installation,
        owner,
        upstream: { host: source.address, port },
        source: copySource(layout, name, { address: source.address, port }),
        slot: undefined,
        onProgress: (done, total) => {
          const share = total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 0;
          this.#working = `copies ${source.name}: ${share} %`;
        },
      });
      this.#working = `tries the copy of ${source.name}`;
      await proveCopy(copy, files, name, shared, installation, owner);
      log("info", `${source.name} is copied`);
      return copy;
    } finally {
      this.#working = undefined;
    }
  }

  /** Whether the cluster's document still names this host. */
  get #isListed(): boolean {
    return this.#document.hosts.some(({ name }) => name === this.#record.name);
  }

  /** A host that the others have given up, and that came back, must not go on with what it has. */
  async #ceaseWhereRemoved(): Promise<void> {
    const patroni = this.#patroni;
    if (this.#isListed || !patroni || patroni.hold.operation !== undefined) return;
    this.#options.log(
      "warn",
      "this host was removed from the cluster: its server is stopped, its data stays",
    );
    await patroni.hold.take("remove");
    await patroni.stop("fast");
  }

  /** Another copy of the primary takes the place of this host's data, which is kept. */
  async #reseed(): Promise<{ done: string; changed: boolean }> {
    const patroni = this.#patroni;
    const { name } = this.#record;
    if (!patroni) throw notReady(`${name} has no database.`);
    if (this.#working !== undefined) throw notReady(`${name} ${this.#working}.`);
    if (this.#store?.leader === name)
      throw notReady(`${name} is the primary: make another host the primary first.`);
    const { files } = ownConfig(this.#ownFilesInput());
    const aside = `${files.dataDir}.aside-${stamp(now())}`;
    await patroni.hold.take("reseed");
    try {
      const copy = await this.#copyPrimary();
      await patroni.stop("fast");
      await stopServer(files.dataDir, name, "fast");
      await renameIn(files.dataDir, aside);
      await renameIn(copy, files.dataDir);
    } finally {
      patroni.hold.release();
    }
    await waitUntil(() => this.#store?.synchronous.includes(name) === true, {
      what: `${name} to follow the primary`,
      timeout: FOLLOW_TIMEOUT,
      interval: 200,
    });
    return {
      done: `${name} follows again. Its old data is kept in ${aside}: remove it when you are sure.`,
      changed: true,
    };
  }

  /** This host is none of the cluster's any more. Its data stays, aside. */
  async #leave(): Promise<{ done: string; changed: boolean }> {
    const { name } = this.#record;
    const { layout, log } = this.#options;
    if (!this.#storeAnswers) throw notReady("The store has no majority.");
    if (this.#store?.leader === name)
      throw notReady(`${name} is the primary: make another host the primary first (odoo-pg switchover).`);
    await changeDocument(this.#etcd, this.#document.cluster, (document) => withoutHost(document, name));
    // The others take its vote away; its member ends when it sees that.
    await waitUntil(async () => (await this.#etcdService?.startedAs()) === undefined, {
      what: `the other hosts to take the vote of ${name} away`,
      timeout: FOLLOW_TIMEOUT,
      interval: 200,
    });
    await this.#patroni?.hold.take("remove");
    await this.#patroni?.stop("fast");
    await this.#endpoints?.hold.take("remove");
    await this.#endpoints?.stop("fast");
    const time = stamp(now());
    if (this.#installation) {
      const { files } = ownConfig(this.#ownFilesInput());
      await stopServer(files.dataDir, name, "fast");
      await renameIn(files.dataDir, `${files.dataDir}.aside-${time}`);
    }
    const left = `${this.#files.dir}.left-${time}`;
    await move(layout.appliedFile, `${this.#files.dir}/cluster.json`);
    await move(layout.stateFile, `${this.#files.dir}/state.json`);
    await move(this.#files.dir, left);
    log("info", `${name} has left ${this.#document.cluster}`);
    this.stop();
    return {
      done: `${name} has left the cluster. Its data stays in ${layout.stateDir}, aside.`,
      changed: true,
    };
  }

  /** A host that is lost for good is none of the cluster's any more. */
  async #remove(host: string): Promise<{ done: string; changed: boolean }> {
    const known = this.#document.hosts.some(({ name }) => name === host);
    if (!known) {
      throw new OdooPgError("node_unknown", {
        message: `No host is named "${host}".`,
        safe: "Nothing was changed.",
        next: `One of: ${this.#document.hosts.map(({ name }) => name).join(", ")}`,
      });
    }
    if (this.#answers(host)) throw notReady(`${host} answers: run odoo-pg leave there.`);
    if (this.#store?.leader === host) throw notReady(`${host} is the primary still.`);
    if (!this.#storeAnswers) throw notReady("The store has no majority.");
    await changeDocument(this.#etcd, this.#document.cluster, (document) => withoutHost(document, host));
    return { done: `${host} is none of the cluster's hosts any more.`, changed: true };
  }

  async #askOthers(): Promise<void> {
    await Promise.all(
      this.#document.hosts
        .filter(({ name }) => name !== this.#record.name)
        .map(async ({ name, address }) => {
          const answer = await askTls({
            host: address,
            port: AGENT_PORT,
            method: "GET",
            path: "/report",
            trust: this.#identity,
            timeout: OTHER_TIMEOUT,
          }).catch(() => undefined);
          const parsed = parseJson(answer?.text ?? "", hostReportSchema);
          if (parsed.ok) this.#reports.set(name, { report: parsed.value, at: monotonic() });
        }),
    );
  }

  #answers(host: string): boolean {
    if (host === this.#record.name) return true;
    const known = this.#reports.get(host);
    return known !== undefined && monotonic() - known.at < AWAY_AFTER;
  }

  /** What is done once for the cluster: on the host that holds the leader's key, and on the first before there is one. */
  async #leadersWork(): Promise<void> {
    const store = this.#store;
    if (!store || !this.#storeAnswers) return;
    const isFirst = store.dynamic === undefined && (await this.#etcdService?.startedAs())?.state === "new";
    if (store.leader !== this.#record.name && !isFirst) return;
    await this.#keepDynamic(store);
    await this.#endPause(store);
    await this.#settleVotes();
  }

  /** Carries an order out; a change of the primary on the primary's host, whose server writes a checkpoint first. */
  async order(order: HostOrder): Promise<{ readonly done: string; readonly changed: boolean }> {
    if (order.order === "switchover") return await this.#switchover(order);
    if (order.order === "reseed") return await this.#reseed();
    if (order.order === "leave") return await this.#leave();
    if (order.order === "remove") return await this.#remove(order.host);
    return await this.#setPause(order.order === "pause" ? order.until : undefined);
  }

  async #switchover(
    order: Extract<HostOrder, { order: "switchover" }>,
  ): Promise<{ done: string; changed: boolean }> {
    const decision = decideSwitchover({
      store: this.#store,
      storeAnswers: this.#storeAnswers,
      databases: databasesOf(this.#document).map(({ name }) => name),
      lags: this.#lags(),
      to: order.to ?? undefined,
    });
    if (decision.kind === "refuse") {
      throw new OdooPgError("refused", {
        message: `No switchover: ${decision.why}.`,
        safe: "Nothing was changed.",
        next: decision.next,
      });
    }
    const { host } = decision;
    const leader = this.#store?.leader ?? "";
    if (decision.kind === "nothing") return { done: `${host} is the primary.`, changed: false };
    if (order.dry_run) return { done: `${host} would take over from ${leader}.`, changed: false };
    if (leader !== this.#record.name) return await this.#pass(leader, { ...order, to: host });
    // What is written now need not be written while everybody waits.
    await this.#runtime?.nodes.get(this.#record.node)?.use(checkpoint);
    const begun = monotonic();
    const answer = await askTls({
      host: this.#record.address,
      port: API_PORT,
      method: "POST",
      path: "/switchover",
      body: { leader, candidate: host },
      trust: this.#identity,
      timeout: SWITCHOVER_TIMEOUT,
    });
    // It also answers that it does not know although it goes on: what counts is who is primary.
    if (answer.status === 412 || answer.status === 400) {
      throw new OdooPgError("refused", {
        message: `Patroni refuses: ${answer.text.trim()}`,
        safe: "Nothing was changed.",
      });
    }
    await waitUntil(() => this.#writes === host, {
      what: `${host} to be the primary`,
      timeout: SWITCHOVER_TIMEOUT,
      interval: 50,
    });
    const took = ((monotonic() - begun) / 1000).toFixed(1);
    return {
      done: `${host} is the primary; it took ${took} s. To undo: odoo-pg switchover --to ${leader}`,
      changed: true,
    };
  }

  /** Has another host carry an order out. */
  async #pass(name: string, order: HostOrder): Promise<{ done: string; changed: boolean }> {
    const host = this.#document.hosts.find((other) => other.name === name);
    const answer = await askTls({
      host: host?.address ?? name,
      port: AGENT_PORT,
      method: "POST",
      path: "/order",
      body: order,
      trust: this.#identity,
      timeout: 3 * SWITCHOVER_TIMEOUT,
    });
    const parsed = parseJson(answer.text, hostOutcomeSchema);
    if (!parsed.ok) throw new Error(`${name} answers something else: ${parsed.problem}`);
    if ("error" in parsed.value) throw errorFromEvent(parsed.value.error);
    return parsed.value;
  }

  /** @param until milliseconds since the epoch; undefined: nothing is paused any more */
  async #setPause(until: number | undefined): Promise<{ done: string; changed: boolean }> {
    const store = this.#store;
    if (!store?.dynamic || !this.#storeAnswers) {
      throw new OdooPgError("refused", {
        message: "The store has no majority, so nothing can be changed.",
        safe: "Nothing was changed.",
      });
    }
    const { cluster } = this.#document;
    const key = `${hostsPrefix(cluster)}pause_until`;
    // Before the pause itself: one without an end would be forgotten.
    const known = await this.#etcd.get(key);
    await this.#etcd.swap(key, known?.revision ?? 0n, until === undefined ? "" : String(until));
    const change = dynamicChange(store.dynamic.value, { pause: until !== undefined });
    const told =
      until === undefined
        ? "Another host takes over again when the primary's is lost."
        : `Paused until ${new Date(until).toISOString()}: no other host takes over, and Patroni starts no server again. Before that: odoo-pg resume`;
    if (change === undefined) return { done: told, changed: false };
    const written = await this.#etcd.swap(`${patroniPrefix(cluster)}config`, store.dynamic.revision, change);
    if (written) return { done: told, changed: true };
    throw new OdooPgError("refused", {
      message: "The configuration was changed by somebody else in this moment.",
      safe: "Nothing was changed.",
      next: "The same command again.",
    });
  }

  async #endPause(store: StoreView): Promise<void> {
    if (!store.paused) return;
    const until = await this.#etcd.get(`${hostsPrefix(this.#document.cluster)}pause_until`);
    // Without one somebody else has paused it.
    if (!until || until.value === "" || Number(until.value) > now()) return;
    await this.#setPause(undefined);
    this.#options.log("info", "the pause is over");
  }

  #lags(): Map<string, number> {
    const primary = factsOf(this.#observations.find(({ name }) => name === this.#writes));
    return new Map(
      this.#observations.flatMap((observation): [string, number][] => {
        const facts = factsOf(observation);
        const bytes = facts?.in_recovery === true ? lagOf(facts, primary).bytes : undefined;
        return bytes === undefined ? [] : [[observation.name, bytes]];
      }),
    );
  }

  async #keepDynamic(store: StoreView): Promise<void> {
    const document = this.#document;
    const wanted = patroniDynamic(
      databasesOf(document).map(({ name }) => name),
      document.shared,
    );
    const change = dynamicChange(store.dynamic?.value, wanted);
    if (change === undefined) return;
    const key = `${patroniPrefix(document.cluster)}config`;
    await this.#etcd.swap(key, store.dynamic?.revision ?? 0n, change);
  }

  async #settleVotes(): Promise<void> {
    const hosts = this.#document.hosts
      .filter(({ role }) => role !== "endpoints")
      .map((host) => ({ name: host.name, peerUrl: peerUrlOf(host), answers: this.#answers(host.name) }));
    const step = nextVoterStep(hosts, this.#voters);
    if (!step) return;
    try {
      if (step.kind === "add") await this.#etcd.addLearner(step.peerUrl);
      else if (step.kind === "promote") await this.#etcd.promote(step.id);
      else await this.#etcd.remove(step.id);
      this.#options.log("info", `votes: ${step.kind === "add" ? `${step.host} comes in` : step.kind}`);
    } catch (error) {
      // A learner that has not caught up, members that have just changed: the next look tries again.
      if (!(error instanceof EtcdError)) throw error;
      this.#options.log("info", `votes: ${step.kind} waits: ${error.message}`);
    }
  }

  async #ownReport(): Promise<HostReport> {
    const { name, role, address } = this.#record;
    const observation = this.#observations.find((seen) => seen.name === name);
    const facts = factsOf(observation);
    const primary = factsOf(this.#observations.find((seen) => seen.name === this.#writes));
    const ownMember = this.#voters.find(({ peerUrl }) => peerUrl === peerUrlOf(this.#record));
    const hasMember = (await this.#etcdService?.startedAs()) !== undefined;
    return {
      name,
      role,
      address,
      version: this.#options.version,
      clock: now(),
      store: hasMember
        ? {
            answers: this.#etcdService?.lastAnswer === "answers",
            votes: ownMember?.isLearner === false,
            leads: this.#storeLeads,
          }
        : null,
      sees_store: this.#storeAnswers,
      patroni: this.#patroni
        ? { running: (await this.#patroni.find()) === "running", version: this.#patroni.version }
        : null,
      postgres:
        role === "database"
          ? {
              state: facts ? (facts.in_recovery ? "replica" : "primary") : "silent",
              streaming: facts?.receiver_status === "streaming",
              timeline: facts?.timeline ?? null,
              lag_bytes: facts?.in_recovery === true ? (lagOf(facts, primary).bytes ?? null) : null,
              version: facts?.version ?? null,
            }
          : null,
      reads: [...this.#pool].sort(),
      writes: this.#writes ?? null,
      working: this.#working ?? null,
    };
  }

  /** The whole cluster, as this host sees it. */
  async status(): Promise<HostsStatus> {
    const document = this.#document;
    const own = await this.#ownReport();
    const reports = new Map(this.#reports);
    reports.set(this.#record.name, { report: own, at: monotonic() });
    const votingUrls = this.#voters.filter(({ isLearner }) => !isLearner).map(({ peerUrl }) => peerUrl);
    const verdict = failoverVerdict({
      document,
      store: this.#store,
      storeAnswers: this.#storeAnswers,
      voters: document.hosts.filter((host) => votingUrls.includes(peerUrlOf(host))).map(({ name }) => name),
      answering: document.hosts.filter(({ name }) => this.#answers(name)).map(({ name }) => name),
    });
    return {
      version: 1,
      cluster: document.cluster,
      seen_from: this.#record.name,
      store: {
        answers: this.#storeAnswers,
        seconds_ago: Number.isFinite(this.#storeAt) ? seconds(monotonic() - this.#storeAt) : null,
      },
      primary: this.#writes ?? null,
      synchronous: [...(this.#store?.synchronous ?? [])],
      paused: this.#store?.paused ?? false,
      failover: {
        ready: verdict.obstacles.length === 0,
        obstacles: [...verdict.obstacles],
        away: [...verdict.away],
      },
      endpoints: {
        write: document.config.endpoints.write.port,
        read: document.config.endpoints.read.port,
      },
      hosts: document.hosts.map(({ name, role, address }) => {
        const known = reports.get(name);
        return {
          name,
          role,
          address,
          seconds_ago: known ? seconds(monotonic() - known.at) : null,
          report: known?.report ?? null,
        };
      }),
    };
  }

  #agentReport(): AgentReport {
    return {
      pid: ownPid,
      version: this.#options.version,
      build: this.#options.build,
      keeping: true,
      ending: this.#ending,
      operation: this.#working ?? null,
      primary: this.#writes ?? null,
      haproxy: true,
      pool: [...this.#pool].sort(),
      waiting_clients: null,
      poolers: null,
      overrides: [],
      failing_channels: [],
      rights: { problem: null, by_password: null },
      console: null,
      nodes: [],
    };
  }
}

async function programsOf(options: HostAgentOptions, { role }: HostRecord, { config }: ClusterDocument) {
  const { searchPath, install } = options;
  const machine = { searchPath, install };
  return {
    haproxy: role === "witness" ? undefined : await findHaproxy(config.haproxy.program, machine),
    etcd: role === "endpoints" ? undefined : await findEtcd(machine),
    patroni: role === "database" ? await findPatroni(machine) : undefined,
  };
}

function notReady(message: string): OdooPgError {
  return new OdooPgError("refused", { message, safe: "Nothing was changed.", next: odooPg("status") });
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

function seconds(milliseconds: number): number {
  return Math.round(milliseconds / 100) / 10;
}

/** What is still at it is not begun a second time. */
function oneAtATime(act: () => Promise<void>): () => Promise<void> {
  let running = false;
  return async () => {
    if (running) return;
    running = true;
    try {
      await act();
    } finally {
      running = false;
    }
  };
}

/** @param milliseconds between two times that it is done */
function every(milliseconds: number, act: () => Promise<void>): () => Promise<void> {
  let last = -Infinity;
  return async () => {
    if (monotonic() - last < milliseconds) return;
    last = monotonic();
    await act();
  };
}
