import * as z from "zod";
import { resolvedConfigSchema } from "../config/schema.ts";

const passwordsSchema = z.object({
  odoo: z.string().optional(),
  openerp: z.string().optional(),
  replicator: z.string().optional(),
  collectd: z.string().optional(),
});

/** What `up` asks of the agent. Passwords cross the socket (mode 0600), never an argument or the environment. */
export const applyRequestSchema = z.object({ config: resolvedConfigSchema, passwords: passwordsSchema });
export type ApplyRequest = z.output<typeof applyRequestSchema>;

/** What the agent says of itself, beside what anybody can see by asking the servers. */
export const agentReportSchema = z.object({
  pid: z.number(),
  version: z.string(),
  /** Whether the agent keeps the servers running, or only waits for an order. */
  keeping: z.boolean(),
  /** What it works on now. */
  operation: z.string().nullable(),
  primary: z.string().nullable(),
  haproxy: z.boolean(),
  pool: z.string().array(),
  nodes: z
    .object({
      name: z.string(),
      /** In the pool, or why not. */
      pooled: z.boolean(),
      out_of_pool: z.string().nullable(),
      operation: z.string().nullable(),
      waiting: z.object({ state: z.string(), reason: z.string(), next: z.string() }).nullable(),
      failure: z.string().nullable(),
      last_seen: z.number().nullable(),
    })
    .array(),
});
export type AgentReport = z.output<typeof agentReportSchema>;
