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
    meaning:
      "If the primary's host were lost now, no other would take over by itself. A pause does not count.",
    remedy: "`odoo-pg status` says what is missing.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 120, endsAfterSeconds: 60 },
  },
  host_away: {
    severity: "warning",
    meaning: "The agent of another host does not answer: the host is down or cut off, or its agent is down.",
    remedy: "Start the host, or `odoo-pg up` on it. If it is lost for good, remove it: `odoo-pg ha remove`.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  host_certificate_ends: {
    severity: "warning",
    meaning:
      "Hosts identify each other by one-year certificates, which agents renew 120 days before they expire. One that expires within 60 days was not renewed.",
    remedy:
      "The agent's log on that host says why: `odoo-pg logs`. A host without a database needs one with a database that answers.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 3600, endsAfterSeconds: 60 },
  },
  host_authority_ends: {
    severity: "warning",
    meaning:
      "The authority that signs the hosts' certificates lasts ten years and is not renewed. This is reported 500 days before it expires.",
    remedy:
      "Set the hosts up again to get a new one: `odoo-pg ha disband` on the primary's host, `odoo-pg leave` on the others, `odoo-pg ha init`, and `odoo-pg join`. No session on the primary is ended; until the others have joined, no other host takes over.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 3600, endsAfterSeconds: 60 },
  },
  window_copy_late: {
    severity: "warning",
    meaning:
      "Another host's copy of the repository of any second is more than five minutes behind, incomplete, or missing (`backup.any_second`).",
    why: "If the primary's host were lost now, that host could not bring back to the second what its copy lacks.",
    remedy:
      "`odoo-pg status` says how far each copy is; `odoo-pg logs agent` on that host says why. Write the same `backup.any_second` into the file of every host with a database, and install pgBackRest there.",
    foundBy: ["status"],
    alarm: { afterSeconds: 300, endsAfterSeconds: 60 },
  },
} as const satisfies Record<string, Trouble>;
