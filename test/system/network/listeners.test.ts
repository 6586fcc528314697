import { once } from "node:events";
import { readdirSync, readlinkSync } from "node:fs";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { listenersOf, portHolder } from "../../../src/system/network/network.ts";
import { freePort } from "../../support/ports.ts";
import { atEnd } from "../../support/scope.ts";

/** Whether the files of a process may be seen: in a container not even root may with each. */
function maySee(pid: number): boolean {
  try {
    for (const fd of readdirSync(`/proc/${pid}/fd`)) readlinkSync(`/proc/${pid}/fd/${fd}`);
    return true;
  } catch {
    return false;
  }
}

test.runIf(process.platform === "linux")(
  "how many sockets of a process listen on a port is told, and nothing of a process that may not be seen",
  async () => {
    const port = await freePort();
    expect([listenersOf(process.pid, port), await portHolder(port)]).toEqual([0, undefined]);
    const server = createServer().listen(port, "127.0.0.1");
    await once(server, "listening");
    atEnd(async () => {
      server.close();
      await once(server, "close");
    });
    expect(listenersOf(process.pid, port)).toBe(1);
    expect(await portHolder(port)).toMatchObject({ pid: process.pid, folder: process.cwd() });
    expect(listenersOf(1, port)).toBe(maySee(1) ? 0 : undefined);
  },
);
