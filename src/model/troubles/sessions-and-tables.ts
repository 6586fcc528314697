import type { Trouble } from "./trouble.ts";

export const SESSIONS_AND_TABLES = {
  sequence_half_used: {
    severity: "warning",
    meaning: "More than half of a sequence of 32-bit numbers is used up.",
    why: "At 2 147 483 647 no row can be added to that table (odoo/odoo#76188).",
    remedy: "Watch how fast it goes, and plan a change of the column to bigint.",
    remark:
      "Change the column and all that refer to it, at a quiet hour and after a backup; try it on a copy (`odoo-pg db copy`) first. Deleting rows does not help: their numbers stay used.",
    foundBy: ["doctor"],
  },
  index_invalid: {
    severity: "warning",
    meaning: "An index is invalid: CREATE INDEX or REINDEX CONCURRENTLY was interrupted.",
    why: "It costs every write and helps no read, and a unique one guarantees nothing (PostgreSQL manual, CREATE INDEX).",
    remedy: "Rebuild it, or drop what an interrupted REINDEX left, with the command that doctor prints.",
    remark:
      "Drop what an interrupted REINDEX left: names that end in _ccnew or _ccold. Rebuild others by REINDEX.",
    foundBy: ["doctor"],
  },
  index_duplicate: {
    severity: "advice",
    meaning: "Two indexes of a table are the same. doctor reports it and never drops one.",
    why: "Each takes up space and slows down every write.",
    remedy: "Drop the one that Odoo does not create itself.",
    remark: "Odoo would recreate its own index at the next update of its module.",
    foundBy: ["doctor"],
  },
  blocked: {
    severity: "warning",
    meaning: "A session has been waiting for minutes for a lock that another one holds.",
    remedy: "`odoo-pg sessions list` shows who blocks whom; `odoo-pg sessions terminate` ends one.",
    foundBy: [],
    alarm: { afterSeconds: 0, endsAfterSeconds: 60 },
    threshold: { value: 180, margin: 60, unit: "s" },
    prometheus: {
      expr: "odoo_pg_blocked_longest_seconds > 180",
      for: "1m",
      summary:
        "{{ $labels.cluster }}: a statement has been waiting {{ $value | humanizeDuration }} for a lock.",
      description: "Who blocks whom: odoo-pg sessions list",
    },
  },
  idle_in_transaction: {
    severity: "warning",
    meaning:
      "A session has been idle in its transaction for over 5 minutes, and is not the cursor of a scheduled action.",
    why: "It holds its locks, and vacuum may not remove rows that died since (PostgreSQL manual, idle_in_transaction_session_timeout).",
    remedy: "`odoo-pg sessions list` shows whose it is; the command that doctor prints ends it.",
    remark:
      "odoo-pg's own sessions are left out. A scheduled action's cursor is recognised by its row lock on ir_cron, or by its last statement.",
    foundBy: ["doctor"],
    prometheus: {
      meaning: "A session has been idle in its transaction for over 4 hours.",
      expr: 'max by (cluster, instance, datname) (pg_stat_activity_max_tx_duration{state=~"idle in transaction.*"}) > 4 * 3600',
      summary: "{{ $labels.datname }}: a transaction has been idle for {{ $value | humanizeDuration }}.",
      description: "Nothing deleted since can be cleaned up. Whose it is: odoo-pg sessions list",
    },
  },
  prepared_transaction_left: {
    severity: "warning",
    meaning:
      "A transaction was prepared (PREPARE TRANSACTION) over a minute ago, and nobody has finished it.",
    why: "It belongs to no session: it keeps its locks and holds vacuum back through every restart, until someone commits it or rolls it back (PostgreSQL manual, PREPARE TRANSACTION).",
    remedy:
      "Odoo never prepares a transaction. Ask whoever runs the program that did; if it is gone for good, roll it back with the command that doctor prints.",
    remark:
      "This needs max_prepared_transactions to have been raised. COMMIT PREPARED keeps what the transaction wrote, ROLLBACK PREPARED drops it. If it is part of a transaction over several databases, do what the other parts did.",
    foundBy: ["doctor"],
  },
  cron_in_transaction: {
    severity: "advice",
    meaning: "The cursor of a scheduled action of Odoo has been in its transaction for over an hour.",
    why: "It is idle by design while the job runs (Odoo 19, `ir_cron.py`), but it holds vacuum back for that long.",
    remedy: "`odoo-pg sessions list DATABASE` shows what it waits for.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
