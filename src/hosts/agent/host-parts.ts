import { AttachmentsCompanion } from "../../agent/backups/attachments-companion.ts";
import { BackupSchedule, runInBackground } from "../../agent/backups/backup-schedule.ts";
import { DatabaseOwnership } from "../../agent/database-ownership.ts";
import { OperationQueue } from "../../agent/operation-queue.ts";
import { Alarms } from "../../alarms/alarms.ts";
import type { AgentReport } from "../../cluster/documents/agent-report.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { Etcd } from "../../consensus/etcd.ts";
import { factsOf } from "../../model/observation.ts";
import { StatusSource } from "../../observe/status-source.ts";
import { Endpoints } from "../../services/endpoints.ts";
import { Supervisor } from "../../services/supervisor.ts";
import { calledAnywhere } from "../../system/called.ts";
import { monotonic } from "../../system/clock.ts";
import { HostArchive } from "../archiving/host-archive.ts";
import type { Leading } from "../decisions/primary/overtaken.ts";
import { hostFiles } from "../documents/files.ts";
import { databasesOf } from "../documents/host-config.ts";
import type { HostsStatus } from "../documents/report.ts";
import { JoinServer } from "../joining/join-server.ts";
import { EtcdService } from "../programs/etcd-service.ts";
import { PatroniService } from "../programs/patroni-service.ts";
import { Revocations } from "../revoking/revocations.ts";
import { AppliedDocument } from "./applied-document.ts";
import { Door } from "./door.ts";
import { HostPool } from "./endpoints/host-pool.ts";
import { HostPoolers } from "./endpoints/host-poolers.ts";
import { HostRouting } from "./endpoints/host-routing.ts";
import { NewClients } from "./endpoints/new-clients.ts";
import { ServedEndpoints } from "./endpoints/served-endpoints.ts";
import { FileConfig } from "./file-config.ts";
import type { Found, HostAgentOptions } from "./found-here.ts";
import { Guest, viewFor } from "./guest.ts";
import { hostConsole } from "./host-console.ts";
import { alarmStatus, ownReport, statusOf, wholeStatus, type SeenParts } from "./host-status.ts";
import type { OneHost } from "./host.ts";
import { LeadersWork } from "./leaders-work.ts";
import { AskedRestarts } from "./orders/asked-restarts.ts";
import { HostOrders } from "./orders/host-orders.ts";
import { OtherHosts } from "./other-hosts.ts";
import { OwnCertificate, type OwnIdentity } from "./own-certificate.ts";
import { HostData } from "./own-server/host-data.ts";
import { OwnNode } from "./own-server/own-node.ts";
import { Servers } from "./servers.ts";
import { StoreWatch } from "./store-watch.ts";

/** What the parts ask of their agent. */
export interface PartsAgent {
  /** Makes the next turn of its loop begin soon. */
  readonly wake: () => void;
  readonly stop: () => void;
  readonly report: () => AgentReport;
}

/** What the agent of one of several hosts is made of. */
export type HostParts = ReturnType<typeof hostParts>;

