import { printableLine } from "../../printable.ts";
import type { HostsStatus } from "../documents/report.ts";
import { isHeard } from "./heard.ts";

/**
 * Whether this host makes the cluster's scheduled backups: while it has the right to send writes to its own server, which no
 * two hosts have at a time. An old primary that is cut off or frozen makes none, even if it believes to be the primary.
 * @param writes the host that writes go to, as this one has the right to say; undefined: nobody
 */
export function makesBackups(own: string, writes: string | undefined): boolean {
  return own === writes;
}

/** A sentence: on which host scheduled backups are made now, when, and where they lie. */
export function sayBackups({ primary, hosts }: Pick<HostsStatus, "primary" | "hosts">): string {
  if (primary === null) return "none are made while there is no primary";
  const report = hosts.find(({ name }) => name === primary)?.report;
  // Its agent has not reported yet, or is of an earlier version.
  if (!report?.backups) return `on ${primary}, by the configuration file of that host`;
  const { schedule, directory } = report.backups;
  return schedule === null
    ? `none by schedule on ${primary}, the primary's host: its own configuration file says so`
    : `on ${primary}, the primary's host, by ${printableLine(`${schedule}, into ${directory}`)}`;
}

/**
 * The newest good backup of all databases that another host has: after a change of the primary those before it lie
 * there. One that does not answer may be lost with its backups. Pure.
 */
export function newestBackupElsewhere({
  hosts,
  seen_from: own,
}: Pick<HostsStatus, "hosts" | "seen_from">): { readonly host: string; readonly at: string } | undefined {
  const found = hosts.flatMap((host) => {
    const at = host.report?.backups?.last_good_at ?? null;
    return host.name === own || at === null || !isHeard(host) ? [] : [{ host: host.name, at }];
  });
  return found.toSorted((a, b) => Date.parse(b.at) - Date.parse(a.at))[0];
}
