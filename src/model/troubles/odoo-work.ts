import type { Trouble } from "./trouble.ts";

export const ODOO_WORK = {
  odoo_scheduled_actions_late: {
    severity: "warning",
    meaning: "A scheduled action of Odoo is more than an hour late.",
    remedy: "Odoo's cron workers are busy, dead, or wait for modules: `odoo_pg_odoo_modules_in_transition`.",
    foundBy: [],
    prometheus: {
      expr: "odoo_pg_odoo_oldest_late_seconds > 3600",
      for: "10m",
      summary: "{{ $labels.datname }}: a scheduled action is {{ $value | humanizeDuration }} late.",
      description:
        "Odoo's cron workers are busy, dead, or wait for modules: odoo_pg_odoo_modules_in_transition.",
    },
  },
  odoo_scheduled_actions_fail: {
    severity: "warning",
    meaning: "A scheduled action of Odoo fails. After a week Odoo turns it off.",
    remedy: "Which ones: Settings, Technical, Scheduled Actions. Why: Odoo's log.",
    foundBy: [],
    prometheus: {
      expr: "odoo_pg_odoo_failed_actions > 0",
      for: "1h",
      summary:
        "{{ $labels.datname }}: {{ $value }} scheduled actions fail. After a week Odoo turns them off.",
      description: "Which: Settings, Technical, Scheduled Actions; why: Odoo's log.",
    },
  },
  odoo_mail_waits: {
    severity: "warning",
    meaning: "Odoo's mail has been waiting to be sent for two hours.",
    remedy: "The outgoing mail server refuses it, or the action “Mail: Email Queue Manager” does not run.",
    foundBy: [],
    prometheus: {
      expr: "odoo_pg_odoo_mail_oldest_seconds > 2 * 3600",
      for: "10m",
      summary: "{{ $labels.datname }}: mail has been waiting {{ $value | humanizeDuration }} to be sent.",
      description:
        "The outgoing mail server refuses it, or the action 'Mail: Email Queue Manager' does not run.",
    },
  },
  odoo_bus_not_cleaned: {
    severity: "warning",
    meaning: "Notifications in bus_bus are older than two days; Odoo deletes them after one.",
    remedy: "The action “Base: Auto-vacuum internal data” does not run.",
    foundBy: [],
    prometheus: {
      expr: "odoo_pg_odoo_bus_oldest_seconds > 2 * 86400",
      for: "1h",
      summary:
        "{{ $labels.datname }}: notifications are {{ $value | humanizeDuration }} old; Odoo deletes them after a day.",
      description: "The action 'Base: Auto-vacuum internal data' does not run.",
    },
  },
} as const satisfies Record<string, Trouble>;
