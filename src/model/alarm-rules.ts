import type { Severity, WarningCode } from "./warnings.ts";

interface AlarmRule {
  readonly severity: Severity;
  /** Seconds that it must last before it is told, and seconds that it must be gone before its end is told. */
  readonly after_seconds: number;
  readonly ends_after_seconds: number;
  /** Warnings of the status that it is made from. */
  readonly codes: readonly WarningCode[];
  /** For a figure: from where on it counts, and how far it must fall below before it counts as gone. */
  readonly threshold?: { readonly value: number; readonly margin: number; readonly unit: "%" | "s" };
  /** What happens at one moment and is told once. */
  readonly event?: true;
  /** For the reader of docs/operations.md. */
  readonly meaning: string;
}

/** Every alarm, declared once: when it is told by default, and what it means. docs/operations.md has the same table. */
export const ALARM_RULES = {
  primary_down: {
    severity: "critical",
    after_seconds: 15,
    ends_after_seconds: 15,
    codes: ["primary_down"],
    meaning: "The primary does not answer: nothing can be written.",
  },
  wrong_primary: {
    severity: "critical",
    after_seconds: 15,
    ends_after_seconds: 30,
    codes: ["two_primaries", "unexpected_primary", "other_system_identifier"],
    meaning: "A node accepts writes that should not, or holds another cluster's data.",
  },
  writes_wait: {
    severity: "critical",
    after_seconds: 10,
    ends_after_seconds: 30,
    codes: ["writes_wait"],
    meaning: "With `read-your-writes`, commits wait for a replica that does not answer.",
  },
  endpoint_down: {
    severity: "critical",
    after_seconds: 30,
    ends_after_seconds: 30,
    codes: ["haproxy_down", "endpoint_down"],
    meaning: "An endpoint takes no connections.",
  },
  clients_waiting: {
    severity: "warning",
    after_seconds: 15,
    ends_after_seconds: 60,
    codes: ["clients_waiting"],
    meaning: "Clients wait at an endpoint: the server has no connection left for them, or is not there.",
  },
  disk_nearly_full: {
    severity: "critical",
    after_seconds: 30,
    ends_after_seconds: 60,
    codes: [],
    threshold: { value: 95, margin: 2, unit: "%" },
    meaning: "The disk of a node's data is nearly full: PostgreSQL stops when there is no room left.",
  },
  disk_filling: {
    severity: "warning",
    after_seconds: 300,
    ends_after_seconds: 300,
    codes: [],
    threshold: { value: 85, margin: 3, unit: "%" },
    meaning: "The disk of a node's data fills.",
  },
  node_down: {
    severity: "warning",
    after_seconds: 60,
    ends_after_seconds: 60,
    codes: ["replica_down", "start_failing", "node_refused", "needs_rejoin", "tablespace_shared"],
    meaning: "A replica does not answer, or a node does not start or waits for a decision.",
  },
  replica_behind: {
    severity: "warning",
    after_seconds: 120,
    ends_after_seconds: 60,
    codes: ["replica_behind", "replica_not_streaming", "wrong_timeline", "replay_paused"],
    meaning: "A replica is further behind than `max_lag` allows, receives nothing, or replays nothing.",
  },
  replica_lost: {
    severity: "warning",
    after_seconds: 30,
    ends_after_seconds: 60,
    codes: ["slot_lost", "needs_reseed"],
    meaning: "A replica can never catch up, because the WAL that it needs is gone: it has to be made anew.",
  },
  slot_filling: {
    severity: "warning",
    after_seconds: 60,
    ends_after_seconds: 120,
    codes: ["slot_keeps_wal", "slot_missing"],
    meaning: "The primary keeps much WAL for a replica, or may remove what it still needs.",
  },
  pool_empty: {
    severity: "warning",
    after_seconds: 60,
    ends_after_seconds: 60,
    codes: [],
    meaning: "No replica serves reads, although the cluster has one: all reads go to the primary.",
  },
  commits_do_not_wait: {
    severity: "warning",
    after_seconds: 60,
    ends_after_seconds: 60,
    codes: ["commits_do_not_wait"],
    meaning: "With `read-your-writes`, somebody has set that commits do not wait for the replicas.",
  },
  connections: {
    severity: "warning",
    after_seconds: 60,
    ends_after_seconds: 120,
    codes: [],
    threshold: { value: 85, margin: 10, unit: "%" },
    meaning: "The primary's connections near `max_connections` (without those kept for superusers).",
  },
  blocked: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 60,
    codes: [],
    threshold: { value: 180, margin: 60, unit: "s" },
    meaning: "A session has waited for minutes for a lock that another one holds.",
  },
  wraparound: {
    severity: "warning",
    after_seconds: 300,
    ends_after_seconds: 300,
    codes: [],
    threshold: { value: 50, margin: 2, unit: "%" },
    meaning:
      "The oldest transaction number is this far on the way to the wraparound, at which PostgreSQL takes no writes any more.",
  },
  backup_failed: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: ["backup_failed", "backup_incomplete"],
    meaning: "The last backup failed, or lacks attachments.",
  },
  backup_late: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: ["backup_too_old"],
    meaning: "The last good backup is older than `backup.max_age_hours`.",
  },
  drill_failed: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: ["drill_failed"],
    meaning: "A backup could not be proven by restoring it.",
  },
  drill_late: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: ["drill_too_old"],
    meaning: "Of a database no backup was proven by restoring it for `backup.max_drill_age_days`.",
  },
  channel_failing: {
    severity: "warning",
    after_seconds: 300,
    ends_after_seconds: 60,
    codes: ["alarm_channel_failing"],
    meaning: "Alarms do not arrive by one channel; told by the others.",
  },
  switchover: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: [],
    event: true,
    meaning: "Another node became the primary.",
  },
  agent_away: {
    severity: "warning",
    after_seconds: 0,
    ends_after_seconds: 0,
    codes: [],
    threshold: { value: 180, margin: 0, unit: "s" },
    event: true,
    meaning:
      "For this long no agent looked after the cluster, because it had died or the machine slept. Told when it looks again; `down` and a stop by the system do not count.",
  },
} as const satisfies Record<string, AlarmRule>;

