import { sayOf } from "../model/silence.ts";
import { factsOf, identityOf, isPrimary, type NodeObservation } from "../model/observation.ts";
import type { NewEvent } from "./event.ts";

/** Milliseconds of silence from which on a node is down: one look may fail. */
const SILENT_FOR = 2000;

/** What is known of a node's coming and going: of the last answer, and whether its loss was told. */
export interface NodePast {
  readonly startedAt: number | undefined;
  readonly down: boolean;
}

/**
 * What the newest look at a node tells of its coming and going. Pure. The first look tells nothing: what was before is
 * not known. A restart that took less time than a node may be silent shows by when the server began.
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
    return {
      past: { startedAt, down: false },
      event: began
        ? { kind: "node_started", by: "agent", node: name, text: `${name} (${role}) ${words}` }
        : undefined,
    };
  }
  if (!past) return { past: { startedAt: undefined, down: true }, event: undefined };
  if (past.down || (lastSeen !== undefined && at - lastSeen < SILENT_FOR)) return { past, event: undefined };
  const reason = answer.kind === "none" ? sayOf(answer.silence) : "does not answer";
  return {
    past: { ...past, down: true },
    event: { kind: "node_down", by: "agent", node: name, text: `${name} was lost: ${reason}` },
  };
}