/** Makes the parts, and gives each those that it works with. */
export function hostParts(options: HostAgentOptions, found: Found, agent: PartsAgent) {
  const { layout, owner, machine, log, version, program } = options;
  const { record, document, installation, register, programs, collectd } = found;
  const called = calledAnywhere(program);
  const identity: OwnIdentity = { ...found.identity, id: record.id };
  const files = hostFiles(layout);
  const etcd = new Etcd(record.store, identity);
  const fileConfig = new FileConfig(layout, found.fileConfig);
  const host: OneHost = {
    layout,
    owner,
    machine,
    log,
    files,
    identity,
    installation,
    etcd,
    fileConfig: () => fileConfig.now,
  };

  // The store, who is in it, and what this host knows of the others.
  const service = { files, record, identity, owner };
  const etcdService = programs.etcd && new EtcdService({ ...service, program: programs.etcd });
  const store = new StoreWatch(host, etcdService, { record, document, register });
  const certificate = new OwnCertificate(host, store, identity);
  const servers = new Servers(collectd);
  const others = new OtherHosts(host, store);

  // This host's own server.
  const node = new OwnNode(host, store);
  const patroni =
    programs.patroni &&
    new PatroniService(
      { ...service, program: programs.patroni },
      async () => await node.mayRunPatroni(),
      () => whoLeads(store, servers),
    );
  const revocations = new Revocations(host, { store, servers, node, etcd: etcdService, patroni });
  const data = new HostData(host, store, servers, node);

  // None on a witness: nobody asks it for a database.
  const endpoints = programs.haproxy && new Endpoints(layout, owner, log);
  if (endpoints) endpoints.program = programs.haproxy;
  const hostPool = new HostPool({
    name: record.name,
    cluster: document.cluster,
    identity,
    etcd,
    databases: () => databasesOf(store.document),
    server: installation && node.server(),
    log,
    wake: agent.wake,
  });
  // None where there is no server: it says who may log in.
  const poolers = installation && new HostPoolers(host, store, node, options);
  const served = new ServedEndpoints({ machine, store, servers, endpoints, poolers });
  const routing = new HostRouting(host, store, servers, hostPool);
  const newClients = new NewClients(endpoints);
  // On a host with endpoints alone.
  const guest = record.role === "endpoints" ? new Guest(host, store, newClients) : undefined;

  // What an agent of one host does, too.
  const supervisor = new Supervisor(log);
  const ownership = new DatabaseOwnership();
  const backups = new BackupSchedule(runInBackground(program));
  const attachments = new AttachmentsCompanion({ program, turns: new OperationQueue(log) });
  const alarms = new Alarms(called);
  const archive = new HostArchive(host, {
    ...options,
    node,
    name: record.name,
    document: () => store.document,
    view: () => store.view,
    answers: (name) => others.answers(name),
  });
  // Of this host's own server, as of a cluster of one host.
  const ownStatus = new StatusSource({
    layout,
    runtime: () => node.runtime,
    failure: () => undefined,
    report: async () => await Promise.resolve(agent.report()),
  });

  const seen: SeenParts = {
    version,
    store,
    servers,
    others,
    routing,
    newClients,
    node,
    data,
    patroni,
    certificate,
    anySecond: () => archive.report,
    revocations,
    lastGoodBackup: async () => (await ownStatus.backups())?.last_good_at ?? null,
  };
  const report = async () => await ownReport(seen);
  const status = async (): Promise<HostsStatus> => await wholeStatus(seen, guest?.status);
  const judged = async (): Promise<StatusDocument> => await alarmStatus(seen, ownStatus);

  // What is ordered, by people and by other hosts.
  const asked = new AskedRestarts(host, { store, servers, others, node });
  const work = new LeadersWork(host, store, others, asked);
  const orders = new HostOrders(host, {
    ...seen,
    pool: hostPool,
    etcd: etcdService,
    endpoints,
    poolers,
    revocations,
    asked,
    stop: agent.stop,
  });
  const console = hostConsole({
    options,
    called,
    runtime: () => node.runtime,
    ownStatus,
    judged,
    hosts: status,
    carryOut: async (order) => await orders.carryOut(order),
  });
  const join = new JoinServer({
    layout,
    owner,
    record,
    etcd,
    report,
    order: async (order) => await orders.carryOut(order),
    view: async (name, body) =>
      viewFor(name, body, { store, others, newClients, status: await statusOf(seen) }),
    storeAnswers: () => store.answers,
    isSure: () => store.answers && store.isListedInStore,
    document: () => store.document,
    certificates: store,
  });
  const door = new Door(host, { store, hostPool, archive, join });
  const applied = new AppliedDocument({
    fileConfig,
    archive,
    node,
    patroni,
    console,
    served,
    wake: agent.wake,
  });

  return {
    store,
    etcdService,
    certificate,
    servers,
    others,
    node,
    patroni,
    revocations,
    data,
    endpoints,
    hostPool,
    poolers,
    routing,
    guest,
    supervisor,
    ownership,
    backups,
    attachments,
    alarms,
    archive,
    work,
    orders,
    console,
    join,
    door,
    applied,
    report,
    status,
    judged,
  };
}

/** By which a Patroni that hangs is told. */
function whoLeads({ answers, view, record }: StoreWatch, servers: Servers): Leading {
  return {
    at: monotonic(),
    inRecovery: factsOf(servers.of(record.name))?.in_recovery,
    leader: answers ? view?.leader : undefined,
    name: record.name,
    isPaused: view?.paused === true,
  };
}