export type RuleName = keyof typeof ALARM_RULES;

export const isRuleName = (text: string): text is RuleName => Object.hasOwn(ALARM_RULES, text);

export const ruleNames = (): RuleName[] => Object.keys(ALARM_RULES).filter(isRuleName);

export function ruleOf(name: RuleName): AlarmRule {
  return ALARM_RULES[name];
}

/** What the configuration may say of a rule. */
export interface RuleSetting {
  readonly enabled?: boolean | undefined;
  readonly after_seconds?: number | undefined;
  readonly ends_after_seconds?: number | undefined;
  readonly threshold?: number | undefined;
}

/** Rules with what the configuration says of them. */
export type RuleSettings = Readonly<Record<string, RuleSetting>>;

export function isEnabled(settings: RuleSettings, name: RuleName): boolean {
  return settings[name]?.enabled ?? true;
}

/** Seconds that it must last before it is told. */
export function afterSeconds(settings: RuleSettings, name: RuleName): number {
  return settings[name]?.after_seconds ?? ruleOf(name).after_seconds;
}

/** Seconds that it must be gone before its end is told. */
export function endsAfterSeconds(settings: RuleSettings, name: RuleName): number {
  return settings[name]?.ends_after_seconds ?? ruleOf(name).ends_after_seconds;
}

/** From where on a figure counts, and below what it counts as gone. */
export function edgesOf(settings: RuleSettings, name: RuleName): { from: number; below: number } {
  const { threshold } = ruleOf(name);
  const from = settings[name]?.threshold ?? threshold?.value ?? 0;
  // A threshold below its margin would never be gone.
  return { from, below: Math.max(from / 2, from - (threshold?.margin ?? 0)) };
}

/** What is wrong with what the configuration says of a rule. */
export function ruleProblem(name: RuleName, setting: RuleSetting): string | undefined {
  const { threshold, event } = ruleOf(name);
  if (setting.threshold !== undefined && !threshold) return `"${name}" has no threshold`;
  if (setting.threshold !== undefined && threshold?.unit === "%" && setting.threshold >= 100)
    return `the threshold is a share in %: it must be below 100`;
  if ((setting.after_seconds ?? setting.ends_after_seconds) !== undefined && event)
    return `"${name}" is told when it happens: it does not last`;
  return undefined;
}
