import type { HostsStatus } from "../documents/report.ts";

/** Seconds after which a host's last report is stale. */
const OLD = 5;

/** Whether a host's last report is current. Pure */
export function isHeard({ seconds_ago: age }: HostsStatus["hosts"][number]): boolean {
  return age !== null && age <= OLD;
}
