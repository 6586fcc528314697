import { randomInt } from "node:crypto";
import { isFree, releasePort, reservePort } from "./port-reservation.ts";
import { watchPort } from "./scope.ts";

/** Below the range from which systems give ports to outgoing connections (32768 on Linux). */
const range = { from: 10_241, to: 32_767 };

/**
 * Random ports on which nothing listens, reserved for the present test (or, in beforeAll, the test file) among all
 * tests that run on this machine.
 */
export async function freePorts(count: number): Promise<readonly number[]> {
  const ports: number[] = [];
  while (ports.length < count) {
    const port = randomInt(range.from, range.to + 1);
    if (!reservePort(port)) continue;
    if (await isFree(port)) {
      watchPort(port);
      ports.push(port);
    } else {
      releasePort(port);
    }
  }
  return ports;
}

/** One port, as `freePorts`. */
export async function freePort(): Promise<number> {
  const [port] = await freePorts(1);
  if (port === undefined) throw new Error("No free port");
  return port;
}
