import type { Action } from "../../model/console-actions.ts";
import type { Job } from "../../cluster/documents/console.ts";
import { failureOf, silence, type Failure } from "./model/failure.ts";

export type Answer =
  | { readonly job: Job; readonly failure?: undefined }
  | { readonly failure: Failure; readonly job?: undefined };

/** Asks what an action would do: a job that shows its plan. */
export async function askForPlan(action: Action, token: string): Promise<Answer> {
  return await post("/api/plan", action, token, false);
}

/** Starts an action. `confirm` is the typed confirmation, where one was needed. */
export async function order(action: Action, confirm: string | undefined, token: string): Promise<Answer> {
  return await post("/api/act", { action, ...(confirm === undefined ? {} : { confirm }) }, token, true);
}

async function post(path: string, body: unknown, token: string, starts: boolean): Promise<Answer> {
  try {
    const response = await fetch(path, {
      method: "POST",
      headers: { "content-type": "application/json", "x-odoo-pg-token": token },
      body: JSON.stringify(body),
    });
    if (!response.ok)
      return { failure: failureOf(await response.json().catch(() => undefined), response.status) };
    // What this server sends is made from the same types.
    const job: Job = await response.json();
    return { job };
  } catch {
    return { failure: silence(starts) };
  }
}

/** Sends a secret that only the next action needs, separately. @returns why it was refused */
export async function giveSecret(secret: string, token: string): Promise<Failure | undefined> {
  try {
    const response = await fetch("/api/secret", {
      method: "POST",
      headers: { "content-type": "application/json", "x-odoo-pg-token": token },
      body: JSON.stringify({ secret }),
    });
    if (response.ok) return undefined;
    return failureOf(await response.json().catch(() => undefined), response.status);
  } catch {
    return silence(false);
  }
}
