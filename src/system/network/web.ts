import http from "node:http";
import https from "node:https";
import { Crowd } from "./crowd.ts";

export interface WebServer {
  /** Takes no more connections and cuts those that are open. */
  readonly close: () => Promise<void>;
}

export interface WebOptions {
  /** A name or an address; `*` for all addresses. */
  readonly host: string;
  readonly port: number;
  /** Certificate and key (PEM) for https; undefined for http. */
  readonly tls: { readonly certificate: string; readonly key: string } | undefined;
  readonly answer: (request: Request, caller: Caller) => Response | Promise<Response>;
}

/** The client of a request. */
export interface Caller {
  /** Address of the other side. */
  readonly remote: string;
  /** Says that they have shown who they are: their connection is not ended for that of a stranger. */
  readonly known: () => void;
}

/** Connections of those who have not shown who they are; and of all, so that memory stays bounded. */
const STRANGERS = { fromOne: 64, fromAll: 128 };
const CONNECTIONS = 1000;
/** Milliseconds: for the head of a request or TLS to come, for all of it, and how often that is looked at. */
const HEAD_TIMEOUT = 5000;
const REQUEST_TIMEOUT = 15_000;
const CHECK_EVERY = 1000;
/** Milliseconds without any byte on a connection. Streams ping more often. */
const IDLE_TIMEOUT = 60_000;

/** Serves http or https. @throws the system's error, such as EADDRINUSE, or that of an unfit certificate. */
export async function serveWeb({ host, port, tls, answer }: WebOptions): Promise<WebServer> {
  // Loaded when it is needed: a command that only asks must not pay for it.
  const { getRequestListener } = await import("@hono/node-server");
  const listener = getRequestListener(async (request, { incoming }) =>
    answer(request, {
      remote: incoming.socket.remoteAddress ?? "",
      known: () => crowd.know(incoming.socket),
    }),
  );
  const crowd = new Crowd(STRANGERS);
  const limits = {
    requestTimeout: REQUEST_TIMEOUT,
    headersTimeout: HEAD_TIMEOUT,
    connectionsCheckingInterval: CHECK_EVERY,
  };
  const onRequest = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void =>
    void listener(incoming, outgoing);
  const server = tls
    ? https.createServer(
        {
          ...limits,
          handshakeTimeout: HEAD_TIMEOUT,
          cert: tls.certificate,
          key: tls.key,
          minVersion: "TLSv1.2",
        },
        onRequest,
      )
    : http.createServer(limits, onRequest);
  server.maxConnections = CONNECTIONS;
  server.setTimeout(IDLE_TIMEOUT);
  const where = { port, ...(host === "*" ? {} : { host }), ipv6Only: host === "::" };
  return { close: await crowd.listen(server, where) };
}
