import * as z from "zod";
import type { Layout } from "../config/layout.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import { nextStep, odooPg } from "../next-step.ts";
import { errorFromEvent, errorSchema } from "../progress.ts";
import { requestJson } from "../system/network/http.ts";
import { getJson } from "../system/network/local-request.ts";
import { hostOutcomeSchema, type HostOrder, type HostOutcome } from "./documents/orders.ts";
import { hostsStatusSchema, type HostsStatus } from "./documents/report.ts";

/** The whole cluster, as the agent of this host sees it; undefined where it does not answer within `timeout` milliseconds. */
export async function hostsStatus(layout: Layout, timeout: number): Promise<HostsStatus | undefined> {
  return await getJson(layout.agentSocket, "/hosts", hostsStatusSchema, timeout).catch(() => undefined);
}

/** @throws OdooPgError not_running */
export async function requireHostsStatus(layout: Layout): Promise<HostsStatus> {
  const status = await hostsStatus(layout, 5000);
  if (status) return status;
  throw new OdooPgError("not_running", {
    message: "The agent of this host does not answer.",
    safe: "Patroni, etcd and the servers go on without it.",
    next: nextStep`Start it: ${odooPg("up")}. Its last words: ${odooPg("logs", "agent")}`,
  });
}

const invitationSchema = z.union([z.object({ invitation: z.string() }), z.object({ error: errorSchema })]);

/** Asks the agent for a token by which another host joins. @throws OdooPgError */
export async function newInvitation(layout: Layout, endpointsOnly = false): Promise<string> {
  const answer = await requestJson(
    {
      socketPath: layout.agentSocket,
      method: "POST",
      path: "/invite",
      body: { endpoints_only: endpointsOnly },
      timeout: 5000,
    },
    invitationSchema,
  );
  if ("error" in answer) throw errorFromEvent(answer.error);
  return answer.invitation;
}

/** Gives the agent an order, and waits until it is carried out. @throws OdooPgError what it refuses */
export async function orderHosts(layout: Layout, order: HostOrder): Promise<HostOutcome> {
  const answer = await requestJson(
    { socketPath: layout.agentSocket, method: "POST", path: "/order", body: order, timeout: 0 },
    hostOutcomeSchema,
  ).catch((error: unknown) => {
    throw new OdooPgError("not_running", {
      message: `The agent of this host does not answer: ${messageOf(error)}`,
      next: nextStep`Look how it is: ${odooPg("status")}`,
    });
  });
  if ("error" in answer) throw errorFromEvent(answer.error);
  return answer;
}
