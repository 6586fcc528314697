import * as z from "zod";
import { configChangeSchema } from "../decisions/configure.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import { errorSchema } from "../../progress.ts";

/** What may be asked of a cluster of several hosts, by whoever may use the control socket of one, and by agents of others. */
export const hostOrderSchema = z.discriminatedUnion("order", [
  z.object({ order: z.literal("switchover"), to: z.string().nullable(), dry_run: z.boolean() }),
  /** By force. `confirm`: the cluster's name, typed by who accepts a loss. */
  z.object({
    order: z.literal("failover"),
    to: z.string(),
    allow_data_loss: z.boolean(),
    confirm: z.string().nullable(),
    dry_run: z.boolean(),
  }),
  /** Of one host's server, or of all: null. */
  z.object({ order: z.literal("restart"), host: z.string().nullable(), dry_run: z.boolean() }),
  /** Changes of the configuration, for all hosts. None: what waits for a restart alone. */
  z.object({ order: z.literal("configure"), changes: configChangeSchema.array(), dry_run: z.boolean() }),
  /** `until` in milliseconds since the epoch. */
  z.object({ order: z.literal("pause"), until: z.number() }),
  z.object({ order: z.literal("resume") }),
  /** Of agents to each other: clients of this host's pooled endpoint wait, for some seconds at most, and go on. */
  z.object({ order: z.literal("hold_clients"), endpoint: z.enum(["read", "write"]) }),
  z.object({ order: z.literal("release_clients") }),
  /** Of the host whose agent is asked. */
  z.object({ order: z.literal("reseed"), dry_run: z.boolean().default(false) }),
  z.object({ order: z.literal("leave") }),
  z.object({ order: z.literal("down") }),
  /** Several hosts become one, the primary's, whose agent is asked. `confirm`: the cluster's name. */
  z.object({ order: z.literal("disband"), confirm: z.string().nullable() }),
  /** The host whose agent is asked alone is the store, where the majority is lost for good. */
  z.object({ order: z.literal("force_new_cluster"), confirm: z.string().nullable() }),
  /** `here`: of the agent that removes a host to the others, which write down for themselves that its certificates are revoked. */
  z.object({ order: z.literal("remove"), host: z.string(), here: z.literal(true).optional() }),
]);
export type HostOrder = z.output<typeof hostOrderSchema>;

/** What came of it, for people. */
export const hostOutcomeSchema = z.union([
  z.object({
    done: z.string(),
    changed: z.boolean(),
    plan: z.string().array().optional(),
    undo: nextStepSchema.optional(),
  }),
  z.object({ error: errorSchema }),
]);
export type HostOutcome = Exclude<z.output<typeof hostOutcomeSchema>, { error: unknown }>;
