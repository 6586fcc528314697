import { showBytes } from "../../model/quantities.ts";
import { printableLine } from "../../printable.ts";
import { isHeard } from "../decisions/heard.ts";
import { OBSTACLES } from "../decisions/primary/verdict.ts";
import type { HostReport, HostsStatus } from "../documents/report.ts";

export const HEADINGS = ["HOST", "ADDRESS", "ROLE", "POSTGRESQL", "READS", "VOTE", "PATRONI"] as const;

/** Which host's view it is, and how old. */
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

/** How a machine ceased to be a host of the cluster, and its way back; nothing of one that is one. */
export function sayRemoved({ removed, seen_from: own }: HostsStatus): string[] {
  if (!removed) return [];
  return [
    `${own} is no longer one of the cluster's hosts${sayOrder(removed)} Its server is stopped, its data stays. To come back: odoo-pg leave here, then odoo-pg join`,
  ];
}

function sayOrder(removed: NonNullable<HostsStatus["removed"]>): string {
  if (removed.how === "ordered")
    return `: it was removed${removed.by === null ? "" : ` by an order on ${removed.by}`} at ${utc(removed.at)}.`;
  if (removed.how === "unknown") return "; none of the others says by whose order.";
  return `, and no other host knows of an order to remove it: somebody took it out in the store, with the key of a host. Find out whose: see "New keys" in docs/high-availability.md.`;
}

function utc(at: number): string {
  return `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** What somebody has written into the store that counts for nothing; nothing where nobody has. */
export function sayStrange({ revoked_by_nobody: serials, document_problem: problem }: HostsStatus): string[] {
  return [
    ...(serials.length
      ? [
          printableLine(
            `somebody wrote into the store that certificates of the cluster's hosts are revoked (${serials.join(", ")}). They stay good. Whoever wrote it has the key of a host: see "New keys" in docs/high-availability.md`,
          ),
        ]
      : []),
    ...(problem === null
      ? []
      : [
          printableLine(
            `the cluster's document in the store cannot be read (${problem}). What runs goes on by the last one that could; no host joins, leaves or is removed, and no configuration is changed until it is put back: see "The store" in docs/high-availability.md`,
          ),
        ]),
  ];
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
