import { chmodSync, chownSync } from "node:fs";
import http from "node:http";
import type { Hono } from "hono";
import { removeFile, type Owner } from "./files.ts";

/** Serves an application on a Unix socket of mode 0600. The caller holds the lock that makes removing an old socket safe. */
export async function serveOnSocket(
  socketPath: string,
  app: Hono,
  owner: Owner | undefined,
): Promise<() => Promise<void>> {
  await removeFile(socketPath);
  // Loaded when it is needed: a command that only asks must not pay for it.
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({ fetch: app.fetch });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, () => resolve());
  });
  chmodSync(socketPath, 0o600);
  if (owner) chownSync(socketPath, owner.uid, owner.gid);
  return async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()));
    if (!("closeAllConnections" in server)) return;
    // Whoever is just being answered, such as why an order was refused, gets the answer whole.
    const idle = setInterval(() => server.closeIdleConnections(), 20);
    const cut = setTimeout(() => server.closeAllConnections(), ANSWER_LIMIT);
    await closed;
    clearInterval(idle);
    clearTimeout(cut);
  };
}

/** Milliseconds for an answer that is being written when its server ends. */
const ANSWER_LIMIT = 1000;

export interface SocketRequest {
  readonly socketPath: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  /** Milliseconds without any byte after which the answer is given up; 0 means none. */
  readonly limit: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request and yields the lines of the answer as they come.
 * @throws Error with `code` ENOENT or ECONNREFUSED when nobody listens, "late" when the limit is reached.
 */
export async function* requestLines(request: SocketRequest): AsyncGenerator<string> {
  const body = request.body === undefined ? undefined : JSON.stringify(request.body);
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const outgoing = http.request(
      {
        socketPath: request.socketPath,
        method: request.method,
        path: request.path,
        headers:
          body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
        ...(request.signal ? { signal: request.signal } : {}),
      },
      resolve,
    );
    outgoing.once("error", reject);
    if (request.limit > 0) outgoing.setTimeout(request.limit, () => outgoing.destroy(new Error("late")));
    outgoing.end(body);
  });
  response.setEncoding("utf8");
  let rest = "";
  for await (const chunk of response) {
    const lines = (rest + String(chunk)).split("\n");
    rest = lines.pop() ?? "";
    yield* lines.filter(Boolean);
  }
  if (rest) yield rest;
}

/** Sends a request and returns the whole answer as parsed JSON. */
export async function requestJson(request: SocketRequest): Promise<unknown> {
  let text = "";
  for await (const line of requestLines(request)) text += line;
  return JSON.parse(text);
}

/**
 * Posts a document as JSON. The address may be a secret: it is in no error.
 * @throws Error for an address that is none, no answer within `limit` milliseconds, or a status other than 2xx.
 */
export async function postJson(address: string, document: unknown, limit: number): Promise<void> {
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) throw new Error("it holds no http(s) address");
  let status: number;
  try {
    const response = await fetch(address, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(document),
      redirect: "error",
      signal: AbortSignal.timeout(limit),
    });
    ({ status } = response);
    await response.body?.cancel();
  } catch (error) {
    const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "no answer";
    // oxlint-disable-next-line preserve-caught-error -- the error may hold the address, which is a secret
    throw new Error(`the address does not answer (${code})`, { cause: code });
  }
  if (status < 200 || status > 299) throw new Error(`the address answered with status ${status}`);
}
