import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { freePort } from "./ports.ts";
import { atEnd } from "./scope.ts";

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly type: string | undefined;
  readonly body: string;
}

export interface HttpReceiver {
  /** `http://127.0.0.1:PORT` */
  readonly address: string;
  readonly received: readonly Received[];
  /** Replaces how it answers. */
  answer: (request: Received, response: ServerResponse) => void;
}

/** A real HTTP server on loopback that keeps what it is sent, until the present test ends. It answers 200 "OK". */
export async function httpReceiver(): Promise<HttpReceiver> {
  const received: Received[] = [];
  const receiver: HttpReceiver & { answer: HttpReceiver["answer"] } = {
    address: "",
    received,
    answer: (_request, response) => void response.end("OK"),
  };
  const read = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    let body = "";
    for await (const chunk of incoming) body += String(chunk);
    const request = {
      method: incoming.method ?? "",
      path: incoming.url ?? "",
      type: incoming.headers["content-type"],
      body,
    };
    received.push(request);
    receiver.answer(request, response);
  };
  const server = createServer((incoming, response) => {
    // A client that goes away in the middle is one of the cases.
    read(incoming, response).catch(() => {});
  });
  const port = await freePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  atEnd(async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    server.closeAllConnections();
    await closed;
  });
  return Object.assign(receiver, { address: `http://127.0.0.1:${port}` });
}
