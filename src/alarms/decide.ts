import * as z from "zod";
import { odooPg, printNext, withConfig, type NextStep } from "../next-step.ts";
import { nextStepOrWords } from "../next-step-schema.ts";
import type { AlarmMessage } from "./message.ts";
import {
  afterSeconds,
  edgesOf,
  endsAfterSeconds,
  isEnabled,
  type RuleSettings,
} from "../model/alarm-settings.ts";
import { isAlarmName, renamedAlarm, type AlarmName } from "../model/troubles/troubles.ts";
import { severityOf } from "../model/warnings.ts";
import { showSeconds } from "../model/quantities.ts";
import { printable, printableLine } from "../printable.ts";

/** Times are milliseconds since the epoch by our clock. */
const alarmSchema = z.object({
  // An agent of version 0.1 wrote it by the name that it had then.
  rule: z.preprocess(
    (name) => (typeof name === "string" ? (renamedAlarm(name) ?? name) : name),
    z.string().refine(isAlarmName),
  ),
  subject: z.string().nullable(),
  text: z.string(),
  next: nextStepOrWords.nullable(),
  /** Since when it lasts. */
  since: z.number(),
  /** When its begin was sent; null while it may still be a moment's trouble. */
  told_at: z.number().nullable(),
  /** Since when it is gone, while that may still be a moment's peace. */
  gone_since: z.number().nullable(),
});
export type Alarm = z.output<typeof alarmSchema>;

export const alarmsStateSchema = z.object({
  alarms: alarmSchema.array(),
  /** The last entry of the cluster's history that was reported, ISO 8601; null before the first round. */
  history_at: z.string().nullable(),
  /** Time of the last round, to the minute; null after an agent that was told to end. */
  looked_at: z.number().nullable(),
});

/** What must outlive the agent, so that nothing is sent twice and no end is forgotten. */
export type AlarmsState = z.output<typeof alarmsStateSchema>;

export const NO_ALARMS: AlarmsState = { alarms: [], history_at: null, looked_at: null };

/** The condition of a rule as it was found. What is not found at all is well. */
export interface Condition {
  readonly rule: AlarmName;
  /** The node or channel; null for the cluster. */
  readonly subject: string | null;
  /** `unclear`: between the two edges of a threshold, or not to be seen now. It changes nothing. */
  readonly is: "present" | "unclear";
  readonly text: string;
  readonly next: NextStep | null;
}

/** A change of the primary, from the cluster's history. */
export interface PrimaryChange {
  /** ISO 8601. */
  readonly at: string;
  readonly to: string;
  readonly text: string;
}

export interface AlarmInput {
  readonly cluster: string;
  readonly host: string;
  readonly rules: RuleSettings;
  readonly conditions: readonly Condition[];
  /** The oldest first. */
  readonly changes: readonly PrimaryChange[];
  /** The configuration file that commands have to name to meet this cluster. */
  readonly configFile?: string | undefined;
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called?: string;
}

export interface Decision {
  readonly state: AlarmsState;
  readonly messages: readonly AlarmMessage[];
}

/** The time of the last round is recorded once a minute: each record is a write to the disk. */
const RECORD_EVERY = 60_000;

/**
 * The messages due after an observation. An alarm begins once its condition has held in every observation for as long
 * as its rule says, and ends once it has been absent from every one for as long: so begin and end take turns.
 */
export function decide(state: AlarmsState, input: AlarmInput, now: number): Decision {
  const conditions = new Map(
    input.conditions.filter(({ rule }) => isEnabled(input.rules, rule)).map((seen) => [keyOf(seen), seen]),
  );
  const announcements: Announcement[] = [];
  const alarms: Alarm[] = [];
  const known = new Set<string>();
  for (const before of state.alarms) {
    known.add(keyOf(before));
    const alarm = { ...before, since: Math.min(before.since, now) };
    const seen = conditions.get(keyOf(before));
    if (seen) alarms.push(atSight(alarm, seen, input.rules, now, announcements));
    else if (alarm.told_at !== null) {
      const gone = Math.min(alarm.gone_since ?? now, now);
      if (now - gone < endsAfterSeconds(input.rules, alarm.rule) * 1000)
        alarms.push({ ...alarm, gone_since: gone });
      else announcements.push({ event: "ends", alarm });
    }
  }
  for (const seen of conditions.values()) {
    if (known.has(keyOf(seen)) || seen.is === "unclear") continue;
    const alarm: Alarm = { ...fieldsOf(seen), since: now, told_at: null, gone_since: null };
    alarms.push(atSight(alarm, seen, input.rules, now, announcements));
  }
  announcements.push(...awayOf(state, input.rules, now), ...changesOf(state, input));
  return {
    state: {
      alarms,
      history_at: input.changes.at(-1)?.at ?? state.history_at ?? new Date(now).toISOString(),
      looked_at: isRecent(state.looked_at, now) ? state.looked_at : now,
    },
    messages: messagesOf(announcements, alarms, input, now),
  };
}

