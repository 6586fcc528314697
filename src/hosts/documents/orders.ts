import * as z from "zod";
import { configChangeSchema } from "../decisions/settings/configure.ts";
import { nextStepSchema } from "../../next-step-schema.ts";
import { errorSchema } from "../../progress.ts";

/** Orders to the agent of one of several hosts, through its control socket, and from agents of other hosts. */
export const hostOrderSchema = z.discriminatedUnion("order", [
  z.object({ order: z.literal("switchover"), to: z.string().nullable(), dry_run: z.boolean() }),
  /** By force. `confirm`: the cluster's name, typed to accept a loss. */
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
  /** Between agents: have clients of this host's pooled endpoint wait, for some seconds at most, and go on. */
  z.object({ order: z.literal("hold_clients"), endpoint: z.enum(["read", "write"]) }),
  z.object({ order: z.literal("release_clients") }),
  /** Between agents: lead no new client to a host, whose server is about to be stopped, for some seconds at most. */
  z.object({ order: z.literal("hold_new_clients"), host: z.string() }),
  z.object({ order: z.literal("let_in_new_clients") }),
  /** Of the host whose agent is asked. */
  z.object({ order: z.literal("reseed"), dry_run: z.boolean().default(false) }),
  z.object({ order: z.literal("leave") }),
  z.object({ order: z.literal("down") }),
  /** The cluster gets one host again, the primary's, whose agent is asked. `confirm`: the cluster's name. */
  z.object({ order: z.literal("disband"), confirm: z.string().nullable() }),
  /** The majority is lost for good: the host whose agent is asked becomes the only member of the store. */
  z.object({ order: z.literal("force_new_cluster"), confirm: z.string().nullable() }),
  /** `here`: from the agent that removes a host to the others, each of which then records its certificates as revoked. */
  z.object({
    order: z.literal("remove"),
    host: z.string(),
    here: z.literal(true).optional(),
    /** With `here`: the host on which somebody ordered it. An earlier odoo-pg does not say. */
    by: z.string().optional(),
  }),
]);
export type HostOrder = z.output<typeof hostOrderSchema>;

/** The result of an order, as a sentence. */
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
