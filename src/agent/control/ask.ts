import type * as z from "zod";
import type { Layout } from "../../config/layout.ts";
import { getJson } from "../../system/network/local-request.ts";
import { observationsSchema } from "../../members/observations.ts";
import { agentReportSchema, type AgentReport } from "../../cluster/documents/agent-report.ts";

/** The agent's report; undefined when none answers within `timeout` milliseconds. */
export async function agentReport(layout: Layout, timeout: number): Promise<AgentReport | undefined> {
  try {
    return await getJson(layout.agentSocket, "/report", agentReportSchema, timeout);
  } catch (error) {
    if (!isUnreached(error)) return undefined;
  }
  // An agent of odoo-pg up to 0.1, until `up` replaces it. The servers' user could listen at the same place: so it is never
  // taken for one of ours.
  const former = await getJson(layout.formerAgentSocket, "/report", agentReportSchema, timeout).catch(
    () => undefined,
  );
  return former && { ...former, build: null };
}

/** The agent's observations of the servers, made now; undefined without an answer within `timeout` milliseconds. */
export async function agentObservations(
  layout: Layout,
  timeout: number,
): Promise<z.output<typeof observationsSchema> | undefined> {
  return await ask(layout, "/observations", observationsSchema, timeout);
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
  timeout: number,
): Promise<T | undefined> {
  return await getJson(layout.agentSocket, target, schema, timeout).catch(() => undefined);
}
