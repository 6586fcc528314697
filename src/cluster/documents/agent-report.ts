import { nodeOperationSchema, startFailureSchema, waitingStateSchema } from "../../model/node-state.ts";
import * as z from "zod";
import { keptAttachmentsSchema } from "../../model/backups/kept-attachments.ts";
import { poolersSchema } from "../../model/pooler.ts";
import { waitingClientsSchema } from "../../model/waiting.ts";
import { nextStepOrWords } from "../../next-step-schema.ts";
import { resolvedConfigSchema } from "../../config/schema.ts";
import { planStepSchema } from "../../model/plan.ts";

const passwordsSchema = z.object({
  odoo: z.string().optional(),
  openerp: z.string().optional(),
  replicator: z.string().optional(),
  collectd: z.string().optional(),
  upstream: z.string().optional(),
});

/** What `up` asks of the agent. Passwords cross the socket (mode 0600), never an argument or the environment. */
export const applyRequestSchema = z.object({
  config: resolvedConfigSchema,
  passwords: passwordsSchema,
  /** The configuration file, by its absolute path, that commands name to meet this cluster; null where there is none. */
  config_file: z.string().nullable().default(null),
});
export type ApplyRequest = z.output<typeof applyRequestSchema>;

/** What the agent reports about itself, besides what the servers themselves report. */
export const agentReportSchema = z.object({
  pid: z.number(),
  version: z.string(),
  /** The program's build: one version may have several. Agents up to 0.1 do not say. */
  build: z.string().nullable().default(null),
  /** Whether the agent keeps the servers running, or only waits for an order. */
  keeping: z.boolean(),
  /** Whether it is about to end, and takes no more orders. */
  ending: z.boolean().default(false),
  /** What it works on now. */
  operation: z.string().nullable(),
  primary: z.string().nullable(),
  haproxy: z.boolean(),
  pool: z.string().array(),
  /** The clients that wait at the endpoints. Agents up to 0.1 do not say. */
  waiting_clients: waitingClientsSchema.nullable().default(null),
  poolers: poolersSchema.nullable().default(null),
  overrides: z
    .object({
      setting: z.string(),
      value: z.string(),
      file: z.string().nullable(),
      role: z.string().nullable(),
      database: z.string().nullable(),
    })
    .array()
    .default([]),
  /** Channels by which alarms do not arrive now; `since` in milliseconds since the epoch. */
  failing_channels: z.object({ name: z.string(), since: z.number(), error: z.string() }).array().default([]),
  /** How well attachments are kept for any second; null where they are not to be. */
  attachments: keptAttachmentsSchema.nullable().default(null),
  /** What keeps the agent from keeping rights in databases, and where the superuser needs a password on its own host. */
  rights: z
    .object({ problem: z.string().nullable(), by_password: z.string().nullable() })
    .default({ problem: null, by_password: null }),
  /** Where the console is to be, and why it is not served there; null where there is to be none. */
  console: z.object({ url: z.string(), problem: z.string().nullable() }).nullable().default(null),
  nodes: z
    .object({
      name: z.string(),
      /** In the pool, or why not. */
      pooled: z.boolean(),
      out_of_pool: z.string().nullable(),
      // Of an agent of another version this one may not know every word.
      operation: nodeOperationSchema.nullable().catch(null),
      waiting: z
        .object({ state: waitingStateSchema.catch("refused"), reason: z.string(), next: nextStepOrWords })
        .nullable(),
      failure: z.string().nullable(),
      /** What the words of the failure mean. Agents up to 0.1 do not say. */
      failure_cause: startFailureSchema.nullable().default(null),
      failure_next: nextStepOrWords.nullable().default(null),
      /** Whether the primary no longer has the WAL that it needs. */
      stranded: z.boolean().default(false),
      /** Why the primary does not let it replicate, in the server's words. */
      refusal: z.string().nullable().default(null),
      /** Tablespaces for which a replica has no place of its own. */
      tablespaces: z.object({ location: z.string(), shared: z.boolean() }).array().default([]),
      last_seen: z.number().nullable(),
    })
    .array(),
});
export type AgentReport = z.output<typeof agentReportSchema>;

const dryRun = z.boolean().default(false);

/** What may be asked of a running cluster, besides up and down. */
export const operationSchema = z.discriminatedUnion("operation", [
  z.object({ operation: z.literal("switchover"), to: z.string().optional(), dry_run: dryRun }),
  z.object({
    operation: z.literal("promote"),
    node: z.string(),
    fence: z.enum(["fast", "immediate"]).optional(),
    allow_data_loss: z.boolean().default(false),
    confirm: z.string().optional(),
    dry_run: dryRun,
  }),
  z.object({
    operation: z.literal("reseed"),
    node: z.string(),
    discard_old: z.boolean().default(false),
    dry_run: dryRun,
  }),
  z.object({
    operation: z.literal("rejoin"),
    node: z.string(),
    reseed: z.boolean().default(false),
    discard_old: z.boolean().default(false),
    dry_run: dryRun,
  }),
]);
export type OperationRequest = z.input<typeof operationSchema>;

/** What an operation answers: its steps, and how to undo it. */
export const outcomeSchema = z.object({
  /** For people. */
  steps: z.string().array(),
  /** The same by their types. Agents up to 0.1 do not say, and those of another version may know others. */
  plan: planStepSchema.array().catch([]),
  undo: nextStepOrWords,
  dry_run: z.boolean(),
});
export type Outcome = z.output<typeof outcomeSchema>;
