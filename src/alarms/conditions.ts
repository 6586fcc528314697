import { isBeingCopied } from "../model/node-state.ts";
import { odooPg } from "../next-step.ts";
import { showSeconds, showShare } from "../model/quantities.ts";
import type { NodeStatus, StatusDocument } from "../cluster/documents/status.ts";
import type { Condition } from "./decide.ts";
import { edgesOf, type RuleSettings } from "../model/alarm-settings.ts";
import { alarmFor, type AlarmName } from "../model/troubles/troubles.ts";

/** Figures of the primary that a status lacks. */
export interface Pressure {
  /** Sessions of clients, and how many there may be without those that are kept for superusers. */
  readonly connections: number;
  readonly max_connections: number;
  /** The oldest transaction or multixact in use: how many came after it. */
  readonly oldest_age: number;
  /** The database that holds it. */
  readonly oldest_database: string;
  /** The session that has waited longest for a lock; null when none waits. */
  readonly blocked: {
    readonly pid: number;
    readonly database: string;
    readonly seconds: number;
    /** The sessions that it waits for, each in a few words. */
    readonly by: readonly string[];
  } | null;
}

/**
 * PostgreSQL takes no new transaction 3 million before the 2^31 that it can tell from each other.
 * Source: PostgreSQL manual, "Preventing Transaction ID Wraparound Failures".
 */
const LAST_AGE = 2 ** 31 - 3_000_000;

/** Rules about a replica that cannot be judged while the node, or the primary, does not answer. */
const UNSEEN_IN_SILENCE: readonly AlarmName[] = ["replica_behind", "replica_lost", "slot_filling"];

/** Alarms that are judged by figures here, with thresholds of the configuration, and not by the warnings of status. */
const BY_FIGURES: readonly AlarmName[] = [
  "disk_nearly_full",
  "disk_filling",
  "pool_empty",
  "connections_nearly_used",
];

/** Two nodes whose disks are as full as this close together are taken to be on one disk. */
const SAME_DISK = 0.005;

/**
 * What the rules have to go by, from a status and the figures that it lacks. Each alarm is found once at most.
 * @param pressure undefined when it could not be looked at
 */
export function conditionsOf(
  status: StatusDocument,
  pressure: Pressure | undefined,
  rules: RuleSettings,
): Condition[] {
  const found = [
    ...ofWarnings(status),
    ...ofDisks(status, rules),
    ...ofPool(status),
    ...ofPressure(pressure, rules),
    // Last: what is seen to be there is no longer unclear.
    ...ofSilence(status),
  ];
  const first = new Map<string, Condition>();
  for (const seen of found) {
    const key = `${seen.rule} ${seen.subject ?? ""}`;
    if (!first.has(key)) first.set(key, seen);
  }
  return [...first.values()];
}

function ofWarnings(status: StatusDocument): Condition[] {
  const copied = beingCopied(status);
  return status.warnings.flatMap(({ code, node, message, next_step: next }) => {
    const rule = alarmFor(code);
    if (!rule || BY_FIGURES.includes(rule)) return [];
    const ordered = rule === "node_down" && copied.some(({ name }) => name === node);
    return [{ rule, subject: node, is: ordered ? "unclear" : "present", text: message, next }];
  });
}

/** Nodes that are away by order: a base backup may take hours, and needs no alarm. */
function beingCopied({ nodes }: StatusDocument): NodeStatus[] {
  return nodes.filter(({ state }) => isBeingCopied(state));
}

function primaryAnswers({ warnings }: StatusDocument): boolean {
  return !warnings.some(({ code }) => code === "primary_down" || code === "cluster_not_running");
}

/** An alarm whose condition cannot be observed now has not ended. */
function ofSilence(status: StatusDocument): Condition[] {
  const answers = primaryAnswers(status);
  return [
    ...status.nodes
      .filter(({ lag_bytes: lag, role }) => !answers || (role === "replica" && lag === null))
      .flatMap(({ name }) => UNSEEN_IN_SILENCE.map((rule) => unclear(rule, name))),
    ...(answers ? [] : [unclear("pool_empty", null), unclear("commits_do_not_wait", null)]),
  ];
}

