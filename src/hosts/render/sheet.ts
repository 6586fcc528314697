import { showBytes } from "../../model/quantities.ts";
import { printableLine } from "../../printable.ts";
import { isHeard } from "../decisions/heard.ts";
import { OBSTACLES } from "../decisions/verdict.ts";
import type { HostReport, HostsStatus } from "../documents/report.ts";

export const HEADINGS = ["HOST", "ADDRESS", "ROLE", "POSTGRESQL", "READS", "VOTE", "PATRONI"] as const;

/** Whose view it is, and how old. */
export function sayView({ cluster, seen_from, store }: HostsStatus): string {
  const ago = store.seconds_ago === null ? "" : `, ${Math.round(store.seconds_ago)} s ago`;
  const age = store.answers ? "" : ` The store does not answer (no majority): as seen from here${ago}.`;
  return `Cluster ${cluster}, as ${seen_from} sees it.${age}`;
}

/** Whether another host would take over by itself, or why not. */
export function sayFailover({ failover }: HostsStatus): string {
  if (!failover.ready)
    return `not ready: ${failover.obstacles.map((obstacle) => OBSTACLES[obstacle]).join("; ")}`;
  return failover.away.length
    ? `ready; ${failover.away.join(", ")} ${failover.away.length > 1 ? "are" : "is"} away, and until then no further host may fail`
    : "ready";
}

/** The old data that hosts keep, a line for each folder. What hosts say of themselves is the word of others. */
export function sayKeptAside({ hosts }: HostsStatus): string[] {
  return hosts.flatMap(({ name, report }) =>
    (report?.kept_aside ?? []).map((folder) => printableLine(`${name}: ${folder}`)),
  );
}

/** Disks of hosts that fill up, a line for each: a server without room for its WAL ends. */
export function sayFillingDisks({ hosts }: HostsStatus): string[] {
  return hosts.filter(isHeard).flatMap(({ name, report }) =>
    (report?.filling_disks ?? []).map(({ path, total_bytes: total, free_bytes: free }) => {
      const share = Math.floor((1 - free / Math.max(1, total)) * 100);
      return printableLine(`${name}: the disk of ${path} is ${share} % full, ${showBytes(free)} left`);
    }),
  );
}

/** A host, by the headings. */
export function rowOf(status: HostsStatus, host: HostsStatus["hosts"][number]): string[] {
  const { name, address, role, report, seconds_ago: age } = host;
  const away = age === null ? "never answered" : `silent for ${Math.round(age)} s`;
  if (!isHeard(host) || !report) return [name, address, role, away, "", "", ""];
  const reads = status.hosts.find((seen) => seen.name === status.seen_from)?.report?.reads ?? [];
  return [
    name,
    address,
    role,
    report.working ?? sayPostgres(report),
    role !== "database" ? "" : reads.includes(name) ? "yes" : name === status.primary ? "–" : "no",
    sayVote(report),
    report.patroni ? (report.patroni.running ? report.patroni.version : "down") : "",
  ];
}

function sayPostgres({ postgres }: HostReport): string {
  if (!postgres) return "";
  if (postgres.state !== "replica") return postgres.state;
  const lag = postgres.lag_bytes === null ? "" : `, ${showBytes(postgres.lag_bytes)} behind`;
  return `replica${postgres.streaming ? lag : ", does not stream"}`;
}

function sayVote({ store }: HostReport): string {
  if (!store) return "no";
  if (!store.answers) return "silent";
  return store.votes ? (store.leads ? "yes, leads" : "yes") : "not yet";
}
