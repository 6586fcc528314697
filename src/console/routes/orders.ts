import type { Hono } from "hono";
import * as z from "zod";
import { OdooPgError } from "../../errors.ts";
import { actionSchema, confirmationOf, type Action } from "../../model/console-actions.ts";
import { parsed } from "../answers.ts";
import type { Clients } from "../access/clients.ts";
import type { ConsoleParts, Env } from "../console-parts.ts";
import { givenSchema } from "../given-secret.ts";

const orderSchema = z.strictObject({ action: actionSchema, confirm: z.string().max(200).optional() });

/** The orders of the page: an action's plan, the action itself, and a secret that it needs. */
export function addOrders(app: Hono<Env>, { jobs, secrets, log }: ConsoleParts, clients: Clients): void {
  app.post("/api/plan", async (context) => {
    const by = clients.operator(context);
    return context.json(jobs.plan(await parsed(context, actionSchema), by), 202);
  });
  app.post("/api/act", async (context) => {
    const by = clients.operator(context);
    const { action, confirm } = await parsed(context, orderSchema);
    refuseUnconfirmed(action, confirm);
    const job = jobs.act(action, by);
    log("info", `console: ${by} (${context.env.remote}) starts: ${job.command}`);
    return context.json(job, 202);
  });
  app.post("/api/secret", async (context) => {
    clients.operator(context);
    await secrets.take((await parsed(context, givenSchema)).secret);
    return context.body(null, 204);
  });
}

function refuseUnconfirmed(action: Action, confirm: string | undefined): void {
  const name = confirmationOf(action);
  if (name === undefined || name === confirm) return;
  throw new OdooPgError("confirmation_missing", {
    message: `This needs the name typed: ${JSON.stringify(name)}.`,
    safe: "Nothing was changed.",
  });
}
