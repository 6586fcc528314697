import { backupPlaceOf } from "../../backup/place.ts";
import { isYoung } from "../../cluster/backups/backups.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import type { Config } from "../../config/schema.ts";
import { factsOf, lagOf } from "../../model/observation.ts";
import { verdictOf, warningInDocument } from "../../model/warnings.ts";
import type { StatusSource } from "../../observe/status-source.ts";
import { monotonic, now } from "../../system/clock.ts";
import { newestBackupElsewhere } from "../decisions/backups.ts";
import { hostWarnings, ownWarnings } from "../decisions/host-warnings.ts";
import { failoverVerdict } from "../decisions/primary/verdict.ts";
import type { HostReport, HostsStatus } from "../documents/report.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import { peerUrlOf } from "../documents/places.ts";
import type { HostData } from "./own-server/host-data.ts";
import type { HostRouting } from "./endpoints/host-routing.ts";
import type { NewClients } from "./endpoints/new-clients.ts";
import type { OtherHosts } from "./other-hosts.ts";
import type { OwnCertificate } from "./own-certificate.ts";
import type { OwnNode } from "./own-server/own-node.ts";
import type { Servers } from "./servers.ts";
import type { Revocations } from "../revoking/revocations.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Serial numbers that are named at most: whoever writes into the store makes up as many as he likes. */
const MOST_TOLD = 20;

export interface SeenParts {
  /** Of odoo-pg. */
  readonly version: string;
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly others: OtherHosts;
  readonly routing: HostRouting;
  readonly newClients: NewClients;
  readonly node: OwnNode;
  readonly data: HostData;
  readonly patroni: PatroniService | undefined;
  readonly certificate: OwnCertificate;
  readonly anySecond: () => HostReport["any_second"];
  readonly revocations: Revocations;
  /** Up to when all databases are backed up here, ISO 8601. */
  readonly lastGoodBackup: () => Promise<string | null>;
}

/** What this host says of itself, to the agents of the others. */
export async function ownReport(parts: SeenParts): Promise<HostReport> {
  const { version, store, servers, routing, node, data, patroni } = parts;
  const { name, role, address } = store.record;
  const facts = factsOf(servers.of(name));
  const primary = factsOf(servers.of(routing.writes));
  const ownMember = store.members.find(({ peerUrl }) => peerUrl === peerUrlOf(store.record));
  const hasMember = (await store.startedAs()) !== undefined;
  return {
    name,
    role,
    address,
    version,
    clock: now(),
    store: hasMember
      ? { answers: store.memberAnswers, votes: ownMember?.isLearner === false, leads: store.leads }
      : null,
    sees_store: store.answers,
    patroni: patroni ? { running: (await patroni.find()) === "running", version: patroni.version } : null,
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
    reads: routing.reads,
    writes: routing.writes ?? null,
    holds: parts.newClients.held?.host ?? null,
    configuration: node.configuration,
    working: data.working ?? (await data.waitsFor()) ?? null,
    certificate_ends: parts.certificate.ends,
    authority_ends: parts.certificate.authorityEnds,
    kept_aside: [...(await data.keptAside())],
    backups: node.runtime ? backupsBy(node.runtime.config, await parts.lastGoodBackup()) : null,
    any_second: parts.anySecond(),
    machine: node.machine ?? null,
    filling_disks: await data.fillingDisks(),
  };
}

function backupsBy(config: Config, lastGoodAt: string | null): HostReport["backups"] {
  const { enabled, schedule } = config.backup;
  return {
    schedule: enabled && schedule !== "off" ? schedule : null,
    directory: backupPlaceOf(config).dir,
    last_good_at: lastGoodAt,
  };
}

/** The whole cluster, as this host sees it. */
export async function statusOf(parts: SeenParts): Promise<HostsStatus> {
  const { store, others, routing } = parts;
  const { document } = store;
  const reports = new Map(others.heard);
  reports.set(store.record.name, { report: await ownReport(parts), at: monotonic() });
  const votingUrls = store.members.filter(({ isLearner }) => !isLearner).map(({ peerUrl }) => peerUrl);
  const behind = store.members.filter(({ isLevel }) => !isLevel).map(({ peerUrl }) => peerUrl);
  const verdict = failoverVerdict({
    document,
    store: store.view,
    storeAnswers: store.answers,
    voters: document.hosts.filter((host) => votingUrls.includes(peerUrlOf(host))).map(({ name }) => name),
    // One whose vote has not found back to the others yet, minutes after a cut at worst, is as good as away.
    answering: document.hosts
      .filter((host) => others.answers(host.name) && !behind.includes(peerUrlOf(host)))
      .map(({ name }) => name),
  });
  return {
    version: 1,
    cluster: document.cluster,
    seen_from: store.record.name,
    store: {
      answers: store.answers,
      seconds_ago: Number.isFinite(store.answeredAt) ? secondsSince(store.answeredAt) : null,
    },
    primary: routing.writes ?? null,
    synchronous: [...(store.view?.synchronous ?? [])],
    paused: store.view?.paused ?? false,
    failover: {
      ready: verdict.obstacles.length === 0,
      obstacles: [...verdict.obstacles],
      away: [...verdict.away],
    },
    endpoints: {
      write: document.config.endpoints.write.port,
      read: document.config.endpoints.read.port,
    },
    removed: parts.revocations.removal ?? null,
    revoked_by_nobody: store.leftOut.slice(0, MOST_TOLD),
    document_problem: store.documentProblem ?? null,
    hosts: document.hosts.map(({ name, role, address }) => {
      const known = reports.get(name);
      return {
        name,
        role,
        address,
        seconds_ago: known ? secondsSince(known.at) : null,
        report: known?.report ?? null,
      };
    }),
  };
}

/** @param at of the monotonic clock */
function secondsSince(at: number): number {
  return Math.round((monotonic() - at) / 100) / 10;
}

/** The whole cluster, as this host sees it, or was told where it has endpoints alone. */
export async function wholeStatus(parts: SeenParts, told: HostsStatus | undefined): Promise<HostsStatus> {
  const own = await statusOf(parts);
  if (!told) return own;
  const { seen_from, store, primary, removed } = own;
  const hosts = told.hosts.map(
    (host) => own.hosts.find(({ name }) => name === host.name && name === seen_from) ?? host,
  );
  return { ...told, seen_from, store, primary, removed, hosts };
}

/**
 * What alarms are judged by: the server that is primary, and the hosts; elsewhere the host's own disks.
 * @param ownStatus of this host's own server, as of a cluster of one host
 */
export async function alarmStatus(parts: SeenParts, ownStatus: StatusSource): Promise<StatusDocument> {
  const [own, hosts] = await Promise.all([ownStatus.status(), statusOf(parts)]);
  const { answers, isListed, view, record } = parts.store;
  const leads = answers && isListed && view?.leader === record.name;
  const warnings = [
    ...hostWarnings(hosts).map((found) => warningInDocument(found, undefined)),
    ...(leads ? ownWarnings(own.warnings, isBackedUpElsewhere(parts, hosts)) : []),
  ];
  return { ...own, warnings, verdict: verdictOf(warnings) };
}

function isBackedUpElsewhere({ node }: SeenParts, hosts: HostsStatus): boolean {
  const hours = node.runtime?.config.backup.max_age_hours;
  return hours !== undefined && isYoung(newestBackupElsewhere(hosts)?.at, hours, now());
}
