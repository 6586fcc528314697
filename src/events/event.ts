import * as z from "zod";
import { parseJson } from "../system/files/json-file.ts";

/** What happens to a cluster, for later questions. */
export const EVENT_KINDS = [
  "up",
  "down",
  "switchover",
  "promote",
  "reseed",
  "rejoin",
  "node_started",
  "node_down",
  "backup",
  "drill",
  "restore",
  "copy",
  "rename",
  "drop",
  "session_ended",
  "fix",
  "alarm_began",
  "alarm_ended",
  "job",
] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** One line of the journal. Kinds are open: a newer odoo-pg may have written ones that this one does not know. */
export const recordedEventSchema = z.object({
  at: z.iso.datetime(),
  kind: z.string().min(1),
  /** The actor: a user of the system, `schedule`, `agent`, or a role of the console. */
  by: z.string(),
  text: z.string(),
  node: z.string().nullable().default(null),
  database: z.string().nullable().default(null),
});
export type RecordedEvent = z.output<typeof recordedEventSchema>;

/** An event to be recorded; its moment is that of the recording. */
export interface NewEvent {
  readonly kind: EventKind;
  readonly by: string;
  readonly text: string;
  readonly node?: string | undefined;
  readonly database?: string | undefined;
}

/** Bytes of a line at most: so much is written in one go. */
const LINE_LIMIT = 4000;
/** Characters of what people wrote or programs said; UTF-8 takes up to 3 bytes for each, JSON up to 6. */
const TEXT_LIMIT = 1000;
const NAME_LIMIT = 100;

/** An event as a line: short enough, whatever is in it. */
export function lineOf(event: NewEvent, at: number): string {
  const cut = (text: string, limit: number): string =>
    text.length > limit ? `${text.slice(0, limit - 1)}…` : text;
  const line = (limit: number): string =>
    JSON.stringify({
      at: new Date(at).toISOString(),
      kind: event.kind,
      by: cut(event.by, NAME_LIMIT),
      text: cut(event.text.replace(/\s+/g, " ").trim(), limit),
      ...(event.node === undefined ? {} : { node: cut(event.node, NAME_LIMIT) }),
      ...(event.database === undefined ? {} : { database: cut(event.database, NAME_LIMIT) }),
    });
  const whole = line(TEXT_LIMIT);
  return new TextEncoder().encode(whole).length <= LINE_LIMIT ? whole : line(TEXT_LIMIT / 10);
}

/** The event of a line; undefined for one that is damaged. */
export function eventOf(line: string): RecordedEvent | undefined {
  const parsed = parseJson(line, recordedEventSchema);
  return parsed.ok ? parsed.value : undefined;
}
