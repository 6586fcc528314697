import { showSeconds } from "../model/quantities.ts";
import { sayOf } from "../model/silence.ts";
import { factsOf, identityOf, isPrimary, type NodeObservation } from "../model/observation.ts";
import type { NewEvent } from "./event.ts";

/** Milliseconds of silence after which a node is down: a single observation may fail. */
const SILENT_FOR = 2000;

/** The past of a node, as far as its events need it: its last answer, and whether its loss was reported. */
export interface NodePast {
  /** When its server began: seconds since 1970. */
  readonly startedAt: number | undefined;
  /** When it last answered: milliseconds since 1970. */
  readonly answeredAt: number | undefined;
  readonly down: boolean;
}

/**
 * The event that the newest observation of a node makes, if any. Pure. The first observation makes none: what was before
 * is not known. A restart that took less time than a node may be silent shows by when the server began.
 */
export function nodeEvents(
  past: NodePast | undefined,
  observation: NodeObservation,
): { readonly past: NodePast; readonly event: NewEvent | undefined } {
  const { name, answer, lastSeen, at } = observation;
  if (identityOf(observation)) {
    // Somebody else's primary does not say since when it runs.
    const startedAt = factsOf(observation)?.started_at;
    const restarted = past?.startedAt !== undefined && past.startedAt !== startedAt;
    const began = past !== undefined && (past.down || restarted);
    const role = isPrimary(observation) ? "primary" : "replica";
    const words =
      past?.startedAt === startedAt ? "answers again" : restarted ? "was restarted" : "was started";
    const text = `${name} (${role}) ${words}${past ? timesOf(past, startedAt, at) : ""}`;
    return {
      past: { startedAt, answeredAt: at, down: false },
      event: began ? { kind: "node_started", by: "agent", node: name, text } : undefined,
    };
  }
  if (!past) return { past: { startedAt: undefined, answeredAt: undefined, down: true }, event: undefined };
  if (past.down || (lastSeen !== undefined && at - lastSeen < SILENT_FOR)) return { past, event: undefined };
  const reason = answer.kind === "none" ? sayOf(answer.silence) : "does not answer";
  return {
    past: { ...past, down: true },
    event: { kind: "node_down", by: "agent", node: name, text: `${name} was lost: ${reason}` },
  };
}

/** Where the time of an outage went. A server's start is by its host's clock: implausible times are left out. */
function timesOf(past: NodePast, startedAt: number | undefined, at: number): string {
  if (past.answeredAt === undefined) return "";
  const silent = `: it was silent for ${showSeconds((at - past.answeredAt) / 1000)}`;
  const start = startedAt === undefined || startedAt === past.startedAt ? undefined : startedAt * 1000;
  if (start === undefined || start < past.answeredAt || start > at) return silent;
  const until = showSeconds((start - past.answeredAt) / 1000);
  return `${silent}, ${until} until its server was started and ${showSeconds((at - start) / 1000)} until that answered`;
}
