import http from "node:http";
import https from "node:https";

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
  /** @param remote address of the other side */
  readonly answer: (request: Request, remote: string) => Response | Promise<Response>;
}

/** Connections at the same time. */
const CONNECTIONS = 200;
/** Milliseconds: for a whole request to come, and without any byte on a connection. Streams ping more often. */
const REQUEST_LIMIT = 15_000;
const SILENT_LIMIT = 60_000;

/** Serves http or https. @throws the system's error, such as EADDRINUSE, or that of an unfit certificate. */
export async function serveWeb({ host, port, tls, answer }: WebOptions): Promise<WebServer> {
  // Loaded when it is needed: a command that only asks must not pay for it.
  const { getRequestListener } = await import("@hono/node-server");
  const listener = getRequestListener(async (request, { incoming }) =>
    answer(request, incoming.socket.remoteAddress ?? ""),
  );
  const limits = { requestTimeout: REQUEST_LIMIT, headersTimeout: REQUEST_LIMIT };
  const onRequest = (incoming: http.IncomingMessage, outgoing: http.ServerResponse): void =>
    void listener(incoming, outgoing);
  const server = tls
    ? https.createServer({ ...limits, cert: tls.certificate, key: tls.key, minVersion: "TLSv1.2" }, onRequest)
    : http.createServer(limits, onRequest);
  server.maxConnections = CONNECTIONS;
  server.setTimeout(SILENT_LIMIT);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port, ...(host === "*" ? {} : { host }), ipv6Only: host === "::" }, resolve);
  });
  // A connection that ends badly, or a try of TLS that fails, is nobody's business.
  server.on("error", () => {});
  return {
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
