import * as z from "zod";
import { nodeOperationSchema } from "./node-state.ts";

const node = z.string();

/** How a primary is stopped: never `smart`, which would let sessions go on. */
const stopModeSchema = z.enum(["fast", "immediate"]);
export type Fence = z.output<typeof stopModeSchema>;

/**
 * One step of a change of the primary. A plan is a list of these: it is what `--dry-run` prints and what is carried out.
 * An interrupted one is not begun again from its first step: what is left to do is planned again from what is found.
 */
export const planStepSchema = z.discriminatedUnion("kind", [
  // An operation has a node, so that supervision leaves it alone.
  z.object({ kind: z.literal("hold"), node, operation: nodeOperationSchema }),
  z.object({ kind: z.literal("release"), node }),

  // The endpoints.
  /** Clients of poolers wait, when their open transactions have come to their end. */
  z.object({ kind: z.literal("pause_clients"), endpoint: z.enum(["read", "write"]).optional() }),
  z.object({ kind: z.literal("resume_clients") }),
  /** New clients wait instead of being led to the node, for some seconds at most; those who are logging in finish. */
  z.object({ kind: z.literal("hold_new_clients"), node }),
  z.object({ kind: z.literal("let_in_new_clients"), node }),
  z.object({ kind: z.literal("leave_pool"), node, required: z.boolean() }),
  /** Also takes it off the list that commits wait for. */
  z.object({ kind: z.literal("empty_pool") }),
  z.object({ kind: z.literal("reopen_pool") }),
  /** Sessions on the node are cut, new ones wait. */
  z.object({ kind: z.literal("close_writes"), node }),
  z.object({ kind: z.literal("reopen_writes"), node }),
  /** Reads and writes; what commits wait for stays. */
  z.object({ kind: z.literal("close_endpoints"), node }),
  z.object({ kind: z.literal("route"), node }),

  // Of several hosts, where Patroni stops, promotes and follows.
  /** Reads go to the primary on every host, and no host keeps the pool. */
  z.object({ kind: z.literal("rest_pool") }),
  z.object({ kind: z.literal("hand_over"), node, to: node }),
  /** Also where data of the primary is lost: `from` is stopped first where there is one. */
  z.object({ kind: z.literal("take_by_force"), node, from: node.nullable() }),
  z.object({ kind: z.literal("await_primary"), node, by: z.enum(["plan", "force"]) }),

  // The old primary.
  z.object({ kind: z.literal("checkpoint"), node, before: z.enum(["shutdown", "promotion"]) }),
  z.object({ kind: z.literal("end_silent_senders"), node }),
  z.object({ kind: z.literal("stop"), node, mode: stopModeSchema }),
  /** Keeps down what is lost. One that was down and is found up again is stopped only where `mode` says so. */
  z.object({ kind: z.literal("fence"), node, running: z.boolean(), mode: stopModeSchema.optional() }),
  z.object({ kind: z.literal("become_standby"), node }),
  z.object({ kind: z.literal("become_primary"), node }),
  z.object({ kind: z.literal("start"), node }),
  z.object({ kind: z.literal("needs_rejoin"), node, primary: node }),

  // The next one.
  z.object({ kind: z.literal("make_slots"), node, followers: node.array() }),
  z.object({ kind: z.literal("drop_slots"), node, followers: node.array() }),
  z.object({ kind: z.literal("await_replay"), node, of: node }),
  z.object({ kind: z.literal("limit_loss"), node, of: node, accepted: z.boolean() }),
  z.object({ kind: z.literal("release_commits"), node }),
  z.object({ kind: z.literal("record_primary"), node }),
  z.object({ kind: z.literal("promote"), node }),
  z.object({ kind: z.literal("take_over"), node }),
  z.object({
    kind: z.literal("record_change"),
    change: z.enum(["switchover", "promote", "rejoin", "reseed"]),
    from: node.nullable(),
    to: node,
    why: z.string(),
    /** Of the pause of writes: measured, counted from the last answer of the primary that was lost, or not known. */
    paused: z.enum(["measured", "since_last_answer", "unknown"]),
  }),

  // Those that follow.
  z.object({ kind: z.literal("prepare_start"), nodes: node.array() }),
  z.object({ kind: z.literal("follow"), node, primary: node }),
  z.object({ kind: z.literal("await_streaming"), node, primary: node }),
  z.object({ kind: z.literal("settle"), primary: node, replicas: node.array() }),

  // The data of a replica.
  z.object({ kind: z.literal("require_room"), node, source: node }),
  z.object({ kind: z.literal("base_backup"), node, from: node, serving: z.boolean() }),
  z.object({ kind: z.literal("stop_replica"), node }),
  z.object({ kind: z.literal("renew_slot"), node }),
  z.object({ kind: z.literal("take_slot_of_copy"), node }),
  z.object({ kind: z.literal("rewind"), node, to: node }),
  z.object({ kind: z.literal("keep_aside"), node }),
  z.object({ kind: z.literal("put_in_place"), node }),
  z.object({ kind: z.literal("discard_old"), node }),
]);
export type PlanStep = z.output<typeof planStepSchema>;
