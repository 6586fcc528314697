import * as z from "zod";
import { asStep, nextInDocument, type NextText } from "../next-step.ts";
import { nextStepSchema } from "../next-step-schema.ts";

/** How bad: with a warning the cluster serves, and something needs care; critical means it does not serve, or is in danger. */
export type Severity = "warning" | "critical";

interface WarningKind {
  readonly severity: Severity;
  /** What it means, for the reader of docs/errors.md. */
  readonly meaning: string;
}

/**
 * Every warning that a status can hold, declared once: how bad it is and what it means.
 * docs/errors.md is made from this table.
 */
export const WARNINGS = {
  cluster_not_running: {
    severity: "critical",
    meaning: "Nothing of the cluster answers: no server, no endpoint, and no agent that works on it.",
  },
  primary_down: {
    severity: "critical",
    meaning: "The primary does not answer, so nothing can be written.",
  },
  writes_wait: {
    severity: "critical",
    meaning:
      "In read-your-writes commits wait for a replica that does not answer. The agent releases them within `max_commit_wait_seconds`, once the replica's sessions are cut; without the agent they wait on, so that no read is stale.",
  },
  two_primaries: {
    severity: "critical",
    meaning: "Two nodes accept writes, so their data drifts apart. Only one of them is behind the endpoints.",
  },
  unexpected_primary: {
    severity: "critical",
    meaning:
      "A node that is recorded as a replica answers as a primary, so the write endpoint does not lead to it.",
  },
  tablespace_shared: {
    severity: "critical",
    meaning:
      "A replica has no place of its own for a tablespace, as when one was made while it streamed: it would write its primary's files. It is not run until it is made anew, which gives it one.",
  },
  other_system_identifier: {
    severity: "critical",
    meaning: "A server of the cluster holds the data of another cluster.",
  },
  haproxy_down: {
    severity: "critical",
    meaning: "HAProxy is not running: neither endpoint takes connections. The servers themselves go on.",
  },
  endpoint_down: { severity: "critical", meaning: "One endpoint takes no connections." },
  clients_waiting: {
    severity: "warning",
    meaning:
      "Clients have waited for 5 s or more at an endpoint, because no server takes them: all connections are in use, or the server is down or recovering. They are refused after `endpoints.wait_seconds`.",
  },
  disk_nearly_full: {
    severity: "critical",
    meaning: "A disk is 95 % full or more. PostgreSQL stops when there is no room for its WAL.",
  },
  agent_not_running: {
    severity: "warning",
    meaning:
      "The agent does not answer. Servers and endpoints go on; reads go to the primary, and nothing that dies is started again.",
  },
  agent_of_other_build: {
    severity: "warning",
    meaning:
      "The agent is another program than the command, as after an update: it goes on as before until `odoo-pg up` replaces it. Servers and sessions are not disturbed by that.",
  },
  agent_waiting: {
    severity: "warning",
    meaning: "The agent runs, but keeps nothing running: it waits for `odoo-pg up`.",
  },
  start_failing: {
    severity: "warning",
    meaning:
      "A server does not start; the message holds its own words. The agent tries again, at most 30 s apart.",
  },
  node_refused: {
    severity: "warning",
    meaning:
      "A node is not started, because its data directory is not what it should be. It was not touched.",
  },
  needs_rejoin: {
    severity: "warning",
    meaning: "An old primary waits: started as it is, it would be a second primary.",
  },
  replica_down: { severity: "warning", meaning: "A replica does not answer, or not yet." },
  replica_not_streaming: {
    severity: "warning",
    meaning: "A replica answers, but receives nothing from the primary, so its data gets older.",
  },
  wrong_timeline: {
    severity: "warning",
    meaning: "A replica follows another history than the primary, as after a promotion that it missed.",
  },
  slot_lost: {
    severity: "warning",
    meaning:
      "The WAL that a replica still needs was removed (max_slot_wal_keep_size), so it can never catch up. It has to be made anew.",
  },
  slot_missing: {
    severity: "warning",
    meaning: "A replica has no slot on the primary: the WAL that it needs may be removed at any time.",
  },
  slot_keeps_wal: {
    severity: "warning",
    meaning:
      "The primary keeps much WAL for a replica: more than half of what max_slot_wal_keep_size allows, or more than a tenth of its disk. Beyond the limit the slot is lost.",
  },
  replay_paused: {
    severity: "warning",
    meaning: "A replica receives but does not replay, because somebody paused it.",
  },
  replica_behind: { severity: "warning", meaning: "A replica is further behind than `max_lag` allows." },
  needs_reseed: {
    severity: "warning",
    meaning:
      "A replica cannot catch up: the primary no longer has the WAL that it needs next, as when a node was away without its slot. It has to be made anew.",
  },
  commits_do_not_wait: {
    severity: "warning",
    meaning:
      "In read-your-writes somebody has set that commits do not wait for the replicas (ALTER SYSTEM, ALTER ROLE, ALTER DATABASE). Set for everybody, no replica serves reads; set for a role or database, reads may miss its writes.",
  },
  postgres_update_needed: {
    severity: "warning",
    meaning:
      "In read-your-writes: this minor version of PostgreSQL may let commits pass without waiting in the first moment after a restart. Versions 13.21, 14.18, 15.13, 16.9, 17.5 and later do not.",
  },
  pool_empty: {
    severity: "warning",
    meaning: "No replica serves reads at this moment: they go to the primary.",
  },
  disk_filling: { severity: "warning", meaning: "A disk is 85 % full or more." },
  record_damaged: {
    severity: "warning",
    meaning: "A record of odoo-pg's own is damaged and is not used; the message names the file.",
  },
  backup_failed: {
    severity: "warning",
    meaning: "The last run of backups failed for at least one database. Earlier backups are untouched.",
  },
  backup_incomplete: {
    severity: "warning",
    meaning:
      "A database names attachments and had no folder in the filestore when it was last backed up, as when a disk is not mounted.",
  },
  backup_too_old: {
    severity: "warning",
    meaning: "A database has no backup that is younger than `backup.max_age_hours`.",
  },
  drill_failed: {
    severity: "warning",
    meaning: "A backup could not be restored, or what was restored is not what the backup promises.",
  },
  drill_too_old: {
    severity: "warning",
    meaning:
      "Of a database no backup was proven by restoring it for longer than `backup.max_drill_age_days`.",
  },
  alarm_channel_failing: {
    severity: "warning",
    meaning:
      "Alarms do not arrive by one of the channels of `alarms`. They wait for it, a day at most; the other channels go on.",
  },
  console_not_served: {
    severity: "warning",
    meaning:
      "The console cannot be served at one of its addresses, mostly because its port is taken. The cluster does without; it is tried again every 10 s.",
  },
  rights_not_kept: {
    severity: "warning",
    meaning:
      "The agent cannot do what keeps each database its owner's: close new databases to other roles, and tell which roles may pass the endpoints.",
  },
  superuser_by_password: {
    severity: "warning",
    meaning:
      "On its own host the superuser is let in by a password only, not by who asks: `pg_hba.conf` is from an older odoo-pg, or was changed.",
  },
  settings_pending_restart: {
    severity: "warning",
    meaning: "Servers run with older settings than their files hold: these take effect at a restart only.",
  },
  configuration_not_applied: {
    severity: "warning",
    meaning: "The configuration file was changed after the last `odoo-pg up`. What runs is shown.",
  },
} as const satisfies Record<string, WarningKind>;

