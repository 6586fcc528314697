import { createServer, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { NextStep } from "../../../src/next-step.ts";
import type { Action } from "../../../src/model/console-actions.ts";
import type { ConsoleDocument, Job, Sample, Principal } from "../../../src/cluster/documents/console.ts";
import { PAGE_POLICY, pageFiles } from "../../../src/console/page-files.ts";
import { atEnd } from "../../support/scope.ts";

export interface Order {
  readonly path: string;
  readonly token: string | undefined;
  readonly body: { readonly action?: Action; readonly confirm?: string };
}

/** What a stand-in answers to an order: a job, or an error with its status. */
export type Reply =
  | Job
  | { readonly status: number; readonly error: Readonly<Record<string, string | NextStep>> };

export interface StandIn {
  readonly url: string;
  /** What was asked of it, in order. */
  readonly orders: readonly Order[];
  /** Sends another document to whoever listens. */
  readonly show: (document: ConsoleDocument) => void;
  /** How the next orders are answered. */
  readonly reply: (how: (order: Order) => Reply) => void;
  /** How many streams are open. */
  readonly listeners: () => number;
  /** Takes no connections and cuts those that there are. */
  readonly goAway: () => Promise<void>;
  readonly comeBack: () => Promise<void>;
}

/** Serves the page and documents over the console's contract, without a cluster. Stopped when the test ends. */
export async function standIn(start: {
  readonly document: ConsoleDocument;
  readonly principal: Principal;
  readonly samples?: readonly Sample[];
  /** What the parts behind the overview read, by its name. */
  readonly readings?: Readonly<Record<string, unknown>>;
}): Promise<StandIn> {
  let { document } = start;
  const orders: Order[] = [];
  const listeners = new Set<ServerResponse>();
  let replyTo: (order: Order) => Reply = () => ({ status: 500, error: { code: "internal", message: "?" } });
  const files = new Map(pageFiles().map((file) => [file.path, file]));

  const server = createServer((request, response) => {
    const json = (status: number, body: unknown): void => {
      response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
    };
    const path = request.url ?? "/";
    const file = files.get(path);
    if (file)
      response
        .writeHead(200, { "content-type": file.type, "content-security-policy": PAGE_POLICY })
        .end(file.body);
    else if (path === "/api/visitor") json(200, start.principal);
    else if (path === "/api/document") json(200, document);
    else if (path.startsWith("/api/read?")) {
      const what = new URLSearchParams(path.slice("/api/read?".length)).get("what") ?? "";
      const reading = start.readings?.[what];
      if (reading === undefined)
        json(500, { version: 1, error: { code: "internal", message: `Nothing of ${what} can be read.` } });
      else json(200, reading);
    } else if (path === "/api/samples") json(200, start.samples ?? []);
    else if (path === "/api/stream") {
      response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-store" });
      listeners.add(response);
      response.on("close", () => listeners.delete(response));
      tell(response, "document", document);
    } else if (request.method === "POST") {
      void text(request).then((body) => {
        const order: Order = {
          path,
          token: request.headers["x-odoo-pg-token"]?.toString(),
          body: bodyOf(path, JSON.parse(body)),
        };
        orders.push(order);
        const answer = replyTo(order);
        if ("error" in answer) json(answer.status, { version: 1, error: answer.error });
        else json(200, answer);
      });
    } else json(404, { version: 1, error: { code: "usage", message: `There is no ${path}.` } });
  });
  const listen = (port: number): Promise<void> =>
    new Promise((resolve, reject) => {
      server.once("error", reject).listen(port, "127.0.0.1", resolve);
    });
  const stop = (): Promise<void> =>
    new Promise((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  await listen(0);
  const address = server.address();
  const port = typeof address === "object" ? (address?.port ?? 0) : 0;
  atEnd(async () => {
    if (server.listening) await stop();
  });

  return {
    url: `http://127.0.0.1:${port}/`,
    orders,
    show: (next) => {
      document = next;
      for (const listener of listeners) tell(listener, "document", next);
    },
    reply: (how) => {
      replyTo = how;
    },
    listeners: () => listeners.size,
    goAway: stop,
    comeBack: () => listen(port),
  };
}

function bodyOf(path: string, body: Order["body"] & Action): Order["body"] {
  return path === "/api/plan" ? { action: body } : body;
}

function tell(listener: ServerResponse, event: string, data: unknown): void {
  listener.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
}
