import type * as z from "zod";
import type { Layout } from "../cluster/layout.ts";
import { getJson } from "../system/local-request.ts";
import { looksSchema } from "./looks.ts";
import { agentReportSchema, type AgentReport } from "./report.ts";

/** The agent's own account, or undefined when none answers within `limit` milliseconds. */
export async function agentReport(layout: Layout, limit: number): Promise<AgentReport | undefined> {
  return await ask(layout, "/report", agentReportSchema, limit);
}

/** What the agent sees of the servers now, or undefined when it does not tell within `limit` milliseconds. */
export async function agentLooks(
  layout: Layout,
  limit: number,
): Promise<z.output<typeof looksSchema> | undefined> {
  return await ask(layout, "/looks", looksSchema, limit);
}

async function ask<T>(
  layout: Layout,
  target: string,
  schema: z.ZodType<T>,
  limit: number,
): Promise<T | undefined> {
  try {
    return await getJson(layout.agentSocket, target, schema, limit);
  } catch {
    return undefined;
  }
}