interface Announcement {
  readonly event: "begins" | "ends" | "happened";
  readonly alarm: Omit<Alarm, "told_at" | "gone_since">;
}

function keyOf({ rule, subject }: { rule: string; subject: string | null }): string {
  return `${rule} ${subject ?? ""}`;
}

function fieldsOf({
  rule,
  subject,
  text,
  next,
}: Condition): Pick<Alarm, "rule" | "subject" | "text" | "next"> {
  return { rule, subject, text, next };
}

function atSight(
  alarm: Alarm,
  seen: Condition,
  rules: RuleSettings,
  now: number,
  announcements: Announcement[],
): Alarm {
  const present = { ...alarm, gone_since: null };
  if (seen.is === "unclear" || alarm.told_at !== null) return present;
  // The text is that of the moment at which it is sent.
  const pending = { ...present, ...fieldsOf(seen) };
  if (now - alarm.since < afterSeconds(rules, alarm.rule) * 1000) return pending;
  announcements.push({ event: "begins", alarm: pending });
  return { ...pending, told_at: now };
}

function isRecent(checkedAt: number | null, now: number): boolean {
  return checkedAt !== null && checkedAt <= now && now - checkedAt < RECORD_EVERY;
}

/** The time without any observation, if it was long. */
function awayOf({ looked_at: checkedAt }: AlarmsState, rules: RuleSettings, now: number): Announcement[] {
  if (checkedAt === null || !isEnabled(rules, "agent_away")) return [];
  if (now - checkedAt < edgesOf(rules, "agent_away").from * 1000) return [];
  const text = `No agent was running for ${showSeconds((now - checkedAt) / 1000)}, from ${minute(checkedAt)} to ${minute(now)}: what died meanwhile was not restarted. It is running again.`;
  return [
    {
      event: "happened",
      alarm: { rule: "agent_away", subject: null, text, next: [odooPg("logs", "agent")], since: checkedAt },
    },
  ];
}

/** Changes of the primary since the last round. Those before the first round are no news. */
function changesOf({ history_at: seen }: AlarmsState, { changes, rules }: AlarmInput): Announcement[] {
  if (seen === null || !isEnabled(rules, "switchover")) return [];
  return changes
    .filter(({ at }) => at > seen)
    .map(({ at, to, text }) => ({
      event: "happened",
      alarm: { rule: "switchover", subject: to, text, next: [odooPg("history")], since: Date.parse(at) },
    }));
}

function messagesOf(
  announcements: readonly Announcement[],
  alarms: readonly Alarm[],
  { cluster, host, configFile, called = "odoo-pg" }: AlarmInput,
  now: number,
): AlarmMessage[] {
  const on = countOf(alarms);
  const typed = (step: NextStep): string => printableLine(printNext(withConfig(step, configFile), called));
  return announcements.map(({ event, alarm: { rule, subject, text, next, since } }) => ({
    version: 1,
    id: [cluster, rule, subject ?? "-", since, event].join(":"),
    event,
    cluster,
    host,
    rule,
    severity: severityOf(rule),
    // Names and servers' words are in them, and go to mails, chats and logs.
    subject: subject === null ? null : printableLine(subject),
    text: printable(event === "ends" ? `Over after ${showSeconds((now - since) / 1000)}: ${text}` : text),
    ...(event === "ends" || next === null
      ? NOTHING_TO_DO
      : { next: typed(next), next_step: partsOf(next, configFile) }),
    more: typed([odooPg("status", "--full")]),
    at: new Date(now).toISOString(),
    since: new Date(since).toISOString(),
    on,
  }));
}

const NOTHING_TO_DO = { next: null, next_step: null };

function partsOf(next: NextStep, configFile: string | undefined): NextStep {
  return withConfig(next, configFile).map((part) =>
    typeof part === "string"
      ? printableLine(part)
      : { ...part, arguments: part.arguments.map(printableLine) },
  );
}

/** How many alarms were sent and have not ended, by severity. */
export function countOf(alarms: readonly Alarm[]): { critical: number; warning: number } {
  const on = alarms.filter(({ told_at }) => told_at !== null);
  const critical = on.filter(({ rule }) => severityOf(rule) === "critical").length;
  return { critical, warning: on.length - critical };
}

/** `2026-11-22 03:10 UTC` */
function minute(time: number): string {
  return `${new Date(time).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}
