import type { Trouble } from "./trouble.ts";

export const VACUUM = {
  wraparound_approaching: {
    severity: "warning",
    meaning:
      "A database has transaction IDs or multixacts older than twice what autovacuum allows, or than a billion.",
    why: "Something holds vacuum back. At 2 billion PostgreSQL takes no more writes (PostgreSQL manual, “Preventing Transaction ID Wraparound Failures”).",
    remedy:
      "End what holds vacuum back (old transactions, unused slots), then vacuum with the command that is printed.",
    foundBy: ["doctor"],
    alarm: { afterSeconds: 300, endsAfterSeconds: 300, formerly: "wraparound" },
    threshold: { value: 50, margin: 2, unit: "%" },
    prometheus: {
      meaning: "A database has transaction IDs older than a billion.",
      expr: "odoo_pg_database_xid_age > 1e9",
      summary:
        "{{ $labels.datname }}: {{ $value | humanize }} transactions since its oldest row was frozen; writes end at 2.1 G.",
      description: "What holds back vacuum: odoo-pg doctor",
    },
  },
  wraparound_near: {
    severity: "critical",
    meaning: "A database has transaction IDs or multixacts older than 1.6 billion.",
    why: "At 2 billion PostgreSQL takes no more writes until vacuum has run, which may take hours (PostgreSQL manual, vacuum_failsafe_age).",
    remedy:
      "End what holds vacuum back (old transactions, unused slots), then vacuum with the command that is printed.",
    remark: "Run VACUUM in the running server, not in single-user mode.",
    foundBy: ["doctor"],
  },
  autovacuum_off: {
    severity: "warning",
    meaning: "autovacuum, or track_counts that it needs, is off.",
    why: "Tables grow without bound, statistics go stale, and plans get slow (PostgreSQL manual, “The Autovacuum Daemon”).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  tables_not_vacuumed: {
    severity: "warning",
    meaning:
      "A table holds many dead rows and was not vacuumed within the last hour. Tables that Odoo changes constantly are reported earlier.",
    why: "Every read passes over the dead rows. Odoo deletes from bus_bus in bulk (Odoo 19, `addons/bus/models/bus.py`).",
    remedy: "Vacuum with the command that doctor prints.",
    remark:
      "Reported from 1000 dead rows on for bus_bus, mail_message, mail_notification, mail_mail, stock_quant, ir_attachment, ir_cron, ir_cron_trigger and queue_job, and from 10 000 on for others, each plus two fifths of the live rows. In the first minute after a large deletion it may be reported although autovacuum is about to run.",
    foundBy: ["doctor"],
    prometheus: {
      meaning:
        "A table that Odoo changes often has more than 100 000 dead rows, and half as many as live ones.",
      expr: "pg_stat_user_tables_n_dead_tup > 100000 and pg_stat_user_tables_n_dead_tup > 0.5 * pg_stat_user_tables_n_live_tup",
      for: "1h",
      summary:
        "{{ $labels.datname }}: {{ $labels.relname }} has {{ $value | humanize }} dead rows; vacuum does not keep up.",
      description: "Why: odoo-pg doctor",
    },
  },
} as const satisfies Record<string, Trouble>;
