import type { HostsStatus } from "../documents/report.ts";

/** Seconds after which what a host said last is old. */
const OLD = 5;

/** Whether what a host said last is of now. Pure */
export function isHeard({ seconds_ago: age }: HostsStatus["hosts"][number]): boolean {
  return age !== null && age <= OLD;
}
