import { createServer, type Server } from "node:net";
import { expect, test } from "vitest";
import { isFree, listenerOf, releasePort, reservePort } from "../support/port-reservation.ts";
import { freePort, freePorts } from "../support/ports.ts";
import { atEnd } from "../support/scope.ts";

test("ports are handed out once, below those of outgoing connections", async () => {
  const ports = await freePorts(200);

  expect(new Set(ports).size).toBe(200);
  expect(Math.min(...ports)).toBeGreaterThan(10_240);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

test("a port that is reserved cannot be reserved by anybody else, until it is given back", async () => {
  const port = await freePort();

  expect(reservePort(port)).toBe(false);
  releasePort(port);
  expect(reservePort(port)).toBe(true);
});

test("a port on which something listens is not free, and the listener is named", async () => {
  const port = await freePort();
  const server = await listen(port);
  atEnd(() => {
    server.close();
  });

  expect(await isFree(port)).toBe(false);
  if (process.platform === "linux") expect(listenerOf(port)).toContain(`process ${process.pid} listens`);
});

function listen(port: number): Promise<Server> {
  const server = createServer();
  return new Promise((resolve) => {
    server.listen(port, "127.0.0.1", () => resolve(server));
  });
}
