import { beforeAll, describe, expect, test } from "vitest";
import { bench, visit, type Bench } from "./standins.ts";

/** A packet of PostgreSQL's protocol that has no type byte: its length, then numbers. */
function packet(...numbers: readonly number[]): Buffer {
  const buffer = Buffer.alloc(4 + 4 * numbers.length);
  for (const [index, number] of [buffer.length, ...numbers].entries())
    buffer.writeUInt32BE(number, index * 4);
  return buffer;
}

const sslRequest = packet(80_877_103);
const cancelRequest = packet(80_877_102, 4711, 815);
const gssRequest = packet(80_877_104);
const startup = packet(196_608, 0);
const clientHello = Buffer.from("16030100f8010000f4", "hex");

/** 127.0.0.1 is this host, 127.0.0.2 is in a network that may connect, 127.0.0.3 is not. */
describe.each(["read", "write"] as const)("the %s endpoint", (endpoint) => {
  let made: Bench;
  beforeAll(async () => {
    made = await bench();
    const input = { ...made.input, loopback: ["127.0.0.1/32"], networks: ["127.0.0.2/32"] };
    await made.balancer.ensure(made.program, input);
    await made.balancer.route({ primary: "pg1", pool: [] });
  });

  const served = async (from: string, say?: Buffer): Promise<boolean> => {
    const { node } = await visit(made.input[endpoint].port, { from, ...(say ? { say } : {}) });
    return node === "pg1";
  };

  test("serves this host, encrypted or not", async () => {
    expect(await served("127.0.0.1", startup)).toBe(true);
    expect(await served("127.0.0.1", sslRequest)).toBe(true);
  });

  test("serves other hosts that ask for TLS, begin it directly, or cancel a query", async () => {
    expect(await served("127.0.0.2", sslRequest)).toBe(true);
    expect(await served("127.0.0.2", clientHello)).toBe(true);
    expect(await served("127.0.0.2", cancelRequest)).toBe(true);
  });

  test("refuses other hosts that would go on without TLS", async () => {
    expect(await served("127.0.0.2", startup)).toBe(false);
    expect(await served("127.0.0.2", gssRequest)).toBe(false);
    expect(await served("127.0.0.2", Buffer.from("GET / HTTP/1.0\r\n\r\n"))).toBe(false);
  });

  test("refuses hosts of no configured network, whatever they say", async () => {
    expect(await served("127.0.0.3", sslRequest)).toBe(false);
    expect(await served("127.0.0.3", clientHello)).toBe(false);
  });
});

test("without networks only this host is served", async () => {
  const { balancer, program, input } = await bench();
  await balancer.ensure(program, { ...input, loopback: ["127.0.0.1/32"] });
  await balancer.route({ primary: "pg1", pool: [] });
  expect((await visit(input.write.port, { from: "127.0.0.1" })).node).toBe("pg1");
  expect((await visit(input.write.port, { from: "127.0.0.2", say: sslRequest })).node).toBeUndefined();
});
