import type { Hono } from "hono";
import { signInNeeded } from "../answers.ts";
import type { Clients } from "../access/clients.ts";
import type { Env } from "../console-parts.ts";

/** Prometheus' text, also for a password by HTTP's basic authentication, as Prometheus sends it. */
export function addMetrics(app: Hono<Env>, metrics: () => Promise<string>, clients: Clients): void {
  app.get("/metrics", async (context) => {
    if (!clients.find(context)) {
      const given = basicPassword(context.req.header("authorization"));
      // The role is not asked for: any user name will do.
      if (given === undefined || !(await clients.isRightPassword(context, ["viewer", "operator"], given))) {
        context.header("www-authenticate", 'Basic realm="odoo-pg"');
        throw signInNeeded();
      }
    }
    return context.text(await metrics(), 200, {
      "content-type": "text/plain; version=0.0.4; charset=utf-8",
    });
  });
}

function basicPassword(header: string | undefined): string | undefined {
  const encoded = /^Basic ([A-Za-z0-9+/=]{1,2000})$/i.exec(header ?? "")?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, "base64").toString("utf8");
  const colon = text.indexOf(":");
  return colon === -1 || colon === text.length - 1 ? undefined : text.slice(colon + 1);
}
