import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { freePort } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { Principal } from "./visitor.ts";

let cluster: ThrowawayCluster;
let port: number;

beforeAll(async () => {
  port = await freePort();
  cluster = await throwawayCluster({
    nodes: 1,
    config: { console: { enabled: true, port, listen: ["127.0.0.1", "::ffff:127.0.0.2"] } },
  });
  await cluster.up();
});

const password = (): string =>
  readFileSync(join(cluster.stateDir, "secrets", "console_operator.password"), "utf8").trimEnd();
const listeners = {
  http: () => ({ host: "127.0.0.1", principal: new Principal(`http://127.0.0.1:${port}`) }),
  https: () => ({
    host: "127.0.0.2",
    principal: new Principal(
      `https://[::ffff:127.0.0.2]:${port}`,
      readFileSync(join(cluster.stateDir, "tls", "ca.crt"), "utf8"),
    ),
  }),
};

/** Connections that say `words` and then no more; ended at the end of the test. */
async function hold(host: string, count: number, words: string): Promise<readonly net.Socket[]> {
  const sockets = Array.from({ length: count }, () => {
    const socket = net.connect({ host, port });
    socket.on("error", () => {});
    atEnd(() => {
      socket.destroy();
    });
    socket.resume();
    return socket;
  });
  await Promise.all(sockets.map(async (socket) => await once(socket, "connect")));
  for (const socket of sockets) if (words !== "") socket.write(words);
  return sockets;
}

const HALVES: Readonly<Record<string, string>> = {
  nothing: "",
  "half a head": "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ",
  "half a body": "POST /sign-in HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nrole=",
  "the begin of TLS": "\u0016\u0003\u0001",
};

test.each(
  (["http", "https"] as const).flatMap((listener) =>
    Object.entries(HALVES).map(([said, words]) => ({ listener, said, words })),
  ),
)(
  "$door: 220 connections that say $said shut no operator out, and end none who has signed in",
  async ({ listener, words }) => {
    const { host, principal } = listeners[listener]();
    await principal.signIn("operator", password());
    const stream = await principal.open("/api/stream");
    stream.resume();
    const held = await hold(host, 220, words);
    expect((await principal.ask("/api/visitor")).text).toContain('"role":"operator"');
    const another = listeners[listener]().principal;
    expect((await another.signIn("operator", password())).status).toBe(303);
    expect((await another.ask("/api/document")).status).toBe(200);
    expect(stream.closed).toBe(false);
    stream.destroy();
    await waitFor("the oldest to be ended", () => held.filter(({ closed }) => closed).length >= 220 - 128);
  },
);

test("strangers' pages leave room for those of operators", async () => {
  const { principal } = listeners.http();
  const opened = await Promise.all(
    Array.from({ length: 40 }, async () => await listeners.http().principal.open("/api/stream")),
  );
  for (const stream of opened) stream.resume();
  expect(opened.filter(({ statusCode }) => statusCode === 200)).toHaveLength(24);
  await principal.signIn("operator", password());
  const own = await principal.open("/api/stream");
  expect(own.statusCode).toBe(200);
  for (const stream of [...opened, own]) stream.destroy();
});
