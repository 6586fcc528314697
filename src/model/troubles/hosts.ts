import type { Trouble } from "./trouble.ts";

/** Where a cluster has several hosts. */
export const HOSTS = {
  store_without_majority: {
    severity: "critical",
    meaning:
      "Fewer than half of the hosts that vote can reach each other. Writes go on only while all hosts with a database reach each other, and no other host takes over.",
    remedy: "Bring the other hosts back. `odoo-pg status` on each host says what it sees.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  failover_not_ready: {
    severity: "warning",
    meaning: "No other host would take over by itself if the primary's were lost now. A pause is none.",
    remedy: "`odoo-pg status` says what is missing.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 120, endsAfterSeconds: 60 },
  },
  host_away: {
    severity: "warning",
    meaning: "The agent of another host does not answer: the host is down, or cut off, or its agent is.",
    remedy:
      "Start the host, or `odoo-pg up` on it. One that is lost for good is taken out: `odoo-pg ha remove`.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  host_certificate_ends: {
    severity: "warning",
    meaning:
      "Hosts know each other by certificates of a year, which each agent has renewed 120 days before they end. One that ends within 60 days was not renewed.",
    remedy:
      "The agent's log on that host says why: `odoo-pg logs`. A host without a database needs one with a database that answers.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 3600, endsAfterSeconds: 60 },
  },
  host_authority_ends: {
    severity: "warning",
    meaning:
      "The authority that signs the hosts' certificates lasts ten years, and nobody renews it. This is told 500 days before it ends.",
    remedy:
      "A new one is made with the hosts: `odoo-pg ha disband` on the primary's host, `odoo-pg leave` on the others, `odoo-pg ha init`, and `odoo-pg join`. No session on the primary is ended; until the others have joined no other host takes over.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 3600, endsAfterSeconds: 60 },
  },
} as const satisfies Record<string, Trouble>;
