import { CLUSTER } from "../../model/troubles/cluster.ts";
import { REPLICATION } from "../../model/troubles/replication.ts";
import { warning, type FoundWarning, type Warning } from "../../model/warnings.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import type { HostsStatus } from "../documents/report.ts";
import { authorityEndsSoon, endsSoon } from "./certificate.ts";
import { OBSTACLES } from "./verdict.ts";

/**
 * What of several hosts is worth an alarm. The primary's host tells it once for all; that there is no majority, and so
 * perhaps no primary, each host tells by itself. Pure.
 */
export function hostWarnings(status: HostsStatus): FoundWarning[] {
  const { store, seen_from: own, primary, failover } = status;
  if (!store.answers)
    return [
      warning("store_without_majority", {
        message: `${own} gets no answer from a majority of the store.`,
        next: odooPg("status"),
      }),
    ];
  if (primary !== own) return [];
  // Someone has ordered a pause, and it ends by itself.
  const obstacles = failover.obstacles.filter((obstacle) => obstacle !== "paused");
  return [
    ...(obstacles.length
      ? [
          warning("failover_not_ready", {
            message: `No other host would take over: ${obstacles.map((obstacle) => OBSTACLES[obstacle]).join("; ")}.`,
            next: odooPg("status"),
          }),
        ]
      : []),
    ...status.hosts.flatMap(({ name, report }) => {
      const ends = report?.certificate_ends ?? undefined;
      if (!report || ends === undefined || !endsSoon(ends, report.clock)) return [];
      return warning("host_certificate_ends", {
        node: name,
        message: `The certificate by which the other hosts know ${name} expires on ${new Date(ends).toISOString().slice(0, 10)}, and was not renewed.`,
        next: nextStep`On ${name}: ${odooPg("logs")}`,
      });
    }),
    ...authorityWarnings(status),
    ...failover.away.map((host) =>
      warning("host_away", {
        node: host,
        message: `${host} does not answer.`,
        next: odooPg("status"),
      }),
    ),
  ];
}

/** All hosts have the same authority: what this one says of it counts for all. */
function authorityWarnings({ hosts, seen_from: own }: HostsStatus): FoundWarning[] {
  const report = hosts.find(({ name }) => name === own)?.report;
  const ends = report?.authority_ends ?? undefined;
  if (!report || ends === undefined || !authorityEndsSoon(ends, report.clock)) return [];
  return [
    warning("host_authority_ends", {
      message: `The authority of the hosts' certificates expires on ${new Date(ends).toISOString().slice(0, 10)}, and with it all connections between them.`,
      next: nextStep`Set the hosts up again before then, at a quiet hour; no session on the primary is ended: ${odooPg("ha", "disband")}, then ${odooPg("ha", "init", "--address", "ADDRESS")}`,
    }),
  ];
}

/** What a server that looks like a cluster of one host says of nodes and their replication: here that is for the hosts. */
const OF_NODES: readonly string[] = [...Object.keys(CLUSTER), ...Object.keys(REPLICATION)];

/**
 * What of the primary's own status counts with several hosts. Pure.
 * @param isBackedUpElsewhere whether another host has a good backup that is young enough: that of this one may be old
 */
export function ownWarnings(warnings: readonly Warning[], isBackedUpElsewhere: boolean): Warning[] {
  return warnings.filter(
    ({ code }) => !OF_NODES.includes(code) && !(isBackedUpElsewhere && code === "backup_too_old"),
  );
}
