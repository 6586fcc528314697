import { CLUSTER } from "../../model/troubles/cluster.ts";
import { REPLICATION } from "../../model/troubles/replication.ts";
import { warning, type FoundWarning, type Warning } from "../../model/warnings.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import type { HostsStatus } from "../documents/report.ts";
import { authorityEndsSoon, endsSoon } from "./certificates/certificate.ts";
import { archivingWarnings, copyWarnings } from "./any-second.ts";
import { OBSTACLES } from "./primary/verdict.ts";

/**
 * Warnings about a cluster of several hosts. Alarms for them come from the primary's host; that there is no majority, and so
 * perhaps no primary, each host reports for itself. Pure.
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
  if (primary !== own) return ofEarlierPrimary(status);
  // A pause was ordered, and ends by itself.
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
    ...archivingWarnings(status),
    ...copyWarnings(status),
    ...failover.away.map((host) =>
      warning("host_away", {
        node: host,
        message: `${host} does not answer.`,
        next: odooPg("status"),
      }),
    ),
  ];
}

/** What a primary's host of another version of odoo-pg may not know to warn of. */
function ofEarlierPrimary(status: HostsStatus): FoundWarning[] {
  const versionOf = (host: string | null): string | undefined =>
    status.hosts.find(({ name }) => name === host)?.report?.version;
  const [own, primary] = [versionOf(status.seen_from), versionOf(status.primary)];
  if (own === undefined || primary === undefined || own === primary) return [];
  return archivingWarnings(status).filter(({ code }) => code === "window_broken");
}

/** All hosts have the same authority, so one warning is enough. */
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

/** Warnings of status about nodes and their replication: with several hosts the hosts' own warnings stand for them. */
const OF_NODES: readonly string[] = [...Object.keys(CLUSTER), ...Object.keys(REPLICATION)];

/**
 * The warnings of the primary's own status that count with several hosts. Pure.
 * @param isBackedUpElsewhere whether another host has a good backup that is young enough: that of this one may be old
 */
export function ownWarnings(warnings: readonly Warning[], isBackedUpElsewhere: boolean): Warning[] {
  return warnings.filter(
    ({ code }) => !OF_NODES.includes(code) && !(isBackedUpElsewhere && code === "backup_too_old"),
  );
}
