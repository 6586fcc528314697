import type { Trouble } from "./trouble.ts";

export const REPLICATION = {
  replica_down: {
    severity: "warning",
    meaning: "A replica does not answer, or not yet.",
    remedy: "Read its log. Meanwhile reads go elsewhere.",
    foundBy: ["status"],
    alarm: "node_down",
  },
  replica_not_streaming: {
    severity: "warning",
    meaning: "A replica answers but receives nothing from the primary, so its data grows stale.",
    remedy: "Read its log. Meanwhile reads go elsewhere.",
    foundBy: ["status"],
    alarm: "replica_behind",
  },
  wrong_timeline: {
    severity: "warning",
    meaning:
      "A replica is on another timeline than the primary, for example after a promotion that it missed.",
    remedy: "Wait a few seconds after a change of the primary. If it stays: [reseed](operations.md#reseed).",
    foundBy: ["status"],
    alarm: "replica_behind",
  },
  replay_paused: {
    severity: "warning",
    meaning: "A replica receives WAL but does not replay it, because someone paused replay.",
    remedy: "Someone called `pg_wal_replay_pause()`. Resume with the command in the message.",
    foundBy: ["status"],
    alarm: "replica_behind",
  },
  replica_behind: {
    severity: "warning",
    meaning: "A replica is further behind than `max_lag` allows.",
    remedy: "Wait. If it never catches up: a long query on the replica, or a slow disk.",
    foundBy: ["status"],
    alarm: { afterSeconds: 120, endsAfterSeconds: 60 },
    prometheus: {
      expr: "odoo_pg_node_lag_bytes > on (cluster) group_left () odoo_pg_read_max_lag_bytes",
      for: "2m",
      summary:
        "{{ $labels.cluster }}: {{ $labels.node }} is {{ $value | humanize1024 }}B behind, more than reads may miss.",
      description: "It serves no reads until it has caught up. Why: odoo-pg status",
    },
  },
  replica_leaves_often: {
    severity: "warning",
    meaning: "A replica left the read pool more than five times in an hour.",
    remedy:
      "Each time its sessions are cut. Raise `endpoints.read.max_lag`, or find what holds up replay: `odoo-pg doctor`",
    foundBy: [],
    prometheus: {
      expr: "increase(odoo_pg_pool_leaves_total[1h]) > 5",
      summary:
        "{{ $labels.cluster }}: {{ $labels.node }} left the read pool {{ $value | humanize }} times in an hour.",
      description:
        "Each time its sessions are cut. Raise endpoints.read.max_lag, or find what holds up replay: odoo-pg doctor",
    },
  },
  replica_lost: {
    severity: "warning",
    meaning: "A replica can never catch up, because the WAL it needs is gone: it has to be rebuilt.",
    remedy: "`odoo-pg reseed NODE`",
    foundBy: [],
    alarm: { afterSeconds: 30, endsAfterSeconds: 60 },
  },
  needs_reseed: {
    severity: "warning",
    meaning:
      "A replica cannot catch up: the primary no longer has the WAL it needs next, for example because the node was away without a slot. It has to be rebuilt.",
    remedy: "`odoo-pg reseed NODE`",
    foundBy: ["status"],
    alarm: "replica_lost",
  },
  slot_lost: {
    severity: "warning",
    meaning:
      "The WAL that a replica still needs was removed (max_slot_wal_keep_size), so it can never catch up. It has to be rebuilt.",
    why: "A slot that has lost WAL is no longer usable (PostgreSQL manual, pg_replication_slots, wal_status).",
    remedy: "[A lost slot](operations.md#a-lost-slot)",
    foundBy: ["status", "doctor"],
    alarm: "replica_lost",
    prometheus: {
      expr: 'pg_replication_slots_wal_status{wal_status="lost"} == 1',
      summary:
        "{{ $labels.cluster }}: the slot {{ $labels.slot_name }} is lost: its replica has to be rebuilt.",
      description: "What to do: odoo-pg status",
    },
  },
  slot_filling: {
    severity: "warning",
    meaning: "The primary keeps much WAL for a replica, or may remove WAL that the replica still needs.",
    remedy: "`odoo-pg replication status`",
    foundBy: [],
    alarm: { afterSeconds: 60, endsAfterSeconds: 120 },
  },
  slot_missing: {
    severity: "warning",
    meaning: "A replica has no slot on the primary: the WAL it needs may be removed at any time.",
    remedy: "`odoo-pg up` creates it.",
    foundBy: ["status"],
    alarm: "slot_filling",
  },
  slot_keeps_wal: {
    severity: "warning",
    meaning:
      "A replication slot keeps much WAL: more than half of what max_slot_wal_keep_size allows, or more than a tenth of the disk. Beyond the limit the slot is lost.",
    why: "A lost slot means that its replica has to be rebuilt; without a limit the disk fills.",
    remedy: "Bring the replica back soon, or take it out of the configuration.",
    foundBy: ["status", "doctor"],
    alarm: "slot_filling",
    prometheus: {
      meaning: "A replication slot has reached max_slot_wal_keep_size and may be lost at any moment.",
      expr: 'pg_replication_slots_wal_status{wal_status="unreserved"} == 1',
      summary:
        "{{ $labels.cluster }}: the slot {{ $labels.slot_name }} may be lost at any moment; its replica would have to be rebuilt.",
      description: "What to do: odoo-pg status",
    },
  },
  slot_without_cap: {
    severity: "warning",
    meaning: "max_slot_wal_keep_size is -1: replication slots may keep WAL without limit.",
    why: "A replica that is away fills the primary's disk, and the primary stops (zalando/postgres-operator#2012, patroni/patroni#280).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  slot_unused: {
    severity: "warning",
    meaning: "A replication slot that belongs to no node of this cluster is not in use.",
    why: "It keeps WAL and holds back vacuum for a consumer that may never come back (PostgreSQL manual, “Replication Slots”).",
    remedy: "If nothing will use it again, drop it with the command that doctor prints.",
    remark: "A replica of another cluster also has a slot here: ask before you drop it.",
    foundBy: ["doctor"],
  },
  commits_do_not_wait: {
    severity: "warning",
    meaning:
      "With `read-your-writes`, someone has set that commits do not wait for the replicas (ALTER SYSTEM, ALTER ROLE, ALTER DATABASE). If set for everyone, no replica serves reads; if set for a role or database, reads may miss its writes.",
    remedy: "Run the command in the message. Until then reads may miss writes, or all go to the primary.",
    foundBy: ["status"],
    alarm: { afterSeconds: 60, endsAfterSeconds: 60 },
  },
  postgres_update_needed: {
    severity: "warning",
    meaning:
      "With `read-your-writes`: this minor version of PostgreSQL may let commits through without waiting in the first moment after a restart. Versions 13.21, 14.18, 15.13, 16.9, 17.5 and later do not.",
    remedy: "Install the newest minor version, then `odoo-pg down && odoo-pg up`.",
    foundBy: ["status"],
  },
  replica_settings_below: {
    severity: "warning",
    meaning: "A replica has a lower value than its primary in a setting where that is not allowed.",
    why: "The replica stops replaying, or does not start again (PostgreSQL manual, “Hot Standby”, Administrator's Overview).",
    remedy: "`odoo-pg up` gives every replica at least the values that the primary runs with.",
    foundBy: ["doctor"],
  },
  standby_feedback_off: {
    severity: "warning",
    meaning: "A replica that serves reads runs without hot_standby_feedback.",
    why: "Vacuum on the primary cancels reads on the replica. Odoo retries such a read five times on the same replica, never on the primary (Odoo 19, `odoo/service/model.py`).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  standby_delay_unfit: {
    severity: "advice",
    meaning: "A replica's max_standby_streaming_delay is below 5 s, above 5 min, or unlimited.",
    why: "Too short cancels reads; too long lets one report hold up replay, and the replica leaves the read endpoint (PostgreSQL manual, “Handling Query Conflicts”).",
    remedy: "Remove the setting from `postgres.parameters` or correct it, then `odoo-pg up`.",
    foundBy: ["doctor"],
  },
  replica_conflicts: {
    severity: "advice",
    meaning:
      "Reads on a replica were cancelled, once a day or more, because replay needed their locks or rows.",
    why: "Users see “could not serialize access”, or a retry that takes long (odoo/odoo#18546, odoo/odoo#143495).",
    remedy: "Give long reads a longer max_standby_streaming_delay, or run them at another time of day.",
    remark: "Rarer cancellations are not reported.",
    foundBy: ["doctor"],
  },
} as const satisfies Record<string, Trouble>;
