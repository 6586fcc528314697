import http from "node:http";
import https from "node:https";
import type { Hono } from "hono";
import type * as z from "zod";
import { removeFile } from "../files/files.ts";
import { parseJson } from "../files/json-file.ts";

/** Serves an application on a Unix socket of mode 0600. The caller holds the lock that makes removing an old socket safe. */
export async function serveOnSocket(socketPath: string, app: Hono): Promise<() => Promise<void>> {
  await removeFile(socketPath);
  // Loaded when it is needed: a command that only asks must not pay for it.
  const { createAdaptorServer } = await import("@hono/node-server");
  const server = createAdaptorServer({ fetch: app.fetch });
  if (!(server instanceof http.Server)) throw new Error("not a server of HTTP/1");
  await listen(server, socketPath, 0o600);
  return async () => await closing(server);
}

/**
 * The socket has its mode from the start. Nothing is done to it by its path afterwards: in a directory of another user
 * something else could lie there by then. bind(2) follows no link.
 */
async function listen(server: http.Server, socketPath: string, mode: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    // Node.js binds before listen() returns.
    const before = process.umask(0o777 & ~mode);
    try {
      server.listen(socketPath, () => resolve());
    } finally {
      process.umask(before);
    }
  });
}

async function closing(server: http.Server): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  // Whoever is just being answered, such as why an order was refused, gets the answer whole.
  const idle = setInterval(() => server.closeIdleConnections(), 20);
  const cut = setTimeout(() => server.closeAllConnections(), ANSWER_TIMEOUT);
  await closed;
  clearInterval(idle);
  clearTimeout(cut);
}

/** The answer to a request. */
export interface PlainAnswer {
  readonly status: number;
  readonly text: string;
}

/**
 * Serves short texts on a Unix socket that whoever may enter its directory may use: for checks that come several times a
 * second. As `serveOnSocket`.
 */
export async function serveTexts(
  socketPath: string,
  answer: (target: string) => PlainAnswer,
): Promise<() => Promise<void>> {
  await removeFile(socketPath);
  const server = http.createServer((request, response) => {
    const { status, text } = answer(request.url ?? "");
    response.writeHead(status, { "content-type": "text/plain", "content-length": Buffer.byteLength(text) });
    response.end(text);
  });
  await listen(server, socketPath, 0o666);
  return async () => await closing(server);
}

/** Milliseconds for an answer that is being written when its server ends. */
const ANSWER_TIMEOUT = 1000;

export interface SocketRequest {
  readonly socketPath: string;
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: unknown;
  /** Milliseconds without any byte after which the answer is given up; 0 means none. */
  readonly timeout: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a request and yields the lines of the answer as they come.
 * @throws Error with `code` ENOENT or ECONNREFUSED when nothing listens, "late" when the timeout is reached.
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
    if (request.timeout > 0) outgoing.setTimeout(request.timeout, () => outgoing.destroy(new Error("late")));
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

/** Sends a request and returns the whole answer. @throws Error also when it is not what the schema says */
export async function requestJson<T>(request: SocketRequest, schema: z.ZodType<T>): Promise<T> {
  let text = "";
  for await (const line of requestLines(request)) text += line;
  const answer = parseJson(text, schema);
  if (!answer.ok) throw new Error(`the answer cannot be read: ${answer.problem}`);
  return answer.value;
}

/**
 * Posts a document as JSON. The address may be a secret: it is in no error.
 * @throws Error for an address that is none, no answer within `timeout` milliseconds, or a status other than 2xx.
 */
export async function postJson(address: string, document: unknown, timeout: number): Promise<void> {
  await postText(address, { type: "application/json", text: JSON.stringify(document) }, timeout);
}

/** Bytes of an answer that are read. */
const ANSWER_BYTES = 2000;

/**
 * Posts a text and returns the start of what is answered. The address may be a secret: it is in no error.
 * @throws Error as `postJson`, with the words of the answer where they hold no part of the address.
 */
export async function postText(
  address: string,
  body: { readonly type: string; readonly text: string },
  timeout: number,
): Promise<string> {
  if (!/^https?:\/\//.test(address) || !URL.canParse(address)) throw new Error("it holds no http(s) address");
  const url = new URL(address);
  let status: number;
  let answer = "";
  try {
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = (url.protocol === "https:" ? https : http).request(url, {
        method: "POST",
        headers: { "content-type": body.type, "content-length": Buffer.byteLength(body.text) },
        signal: AbortSignal.timeout(timeout),
        agent: false,
      });
      request.once("response", resolve);
      request.once("error", reject);
      request.end(body.text);
    });
    status = response.statusCode ?? 0;
    response.setEncoding("utf8");
    for await (const chunk of response) {
      answer += String(chunk);
      // Leaving the loop ends the connection.
      if (answer.length >= ANSWER_BYTES) break;
    }
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "no answer";
    const told = code === "ABORT_ERR" ? `not within ${timeout / 1000} s` : code;
    // oxlint-disable-next-line preserve-caught-error -- the error may hold the address, which is a secret
    throw new Error(`the address does not answer (${told})`, { cause: code });
  }
  const text = answer.slice(0, ANSWER_BYTES).trim();
  if (status >= 200 && status <= 299) return text;
  const words = text.replace(/\s+/g, " ").slice(0, 200);
  const said = words !== "" && !repeats(words, url) ? `: ${words}` : "";
  throw new Error(`the address answered with status ${status}${said}`);
}

/** Whether a text holds something of an address that may be a secret. */
function repeats(text: string, { pathname, search, username, password }: URL): boolean {
  const parts = [...pathname.split("/"), ...search.split(/[?&=]/), username, password];
  return parts.some((part) => part.length >= 4 && text.includes(part));
}
