import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { accepts, askSocket, isPortFree, portHolder } from "../../../src/system/network/network.ts";
import { freePort } from "../../support/ports.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";

async function listen(server: Server, at: { port: number; host: string } | { path: string }): Promise<void> {
  server.listen(at);
  await once(server, "listening");
  atEnd(() => {
    server.close();
  });
}

test("a free port is free, held by nobody and accepts nothing", async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  expect(await portHolder(port)).toBeUndefined();
  expect(await accepts("127.0.0.1", port, 1000)).toBe(false);
});

test("a port in use names the process that holds it, for IPv4 and, where there is one, IPv6", async () => {
  const hasIpv6 = Object.values(networkInterfaces()).some((all) =>
    all?.some(({ address }) => address === "::1"),
  );
  for (const host of ["127.0.0.1", "0.0.0.0", ...(hasIpv6 ? ["::1"] : [])]) {
    const port = await freePort();
    const script = `require("net").createServer().listen(${port}, ${JSON.stringify(host)})`;
    const child = spawn(process.execPath, ["-e", script], { stdio: "ignore" });
    atEnd(async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    });
    await waitFor("it listens", async () => (await portHolder(port)) !== undefined);
    expect(await portHolder(port)).toMatchObject({ pid: child.pid, command: "node" });
    expect(await isPortFree(port, host)).toBe(false);
    expect(await accepts(host === "0.0.0.0" ? "127.0.0.1" : host, port, 1000)).toBe(true);
  }
});

test("a server that only listens elsewhere does not hold a port that looks alike", async () => {
  const port = await freePort();
  await listen(createServer(), { port, host: "127.0.0.1" });
  expect(await portHolder(port === 32_767 ? port - 1 : port + 1)).not.toMatchObject({ pid: process.pid });
});

test("a socket is asked and its whole answer returned", async () => {
  const path = join(temporaryFolder(), "s");
  const server = createServer((socket) => {
    socket.on("data", (question) => {
      socket.write(`you said `);
      socket.end(String(question));
    });
  });
  await listen(server, { path });
  expect(await askSocket(path, "show é\n")).toBe("you said show é\n");
});

test("a socket that nobody serves, or that does not answer, is an error within the limit", async () => {
  const path = join(temporaryFolder(), "s");
  await expect(askSocket(path, "hello")).rejects.toMatchObject({ code: "ENOENT" });
  const silent = createServer({ allowHalfOpen: true }, (socket) => {
    socket.resume();
  });
  await listen(silent, { path });
  await expect(askSocket(path, "hello", 50)).rejects.toThrow("within 50 ms");
});
