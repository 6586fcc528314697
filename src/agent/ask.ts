import type * as z from "zod";
import type { Layout } from "../config/layout.ts";
import { getJson } from "../system/network/local-request.ts";
import { looksSchema } from "../members/observations.ts";
import { agentReportSchema, type AgentReport } from "../cluster/documents/agent-report.ts";

/** The agent's own account, or undefined when none answers within `limit` milliseconds. */
export async function agentReport(layout: Layout, limit: number): Promise<AgentReport | undefined> {
  try {
    return await getJson(layout.agentSocket, "/report", agentReportSchema, limit);
  } catch (error) {
    if (!isUnreached(error)) return undefined;
  }
  // One of odoo-pg up to 0.1, until `up` replaces it. Where it listens the servers' user could listen too: so it is never
  // taken for one of ours.
  const former = await getJson(layout.formerAgentSocket, "/report", agentReportSchema, limit).catch(
    () => undefined,
  );
  return former && { ...former, build: null };
}

/** What the agent sees of the servers now, or undefined when it does not tell within `limit` milliseconds. */
export async function agentLooks(
  layout: Layout,
  limit: number,
): Promise<z.output<typeof looksSchema> | undefined> {
  return await ask(layout, "/looks", looksSchema, limit);
}

/** Whether nobody listens there. */
export function isUnreached(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ECONNREFUSED")
  );
}

async function ask<T>(
  layout: Layout,
  target: string,
  schema: z.ZodType<T>,
  limit: number,
): Promise<T | undefined> {
  return await getJson(layout.agentSocket, target, schema, limit).catch(() => undefined);
}
