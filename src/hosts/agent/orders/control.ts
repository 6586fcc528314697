import { Hono, type Context as HonoContext } from "hono";
import * as z from "zod";
import type { AgentReport } from "../../../cluster/documents/agent-report.ts";
import { toOdooPgError } from "../../../errors.ts";
import { hostOrderSchema, type HostOrder } from "../../documents/orders.ts";
import type { HostsStatus } from "../../documents/report.ts";
import type { Outcome } from "../host.ts";

/** What the control socket may ask of the agent of one of several hosts. */
export interface ControlledAgent {
  readonly report: () => AgentReport;
  readonly status: () => Promise<HostsStatus>;
  /** A token by which another host joins. */
  readonly invite: (endpointsOnly: boolean) => Promise<string>;
  readonly order: (order: HostOrder) => Promise<Outcome>;
  /** A link that signs in to the page once. @throws OdooPgError not_running where it is not served */
  readonly consoleLink: () => { readonly link: string; readonly until: string };
  /** Ends the agent alone. */
  readonly stop: () => void;
}

/** Whether the host that is invited has endpoints alone. */
const invitationRequestSchema = z.object({ endpoints_only: z.boolean().default(false) });

export function hostControl(agent: ControlledAgent): Hono {
  const app = new Hono();
  /** Answers what is asked, or with the error. */
  const answer = async (context: HonoContext, act: () => unknown) => {
    try {
      return context.json(await act());
    } catch (error) {
      return context.json({ error: toOdooPgError(error).toJSON() });
    }
  };
  app.get("/report", (context) => context.json(agent.report()));
  app.get("/hosts", async (context) => context.json(await agent.status()));
  app.post("/invite", async (context) =>
    answer(context, async () => {
      const { endpoints_only } = invitationRequestSchema.parse(await context.req.json().catch(() => ({})));
      return { invitation: await agent.invite(endpoints_only) };
    }),
  );
  app.post("/order", async (context) =>
    answer(context, async () => await agent.order(hostOrderSchema.parse(await context.req.json()))),
  );
  app.post("/console-key", async (context) => answer(context, () => agent.consoleLink()));
  app.post("/leave", (context) => {
    agent.stop();
    return context.text("leaving\n");
  });
  return app;
}
