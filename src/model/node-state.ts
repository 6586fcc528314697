import * as z from "zod";

/** What the agent does with a node. `seed` is the first copy of the primary, `fenced` what is done to an old primary. */
export const nodeOperationSchema = z.enum([
  "start",
  "restart",
  "seed",
  "stop",
  "remove",
  "switchover",
  "promote",
  "fenced",
  "reseed",
  "rejoin",
]);
export type NodeOperation = z.output<typeof nodeOperationSchema>;

/** The decision of a person that a node waits for before it is started. */
export const waitingStateSchema = z.enum(["needs rejoin", "needs reseed", "refused"]);
export type WaitingState = z.output<typeof waitingStateSchema>;

/** Why a server does not start, as far as the agent acts or tells by it. */
export const startFailureSchema = z.enum(["disk_full", "port_in_use", "tablespace_refused", "other"]);
export type StartFailure = z.output<typeof startFailureSchema>;

/** How a node is, in the word that is shown. */
export const nodeStateSchema = z.enum([
  "running",
  "streaming",
  "catching up",
  "not streaming",
  "replay paused",
  ...waitingStateSchema.options,
  "starting",
  "restarting",
  "seeding",
  "stopping",
  "switchover",
  "promote",
  "fenced",
  "reseed",
  "rejoin",
  "start fails",
  "stopped",
  "unreachable",
]);
export type NodeState = z.output<typeof nodeStateSchema>;

/** What an operation looks like from outside, while the server does not answer. */
export const STATE_DURING = {
  start: "starting",
  restart: "restarting",
  seed: "seeding",
  stop: "stopping",
  remove: "stopping",
  switchover: "switchover",
  promote: "promote",
  fenced: "fenced",
  reseed: "reseed",
  rejoin: "rejoin",
} as const satisfies Record<NodeOperation, NodeState>;

const COPIED: readonly NodeState[] = ["seeding", "reseed", "rejoin"];

/** Whether its data is being copied by order, which may take hours. */
export function isBeingCopied(state: NodeState): boolean {
  return COPIED.includes(state);
}
