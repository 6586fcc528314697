import type { HostsSeen } from "../../advice/doctor/evidence.ts";
import type { Layout } from "../../config/layout.ts";
import { hostsStatus } from "../../hosts/ask-agent.ts";
import { newestBackupElsewhere } from "../../hosts/decisions/backups.ts";
import { isHeard } from "../../hosts/decisions/heard.ts";
import { hostWarnings } from "../../hosts/decisions/host-warnings.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import type { HostsStatus } from "../../hosts/documents/report.ts";
import { now } from "../../system/clock.ts";

/** Timeout for the agent of this host to report on the others, in milliseconds. */
const AGENT_TIMEOUT = 3000;

/**
 * The facts that doctor needs about several hosts; undefined where the cluster has one. @throws OdooPgError state_dir_unusable
 */
export async function hostsSeen(layout: Layout): Promise<HostsSeen | undefined> {
  const record = await readHostRecord(layout);
  if (!record) return undefined;
  const status = await hostsStatus(layout, AGENT_TIMEOUT);
  return status ? toldBy(status, now()) : silent(record.name);
}

/** It is unknown which host is the primary's: findings about all hosts are reported nowhere. */
function silent(own: string): HostsSeen {
  return {
    own,
    primary: undefined,
    others: [],
    warnings: [],
    backedUp: undefined,
    silence: "the agent of this host does not answer: odoo-pg up starts it",
  };
}

/** @param time milliseconds since the epoch, at which the status was reported. Pure */
export function toldBy(status: HostsStatus, time: number): HostsSeen {
  return {
    own: status.seen_from,
    primary: status.primary ?? undefined,
    others: status.hosts
      .filter(({ name }) => name !== status.seen_from)
      .map((host) => {
        const { name, role, report, seconds_ago: age } = host;
        const told = isHeard(host) && report && age !== null ? report : undefined;
        return {
          name,
          hasDatabase: role === "database",
          answers: isHeard(host),
          version: told?.postgres?.version ?? undefined,
          aheadSeconds: told && (told.clock - (time - (age ?? 0) * 1000)) / 1000,
        };
      }),
    warnings: hostWarnings(status),
    backedUp: newestBackupElsewhere(status),
    silence: undefined,
  };
}
