import type { Trouble } from "./trouble.ts";

export const INTEGRITY = {
  checksums_off: {
    severity: "warning",
    meaning: "A node's data pages have no checksums.",
    why: "Users then notice a disk that returns wrong data before PostgreSQL does, and the damage gets into the backups (PostgreSQL manual, pg_checksums).",
    remedy: "Turn them on with the cluster stopped, as below.",
    remark:
      "`odoo-pg down`, then `pg_checksums --enable -D DIRECTORY` on every node as the servers' user, then `odoo-pg up`. It reads and writes all data once. odoo-pg's own clusters have them from the start.",
    foundBy: ["doctor"],
  },
  checksum_failures: {
    severity: "critical",
    meaning: "PostgreSQL has read pages with a wrong checksum.",
    why: "The disk or the memory of that host damages data (PostgreSQL manual, pg_stat_database).",
    remedy: "Replace the hardware, and prove the backups: `odoo-pg backup restore-check`.",
    remark:
      "Do not let backups expire before you know which is the last good one. The count stays until pg_stat_reset().",
    foundBy: ["doctor"],
  },
  damage_ignored: {
    severity: "critical",
    meaning: "A setting is on that makes PostgreSQL carry on with damaged data.",
    why: "zero_damaged_pages destroys rows for good, and ignore_checksum_failure hides and spreads damage (PostgreSQL manual, “Developer Options”).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  fsync_off: {
    severity: "critical",
    meaning: "A node runs with fsync off.",
    why: "After a power cut or a crash of the system its data may be beyond repair (PostgreSQL manual, fsync).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  full_page_writes_off: {
    severity: "critical",
    meaning: "A node runs with full_page_writes off.",
    why: "A page that was half written in a crash stays broken, and pg_rewind and base backups are no longer safe (PostgreSQL manual, full_page_writes).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  commits_not_flushed: {
    severity: "warning",
    meaning: "synchronous_commit is off for everyone.",
    why: "A crash loses the last commits, which users have seen succeed (PostgreSQL manual, “Asynchronous Commit”).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
