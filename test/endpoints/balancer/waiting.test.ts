import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { waitFor } from "../../support/wait.ts";
import { answering, bench, keepVisiting, STARTUP, visit, running } from "../standins.ts";

describe("no connection is refused", () => {
  test("when a replica leaves the pool and comes back", async () => {
    const { balancer, input } = await running();
    const stop = keepVisiting(input.read.port, 5);
    for (const pool of [["pg3"], ["pg2", "pg3"], ["pg2"], []]) await balancer.route({ primary: "pg1", pool });
    expect(new Set(await stop())).toEqual(new Set(["pg1", "pg2", "pg3"]));
  });

  test("when a replica leaves the pool while a client logs in there, which takes a busy machine a second", async () => {
    const { balancer, input, nodes } = await running();
    nodes[1].answer("slow");
    nodes[2].answer("slow");
    const loggingIn = visit(input.read.port);
    await waitFor("it to be led there", () => nodes[1].sessions() + nodes[2].sessions() === 1);
    await balancer.route({ primary: "pg1", pool: [] });
    expect((await loggingIn).node).toMatch(/^pg[23]$/);
  });

  test("when a replica has died and nobody has told HAProxy", async () => {
    const { input, nodes } = await running();
    await nodes[1].kill();
    expect(new Set(await answering(input.read.port, 10))).toEqual(new Set(["pg3"]));
  });

  test("when all replicas have died at once, as soon as HAProxy is told", async () => {
    const { balancer, input, nodes } = await running();
    await Promise.all([nodes[1].kill(), nodes[2].kill()]);
    await balancer.route({ primary: "pg1", pool: [] });
    expect(new Set(await answering(input.read.port, 10))).toEqual(new Set(["pg1"]));
  });

  test("when the only replica has died, while the agent finds out", async () => {
    const { balancer, input, nodes } = await running();
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    await nodes[1].kill();
    const waiting = Array.from({ length: 20 }, async () => await visit(input.read.port));
    await balancer.route({ primary: "pg1", pool: [] });
    expect(new Set((await Promise.all(waiting)).map(({ node }) => node))).toEqual(new Set(["pg1"]));
  });

  test("when the only replica has died and the agent is dead too", async () => {
    const { balancer, input, nodes, health } = await running();
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    await Promise.all([nodes[1].kill(), health.stop()]);
    expect(new Set(await answering(input.read.port, 10))).toEqual(new Set(["pg1"]));
  });

  test("when HAProxy is reloaded while clients wait for the primary", async () => {
    const { balancer, program, input, nodes } = await running();
    await nodes[0].kill();
    const waiting = Array.from({ length: 5 }, async () => await visit(input.write.port));
    await waitFor("they wait", async () => (await balancer.waiting()).write.clients === 5);
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    await nodes[0].start();
    expect(new Set((await Promise.all(waiting)).map(({ node }) => node))).toEqual(new Set(["pg1"]));
  });

  test("during reloads, which keep all sessions", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const sessions = [await visit(input.read.port), await visit(input.write.port)];
    const stops = [keepVisiting(input.read.port, 5), keepVisiting(input.write.port, 5)];
    for (const maxSessions of [501, 502, 503]) {
      expect(await balancer.ensure(program, { ...input, maxSessions })).toBe("reloaded");
    }
    const [reads, writes] = await Promise.all(stops.map(async (stop) => await stop()));
    expect(new Set(reads)).toEqual(new Set(["pg2", "pg3"]));
    expect(new Set(writes)).toEqual(new Set(["pg1"]));
    for (const session of sessions) expect(await session.echoes()).toBe(true);
  });
});

