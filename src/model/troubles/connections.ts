import type { Trouble } from "./trouble.ts";

export const CONNECTIONS = {
  connections_nearly_used: {
    severity: "warning",
    meaning:
      "More than 85 % of a server's connections are in use, not counting those reserved for superusers.",
    why: "The next ones are refused, and one refused connection to the replica costs 20 minutes of reads on the primary (Odoo 19, `odoo/orm/registry.py`).",
    remedy: "`odoo-pg sessions list` shows who uses them; `odoo-pg tune` says what fits.",
    foundBy: ["status", "doctor"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 120, formerly: "connections" },
    threshold: { value: 85, margin: 10, unit: "%" },
    prometheus: {
      expr: "sum by (cluster, instance) (pg_stat_database_numbackends) / (pg_settings_max_connections - pg_settings_superuser_reserved_connections) > 0.85",
      for: "5m",
      summary:
        "{{ $labels.cluster }}: {{ $labels.instance }} has used {{ $value | humanizePercentage }} of its connections.",
      description:
        "Odoo says 'too many clients' at 100 %, and avoids a full replica for 20 minutes. What fits: odoo-pg tune",
    },
  },
  odoo_connections_exceed: {
    severity: "warning",
    meaning: "Together, Odoo's processes may open more connections than a server accepts.",
    why: "`db_maxconn` counts for each process, and once for each endpoint: (workers + max_cron_threads) × db_maxconn + (db_maxconn_gevent or db_maxconn) + 1. Beyond max_connections users get “too many clients” (odoo/odoo#9204, odoo/odoo#87766).",
    remedy: "Lower `db_maxconn`, or raise max_connections: the finding names the figure.",
    remark:
      "The smallest node counts, because after the loss of the others one node serves everyone. Without workers Odoo is one process with one pool. 15 connections are added for monitoring, backups and people. With several Odoo hosts, add them up yourself.",
    foundBy: ["doctor"],
  },
  pooling_ends_session_state: {
    severity: "warning",
    meaning:
      "Clients of a pooled endpoint use what does not outlive a transaction there: LISTEN, PREPARE, WITH HOLD, temporary tables, session locks, pg_dump.",
    why: "PgBouncer gives the session to another client after each transaction, and clears it first (PgBouncer, “SQL feature map for pooling modes”).",
    remedy:
      "Use `pg_advisory_xact_lock`, `ON COMMIT DROP`, or database `postgres` for LISTEN; or turn pooling off.",
    remark: "Judged by what pg_stat_statements has counted, including before pooling was turned on.",
    foundBy: ["doctor"],
  },
  idle_timeout_below_cron: {
    severity: "warning",
    meaning: "idle_in_transaction_session_timeout is shorter than Odoo's `limit_time_real_cron`.",
    why: "The cursor of a scheduled action is idle with its row lock throughout the job (Odoo 19, `ir_cron.py`). PostgreSQL cuts it, and the job fails at its end.",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
