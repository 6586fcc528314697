import { chownSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { checkConfiguration, type HaproxyProgram } from "../../src/endpoints/haproxy.ts";
import { gateFile, renderGate } from "../../src/endpoints/gate.ts";
import { fingerprintOf, renderHaproxy, type HaproxyInput } from "../../src/endpoints/render.ts";
import { stateDirectory, testedHaproxy } from "./standins.ts";

const plain: HaproxyInput = {
  nodes: [
    { name: "pg1", host: "127.0.0.1", port: 5433 },
    { name: "pg2", host: "127.0.0.1", port: 5434 },
  ],
  read: { port: 5435, consistency: "bounded" },
  write: { port: 5436 },
  listen: ["127.0.0.1"],
  networks: [],
  hasIpv6: true,
  maxSessions: 400,
  gate: { waitSeconds: 60, role: "odoo", sessions: { pg1: 90, pg2: 90 } },
};

test("the order of nodes, addresses and networks does not change a byte", () => {
  const input = { ...plain, listen: ["127.0.0.1", "10.0.0.1"], networks: ["10.0.0.0/24", "fd00::/8"] };
  const turned = {
    ...input,
    nodes: input.nodes.toReversed(),
    listen: input.listen.toReversed(),
    networks: input.networks.toReversed(),
  };
  expect(renderHaproxy(turned)).toBe(renderHaproxy(input));
});

test("who is in the pool changes the text but not the fingerprint, everything else changes both", () => {
  const somebody = { write: ["pg1"], pool: ["pg2"], fallback: ["pg1"] };
  expect(renderHaproxy(plain, somebody)).not.toBe(renderHaproxy(plain));
  expect(renderHaproxy(plain, somebody)).toContain(fingerprintOf(plain));
  expect(fingerprintOf({ ...plain, write: { port: 5437 } })).not.toBe(fingerprintOf(plain));
});

test("nobody serves anything when HAProxy starts", () => {
  const servers = renderHaproxy(plain)
    .split("\n")
    .filter(
      (line) => /^ {2}server /.test(line) && !line.includes("waiting-line") && !line.includes("next-worker"),
    );
  expect(servers).toHaveLength(6);
  expect(servers.filter((line) => !line.endsWith(" disabled"))).toEqual([]);
});

test("replicas need the agent's word, except in eventual", () => {
  const readOf = (consistency: HaproxyInput["read"]["consistency"]): string =>
    renderHaproxy({ ...plain, read: { port: 5435, consistency } });
  expect(readOf("bounded")).toContain("/pool/%[srv_name]");
  expect(readOf("read-your-writes")).toContain("/pool/%[srv_name]");
  expect(readOf("eventual")).not.toContain("/pool/");
});

test("an IPv6 address is told from its port", () => {
  const text = renderHaproxy({
    ...plain,
    listen: ["fd00::1", "::"],
    nodes: [{ name: "pg1", host: "fd00::2", port: 5433 }],
  });
  expect(text).toContain("bind [fd00::1]:5436");
  expect(text).toContain("bind [::]:5436 v6only");
  expect(text).toContain("server pg1 [fd00::2]:5433");
});

test("all addresses means IPv6 too only where the machine has it", () => {
  expect(renderHaproxy({ ...plain, listen: ["*"] })).toContain("bind [::]:5436 v6only");
  expect(renderHaproxy({ ...plain, listen: ["*"], hasIpv6: false })).not.toContain("[::]");
});

test("an endpoint that pools leaves its port to the pooler, and leads the pooler to its servers", () => {
  const text = renderHaproxy({ ...plain, write: { port: 5436, pooled: true } });
  const leads = (frontend: string): string | undefined =>
    new RegExp(`^frontend ${frontend}\n(?: .*\n)*? {2}default_backend (\\S+)$`, "m").exec(text)?.[1];
  expect(leads("write_endpoint")).toBeUndefined();
  expect(text).not.toContain(":5436");
  expect(leads("write_pooled")).toBe("write");
  expect(leads("read_endpoint")).toBe("read");
  expect(text).toContain("bind unix@run/.s.PGSQL.1 mode 600");
  // Who waits at a reload goes on to the servers, and not through the pooler once more.
  expect(text).toContain("server next-worker unix@run/.s.PGSQL.1");
});

test("what the pooler has let in goes to a server of this host by its Unix socket, and nothing else does", () => {
  const nodes = [
    { name: "pg1", host: "127.0.0.1", port: 5433, source: "127.79.80.71", own: true },
    { name: "far", host: "10.0.0.2", port: 5433, own: false },
  ];
  const servers = (pooled: boolean): string[] =>
    renderHaproxy({ ...plain, nodes, write: { port: 5436, pooled } }).match(
      /^ {2}server (?:pg1|far) .*$/gm,
    ) ?? [];
  expect(servers(true).map((line) => line.trim().split(" ")[2])).toEqual([
    "10.0.0.2:5433",
    "unix@run/.s.PGSQL.5433",
    "10.0.0.2:5433",
    "127.0.0.1:5433",
  ]);
  expect(servers(false).join("\n")).not.toContain("unix@run/.s.PGSQL.5433");
  expect(servers(false)[1]).toContain("127.0.0.1:5433 source 127.79.80.71");
});

test("to servers of other hosts a pooler goes by an address of this host alone, which no endpoint has", () => {
  const text = renderHaproxy({ ...plain, write: { port: 5436, pooled: true }, elsewhere: true });
  expect(text).toContain("bind 127.79.80.72:5436\n");
  expect(text).toContain("server next-worker 127.79.80.72:5436");
  expect(text).not.toContain(".s.PGSQL");
  expect(renderHaproxy({ ...plain, elsewhere: true })).toBe(renderHaproxy(plain));
});

describe("HAProxy accepts", () => {
  let program: HaproxyProgram;
  beforeAll(async () => {
    program = await testedHaproxy();
  });

  const accepted = async (input: HaproxyInput): Promise<void> => {
    const { stateDir, owner } = await stateDirectory();
    const file = join(stateDir, "haproxy", "haproxy.cfg");
    const gate = join(stateDir, gateFile(input.gate));
    for (const [path, text] of [
      [file, renderHaproxy(input)],
      [gate, renderGate(input.gate)],
    ] as const) {
      writeFileSync(path, text);
      if (owner) chownSync(path, owner.uid, owner.gid);
    }
    await checkConfiguration(program, stateDir, "haproxy/haproxy.cfg", owner);
  };

  const port = fc.integer({ min: 1024, max: 65_535 });
  const pooled = fc.boolean();
  const host = fc.oneof(
    fc.ipV4(),
    fc.constantFrom("::1", "fd00::1:2", "localhost", "db-1.example.org", "node_1"),
  );
  const anyInput: fc.Arbitrary<HaproxyInput> = fc.record({
    nodes: fc.uniqueArray(fc.record({ name: fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/), host, port }), {
      minLength: 1,
      maxLength: 5,
      selector: ({ name }) => name,
    }),
    read: fc.record({
      port,
      pooled,
      consistency: fc.constantFrom("eventual" as const, "bounded" as const, "read-your-writes" as const),
    }),
    write: fc.record({ port, pooled }),
    listen: fc.array(fc.constantFrom("*", "0.0.0.0", "::", "127.0.0.1", "::1", "localhost"), {
      minLength: 1,
    }),
    networks: fc.array(
      fc.constantFrom("10.0.0.0/24", "192.168.1.7/32", "fd00::/8", "0.0.0.0/0", "::/0", "::ffff:0:0/96"),
    ),
    hasIpv6: fc.boolean(),
    maxSessions: fc.integer({ min: 1, max: 5000 }),
    gate: fc.record({
      waitSeconds: fc.integer({ min: 1, max: 600 }),
      role: fc.oneof(fc.string(), fc.string({ unit: "binary" })),
      sessions: fc.dictionary(fc.stringMatching(/^[a-z][a-z0-9_]{0,30}$/), fc.integer({ min: 1, max: 5000 })),
    }),
  });

  test("the configuration of any cluster that the schema lets through", async () => {
    await fc.assert(fc.asyncProperty(anyInput, accepted), {
      numRuns: 25,
      examples: [[{ ...plain, nodes: [{ name: "hold", host: "127.0.0.1", port: 5433 }] }]],
    });
  });

  test("what it refuses is an error in its own words", async () => {
    await expect(accepted({ ...plain, listen: ["no such address"] })).rejects.toMatchObject({
      code: "command_failed",
      message: expect.stringContaining("haproxy.cfg"),
    });
  });
});
