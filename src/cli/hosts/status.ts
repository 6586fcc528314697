import { toOdooPgError, type ExitStatus } from "../../errors.ts";
import { requireHostsStatus } from "../../hosts/ask-agent.ts";
import type { HostReport, HostsStatus } from "../../hosts/documents/report.ts";
import { sayBackups } from "../../hosts/decisions/backups.ts";
import { OBSTACLES } from "../../hosts/decisions/verdict.ts";
import { showBytes } from "../../model/quantities.ts";
import { pause } from "../../system/clock.ts";
import { onSignals } from "../../system/process/process.ts";
import { clearScreen } from "../../system/terminal.ts";
import type { Context } from "../context.ts";
import { showTable } from "../table.ts";

/** Seconds after which what a host said last is old. */
const OLD = 5;

/**
 * `status` where the cluster has several hosts: each host, where the endpoints of this one lead, and whether another
 * host would take over by itself.
 * @returns 0; 1 where there is no primary
 * @throws OdooPgError not_running
 */
export async function hostsSheet(
  { layout, output }: Pick<Context, "layout" | "output">,
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const status = await requireHostsStatus(layout);
  const exit = status.primary === null ? 1 : 0;
  if (options.json) {
    output.out(JSON.stringify(status, undefined, 2));
    return exit;
  }
  const { store } = status;
  const age = store.answers
    ? ""
    : ` The store does not answer (no majority): as seen from here${store.seconds_ago === null ? "" : `, ${Math.round(store.seconds_ago)} s ago`}.`;
  output.out(`Cluster ${status.cluster}, as ${status.seen_from} sees it.${age}`);
  showTable(
    output,
    ["HOST", "ADDRESS", "ROLE", "POSTGRESQL", "READS", "VOTE", "PATRONI"],
    status.hosts.map((host) => rowOf(status, host)),
  );
  const { endpoints } = status;
  const own = status.hosts.find(({ name }) => name === status.seen_from)?.report;
  if (own && own.role !== "witness") {
    output.out(`Write    127.0.0.1:${endpoints.write} → ${own.writes ?? "waits for a primary"}`);
    output.out(`Read     127.0.0.1:${endpoints.read} → ${own.reads.join(", ") || own.writes || "nobody"}`);
  }
  output.out(`Backups: ${sayBackups(status)}`);
  for (const { name, report } of status.hosts) {
    if (report?.kept_aside.length)
      output.out(`${name} keeps old data aside, yours to remove: ${report.kept_aside.join(", ")}`);
  }
  output.out(`Failover: ${sayFailover(status)}`);
  return exit;
}

/** Milliseconds between two sheets. */
const WATCH_EVERY = 2000;

/** The same again and again, until Ctrl-C. */
export async function watchHosts(context: Pick<Context, "layout" | "output">): Promise<ExitStatus> {
  const ended = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  try {
    while (!ended.signal.aborted) {
      if (context.output.terminal) clearScreen();
      await hostsSheet(context, { json: false }).catch((error: unknown) =>
        context.output.err(toOdooPgError(error).message),
      );
      context.output.out("");
      await pause(WATCH_EVERY, ended.signal).catch(() => {});
    }
  } finally {
    unhook();
  }
  return 130;
}

function sayFailover({ failover }: HostsStatus): string {
  if (!failover.ready)
    return `not ready: ${failover.obstacles.map((obstacle) => OBSTACLES[obstacle]).join("; ")}`;
  return failover.away.length
    ? `ready; ${failover.away.join(", ")} ${failover.away.length > 1 ? "are" : "is"} away, and until then no further host may fail`
    : "ready";
}

function rowOf(status: HostsStatus, host: HostsStatus["hosts"][number]): string[] {
  const { name, address, role, report, seconds_ago: age } = host;
  const isAway = age === null || age > OLD;
  const away = age === null ? "never answered" : `silent for ${Math.round(age)} s`;
  if (isAway || !report) return [name, address, role, away, "", "", ""];
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