describe("a client waits", () => {
  test.each(["starting", "full", "hanging"] as const)(
    "while the primary is %s, and is then served",
    async (state) => {
      const { balancer, input, nodes } = await running();
      nodes[0].answer(state);
      const waiting = Array.from({ length: 20 }, async () => await visit(input.write.port));
      await waitFor("they wait", async () => (await balancer.waiting()).write.clients === 20);
      expect(nodes[0].sessions()).toBe(0);
      nodes[0].answer("accepting");
      expect(new Set((await Promise.all(waiting)).map(({ node }) => node))).toEqual(new Set(["pg1"]));
      expect(await balancer.waiting()).toMatchObject({ write: { clients: 0, longest_seconds: 0 } });
    },
  );

  test("instead of being led to a server that is about to be stopped, until it is let in or has waited for some time", async () => {
    const { balancer, program, input, nodes } = await bench();
    await balancer.ensure(program, { ...input, gate: { ...input.gate, waitSeconds: 2 } });
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    const [session, loggingIn] = [await visit(input.write.port), visit(input.write.port)];
    await waitFor("it to be led there", () => nodes[0].sessions() === 2);
    // Longer than a client waits at all: it counts no longer than half of that.
    await balancer.holdNew("pg1", 60_000);
    expect((await loggingIn).node).toBe("pg1");
    const held = visit(input.write.port);
    await waitFor("it waits", async () => (await balancer.waiting()).write.clients === 1);
    expect(await answering(input.read.port, 2)).toEqual(["pg2", "pg2"]);
    expect(await session.echoes()).toBe(true);
    expect((await held).node).toBe("pg1");

    await balancer.holdNew("pg1", 60_000);
    const next = visit(input.write.port);
    await waitFor("it waits", async () => (await balancer.waiting()).write.clients === 1);
    await balancer.holdNew("pg1", 0);
    expect((await next).node).toBe("pg1");
    // Where they are led to another one meanwhile, nothing need be said.
    await balancer.holdNew("pg1", 60_000);
    await balancer.route({ primary: "pg3", pool: [] });
    expect(await answering(input.write.port, 1)).toEqual(["pg3"]);
  });

  test("instead of being led to one that was asked just before", async () => {
    const { balancer, input, nodes } = await running();
    nodes[0].answer("slow");
    const waiting = visit(input.write.port);
    await waitFor("its question is on the way", async () => (await balancer.waiting()).write.clients === 1);
    await balancer.holdNew("pg1", 60_000);
    await waitFor("it to have waited", async () => (await balancer.waiting()).write.longest_seconds > 1);
    expect(nodes[0].sessions()).toBe(0);
    await balancer.holdNew("pg1", 0);
    expect((await waiting).node).toBe("pg1");
  });

  test("for no server that refuses for another reason: that is the client's to be told", async () => {
    const { input, nodes } = await running();
    nodes[0].answer("refusing");
    expect(await answering(input.write.port, 1)).toEqual(["pg1"]);
  });

  test("for another session to end where the endpoints may have no more, the first first", async () => {
    const { balancer, program, input, nodes } = await bench();
    await balancer.ensure(program, { ...input, gate: { ...input.gate, sessions: { pg1: 2 } } });
    await balancer.route({ primary: "pg1", pool: [] });
    const inside = [await visit(input.write.port), await visit(input.read.port)];
    const order: number[] = [];
    const coming: Promise<unknown>[] = [];
    for (const place of [1, 2, 3]) {
      coming.push(visit(input.write.port).then((visited) => (order.push(place), visited.close())));
      await waitFor("it waits", async () => (await balancer.waiting()).write.clients === place);
    }
    expect(nodes[0].sessions()).toBe(2);
    inside[0]?.close();
    await Promise.all(coming);
    expect(order).toEqual([1, 2, 3]);
  });

  test("while others hold all connections of the server but a few, of which each is given once", async () => {
    const { balancer, program, input, nodes } = await bench();
    await balancer.ensure(program, { ...input, gate: { ...input.gate, sessions: { pg1: 30 } } });
    await balancer.route({ primary: "pg1", pool: [] });
    await balancer.tellOthers(new Map([["pg1", 28]]));
    const coming = Array.from({ length: 20 }, async () => await visit(input.write.port));
    const isServed = async (waiting: number): Promise<boolean> =>
      nodes[0].sessions() === 2 && (await balancer.waiting()).write.clients === waiting;
    await waitFor("two are served, the others wait", async () => await isServed(18));
    const first = await Promise.race(coming);
    first.close();
    await waitFor("one takes its place", async () => await isServed(17));
    await balancer.tellOthers(new Map([["pg1", 0]]));
    expect(new Set((await Promise.all(coming)).map(({ node }) => node))).toEqual(new Set(["pg1"]));
  });

  test("and is told in PostgreSQL's protocol when it has waited too long, encrypted or not", async () => {
    const { balancer, program, input, nodes } = await bench();
    await balancer.ensure(program, { ...input, gate: { ...input.gate, waitSeconds: 1 } });
    await balancer.route({ primary: "pg1", pool: [] });
    nodes[0].answer("starting");
    const said = (await visit(input.write.port)).said();
    expect(said[0]).toBe("E");
    expect(said).toContain("C08001\0MNo server took this connection within 1 s");
    const encrypted = await visit(input.write.port, {
      say: Buffer.concat([Buffer.from("0000000804d2162f", "hex"), STARTUP]),
    });
    expect(encrypted.said()[0]).toBe("N");
  });

  test("and is logged when it goes away; who only looks whether the port is open is not", async () => {
    const { balancer, input, nodes } = await running();
    nodes[0].answer("starting");
    const lines = (): string[] => readFileSync(balancer.files.log, "utf8").match(/ write_endpoint .*/g) ?? [];
    const connected = async (): Promise<net.Socket> => {
      const socket = net.connect(input.write.port, "127.0.0.1");
      socket.on("error", () => {});
      await once(socket, "connect");
      return socket;
    };
    (await connected()).destroy();
    const patient = await connected();
    patient.write(STARTUP);
    await waitFor("it waits", async () => (await balancer.waiting()).write.longest_seconds > 1);
    patient.destroy();
    // The last of the times is how long it was there.
    await waitFor("its line in the log", () => lines().some((line) => /\/\d{4,} \d+ /.test(line)));
    expect(lines()).toHaveLength(1);
  });

  test("no longer when it has gone away, and keeps nobody behind it", async () => {
    const { balancer, input, nodes } = await running();
    nodes[0].answer("starting");
    const first = net.connect(input.write.port, "127.0.0.1");
    first.on("error", () => {});
    first.write(STARTUP);
    await waitFor("it waits", async () => (await balancer.waiting()).write.clients === 1);
    const second = visit(input.write.port);
    await waitFor("both wait", async () => (await balancer.waiting()).write.clients === 2);
    first.destroy();
    await waitFor("one waits", async () => (await balancer.waiting()).write.clients === 1);
    nodes[0].answer("accepting");
    expect((await second).node).toBe("pg1");
  });

  test("for reads less than for a replica that hangs: the others, or the primary, take them", async () => {
    const { balancer, input, nodes } = await running();
    nodes[1].answer("starting");
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg3"]));
    nodes[2].answer("full");
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg1"]));
    expect((await balancer.servers()).filter(({ up }) => up).length).toBeGreaterThan(3);
  });
});