function unclear(rule: AlarmName, subject: string | null): Condition {
  return { rule, subject, is: "unclear", text: "", next: null };
}

/** A figure against the two edges of its threshold. */
function against(
  rules: RuleSettings,
  rule: AlarmName,
  value: number,
  condition: Pick<Condition, "subject" | "text" | "next">,
): Condition[] {
  const { from, below } = edgesOf(rules, rule);
  if (value < below) return [];
  return [{ rule, is: value >= from ? "present" : "unclear", ...condition }];
}

function ofDisks({ nodes }: StatusDocument, rules: RuleSettings): Condition[] {
  const disks: { used: number; on: NodeStatus[] }[] = [];
  const found: Condition[] = [];
  for (const node of nodes) {
    const used = node.disk_used_ratio;
    if (used === null) {
      found.push(unclear("disk_filling", node.name), unclear("disk_nearly_full", node.name));
      continue;
    }
    const same = disks.find((disk) => Math.abs(disk.used - used) < SAME_DISK);
    if (same) same.on.push(node);
    else disks.push({ used, on: [node] });
  }
  for (const { used, on } of disks) {
    const names = on.map(({ name }) => name).join(", ");
    const condition = {
      subject: on[0]?.name ?? null,
      text: `The disk of ${names} is ${showShare(used)} full. Make room, or move the data to a larger disk.`,
      next: [odooPg("status")],
    };
    found.push(
      ...against(rules, "disk_nearly_full", used * 100, condition),
      ...against(rules, "disk_filling", used * 100, condition),
    );
  }
  return found;
}

function ofPool(status: StatusDocument): Condition[] {
  const { nodes, endpoints } = status;
  if (!primaryAnswers(status) || nodes.length < 2 || endpoints.read.pool.length > 0) return [];
  const reasons = nodes.flatMap(({ name, reason, role }) =>
    role === "replica" && reason !== null ? [`${name}: ${reason}`] : [],
  );
  const copied = beingCopied(status);
  return [
    {
      rule: "pool_empty",
      subject: null,
      is: copied.length > 0 && copied.length === nodes.length - 1 ? "unclear" : "present",
      text: `No replica serves reads${reasons.length ? ` (${reasons.join("; ")})` : ""}: all reads go to the primary.`,
      next: [odooPg("status")],
    },
  ];
}

function ofPressure(pressure: Pressure | undefined, rules: RuleSettings): Condition[] {
  if (!pressure)
    return [
      unclear("connections_nearly_used", null),
      unclear("wraparound_approaching", null),
      unclear("blocked", null),
    ];
  const { connections, max_connections: most, oldest_age: age, oldest_database, blocked } = pressure;
  const spent = age / LAST_AGE;
  return [
    ...against(rules, "connections_nearly_used", (100 * connections) / most, {
      subject: null,
      text: `${connections} of ${most} connections of the primary are in use. At the limit Odoo gets no more: lower db_maxconn or the workers in odoo.conf, or raise max_connections.`,
      next: [odooPg("sessions", "list")],
    }),
    ...against(rules, "wraparound_approaching", 100 * spent, {
      subject: null,
      text: `Transaction IDs are ${showShare(spent)} of the way to wraparound, where PostgreSQL takes no more writes; the oldest are in ${oldest_database}. Look for a transaction or a vacuum that never ends, then vacuum.`,
      next: [odooPg("psql", "write", "--", "-d", oldest_database, "-c", "VACUUM (FREEZE)")],
    }),
    ...(blocked
      ? against(rules, "blocked", blocked.seconds, {
          subject: null,
          text: `Session ${blocked.pid} in ${blocked.database} has waited ${showSeconds(blocked.seconds)} for a lock that ${blocked.by.join(" and ") || "another session"} holds.`,
          next: [odooPg("sessions", "list")],
        })
      : []),
  ];
}
