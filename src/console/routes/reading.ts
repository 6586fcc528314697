import type { Hono } from "hono";
import type { Principal } from "../../cluster/documents/console.ts";
import { OdooPgError } from "../../errors.ts";
import { readingSchema } from "../../model/console-readings.ts";
import type { Clients } from "../access/clients.ts";
import type { ConsoleParts, Env } from "../console-parts.ts";
import { eventStream } from "../event-stream.ts";
import { forPrincipal } from "../for-principal.ts";

/** Pages that may be open at the same time, and how many of those without a sign-in. */
const STREAMS = 32;
const STREAMS_OF_STRANGERS = 24;

/** What the page reads: its client, the document and its changes, and, for operators, readings and downloads. */
export function addReading(app: Hono<Env>, parts: ConsoleParts, clients: Clients): void {
  const { feed } = parts;
  app.get("/api/visitor", (context) => {
    const { role, signIn } = clients.of(context);
    const principal: Principal = {
      role,
      signed_in: signIn !== undefined,
      read_only: parts.readOnly,
      token: signIn?.token ?? "",
    };
    return context.json(principal);
  });
  app.get("/api/document", async (context) => {
    const isOperator = clients.of(context).role === "operator";
    return context.json(forPrincipal(await feed.document(), isOperator));
  });
  app.get("/api/samples", async (context) => {
    clients.of(context);
    return context.json(await parts.source.samples());
  });
  app.get("/api/stream", (context) => {
    const { role, signIn } = clients.of(context);
    const most = signIn ? STREAMS : STREAMS_OF_STRANGERS;
    if (feed.followers >= most) {
      throw new OdooPgError("refused", {
        message: `${most} pages are open already.`,
        next: "Close one of them.",
      });
    }
    const mayGoOn = (): boolean => signIn === undefined || clients.signInOf(context) !== undefined;
    context.header("content-type", "text/event-stream");
    return context.body(eventStream(feed, { isOperator: role === "operator", mayGoOn }));
  });

  app.get("/api/read", async (context) => {
    clients.readingOperator(context);
    const reading = readingSchema.safeParse(context.req.query());
    if (!reading.success)
      throw new OdooPgError("usage", { message: "There is nothing of that name to read." });
    return context.json(await parts.readings.read(reading.data));
  });

  app.get("/api/backups/:id/odoo.zip", async (context) => {
    clients.readingOperator(context);
    const id = context.req.param("id");
    const zip = await parts.downloads.zip(id);
    parts.log("info", `console: an operator (${context.env.remote}) downloads ${id}`);
    context.header("content-type", "application/zip");
    // An id holds letters, digits and what needs no quotes.
    context.header("content-disposition", `attachment; filename="${id}.zip"`);
    return context.body(zip);
  });
}
