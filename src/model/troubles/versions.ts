import type { Trouble } from "./trouble.ts";

export const VERSIONS = {
  major_version_ends_soon: {
    severity: "advice",
    meaning: "The community stops supporting this major version of PostgreSQL within six months.",
    why: "A major upgrade needs planning (PostgreSQL versioning policy, https://www.postgresql.org/support/versioning/).",
    remedy: "[Upgrade](operations.md#upgrade)",
    foundBy: ["doctor"],
  },
  major_version_ended: {
    severity: "warning",
    meaning: "This major version of PostgreSQL is past its end of life.",
    why: "Its security holes are no longer fixed (PostgreSQL versioning policy, https://www.postgresql.org/support/versioning/).",
    remedy: "[Upgrade](operations.md#upgrade)",
    remark:
      "13: 2025-11-13 · 14: 2026-11-12 · 15: 2027-11-11 · 16: 2028-11-09 · 17: 2029-11-08 · 18: 2030-11-14. A later version is not judged.",
    foundBy: ["doctor"],
  },
  node_versions_differ: {
    severity: "advice",
    meaning: "The nodes run different minor versions of PostgreSQL.",
    why: "A fix helps only where it is installed, and tomorrow's primary may be the node without it.",
    remedy: "Install the newest minor version on all hosts, then `odoo-pg down && odoo-pg up`.",
    foundBy: ["doctor"],
  },
  clock_skew: {
    severity: "warning",
    meaning:
      "A server's clock differs by more than 2 s from this host's, or by more than 5 s from its primary's.",
    why: "Lag in seconds and the times of backups are wrong by that much.",
    remedy: "Let a time service keep both clocks (chrony, systemd-timesyncd).",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