export type WarningCode = keyof typeof WARNINGS;

const isWarningCode = (text: string): text is WarningCode => Object.hasOwn(WARNINGS, text);

export const warningSchema = z.strictObject({
  code: z.string().refine(isWarningCode),
  severity: z.enum(["warning", "critical"]),
  /** The node that it is about; null when it is about the cluster. */
  node: z.string().nullable(),
  message: z.string().min(1),
  /** What to do: an exact command, with words before it where it needs them. */
  next: z.string().min(1),
  /** The same by its parts: words as text, commands by program and arguments. */
  next_step: nextStepSchema,
});
/** A warning as documents hold it. */
export type Warning = z.output<typeof warningSchema>;

/** A warning as it is found: nobody has said yet by which configuration its commands meet the cluster. */
export type FoundWarning = Omit<Warning, "next">;

export function warning(
  code: WarningCode,
  text: { readonly node?: string; readonly message: string; readonly next: NextText },
): FoundWarning {
  return {
    code,
    severity: WARNINGS[code].severity,
    node: text.node ?? null,
    message: text.message,
    next_step: asStep(text.next),
  };
}

export function warningInDocument(found: FoundWarning, config: string | undefined): Warning {
  return { ...found, ...nextInDocument(found.next_step, config) };
}

export type Verdict = "ok" | Severity;

/** The worst of them. */
export function verdictOf(warnings: readonly Pick<Warning, "severity">[]): Verdict {
  if (warnings.some(({ severity }) => severity === "critical")) return "critical";
  return warnings.length ? "warning" : "ok";
}
