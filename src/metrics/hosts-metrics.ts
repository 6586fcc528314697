import type { Sample } from "./exposition.ts";
import { sample } from "./server-metrics.ts";

/** How several hosts are, as one of them sees it. */
export interface HostsFigures {
  readonly cluster: string;
  /** Whether this host has the primary: it tells what is of all hosts, so that sums over hosts are right. */
  readonly leads: boolean;
  readonly storeAnswers: boolean;
  readonly failoverReady: boolean;
  readonly hosts: readonly { readonly name: string; readonly role: string; readonly answers: boolean }[];
  /** Seconds since the moment up to which each host has a copy of the repository; null where it has none. */
  readonly copies: readonly { readonly name: string; readonly age: number | null }[];
}

/** Figures of all hosts come from the primary's host alone; each host reports whether the store answers it. */
export function hostsMetrics({
  cluster,
  leads,
  storeAnswers,
  failoverReady,
  hosts,
  copies,
}: HostsFigures): Sample[] {
  return [
    ...sample("odoo_pg_store_answers", { cluster }, storeAnswers),
    ...(leads
      ? [
          ...sample("odoo_pg_failover_ready", { cluster }, failoverReady),
          ...hosts.flatMap(({ name, role, answers }) =>
            sample("odoo_pg_host_answers", { cluster, host: name, role }, answers),
          ),
          ...copies.flatMap(({ name, age }) =>
            sample("odoo_pg_window_copy_age_seconds", { cluster, host: name }, age),
          ),
        ]
      : []),
  ];
}
