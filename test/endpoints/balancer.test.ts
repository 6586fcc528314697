import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { Balancer } from "../../src/endpoints/balancer.ts";
import { cutSessions, readProcesses, setServerState } from "../../src/endpoints/runtime.ts";
import { fallbackServer, nameOf, poolServer, writeServer } from "../../src/endpoints/servers.ts";
import { isAlive } from "../../src/system/process/process.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { answering, bench, keepVisiting, STARTUP, visit, type Bench } from "./standins.ts";

const usual = { primary: "pg1", pool: ["pg2", "pg3"] };

/** Started, pg1 the primary, pg2 and pg3 in the pool. */
async function running(options: Parameters<typeof bench>[0] = {}): Promise<Bench> {
  const made = await bench(options);
  await made.balancer.ensure(made.program, made.input);
  await made.balancer.route(usual);
  return made;
}

async function workers({ balancer }: Bench): Promise<Awaited<ReturnType<typeof readProcesses>>> {
  return await readProcesses(balancer.files.masterSocket);
}

/** SIGSTOP; it goes on at the end of the test. */
function hang(pid: number): void {
  process.kill(pid, "SIGSTOP");
  atEnd(() => {
    if (isAlive(pid)) process.kill(pid, "SIGCONT");
  });
}

async function isGone({ balancer }: Bench): Promise<boolean> {
  return (await balancer.presence()).state === "absent";
}

describe("routing", () => {
  test("writes go to the primary, reads to the members of the pool in turn", async () => {
    const { input } = await running();
    expect(new Set(await answering(input.write.port))).toEqual(new Set(["pg1"]));
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg2", "pg3"]));
  });

  test("reads go to the primary when the pool is empty", async () => {
    const { balancer, input } = await running();
    await balancer.route({ primary: "pg1", pool: [] });
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg1"]));
  });

  test("clients that come before anybody was routed to wait and are served", async () => {
    const { balancer, program, input } = await bench();
    expect(await balancer.ensure(program, input)).toBe("started");
    const early = [visit(input.write.port), visit(input.read.port)];
    await balancer.route({ primary: "pg1", pool: [] });
    expect((await Promise.all(early)).map(({ node }) => node)).toEqual(["pg1", "pg1"]);
  });

  test("a switchover makes new clients wait, and cuts the sessions of the old primary", async () => {
    const { balancer, input } = await running();
    const before = await visit(input.write.port);
    const stop = keepVisiting(input.write.port, 10);
    await balancer.route({ pool: ["pg3"] });
    expect(before.isOpen()).toBe(false);
    const between = visit(input.write.port);
    await balancer.route({ primary: "pg2", pool: ["pg3"] });
    expect((await between).node).toBe("pg2");
    expect(await answering(input.write.port, 2)).toEqual(["pg2", "pg2"]);
    // Those whom the switchover met while they were being connected to pg1 were cut like all its sessions.
    const answered = (await stop()).filter((node) => node !== undefined);
    expect(new Set(answered)).toEqual(new Set(["pg1", "pg2"]));
  });

  test("writes wait while the primary restarts", async () => {
    const { input, nodes } = await running();
    await nodes[0].kill();
    const waiting = visit(input.write.port);
    await nodes[0].start();
    expect((await waiting).node).toBe("pg1");
  });

  test("what HAProxy is told and what it shows agree", async () => {
    const { balancer, input } = await running();
    const session = await visit(input.write.port);
    const servers = new Map((await balancer.servers()).map((server) => [nameOf(server), server]));
    expect([...servers.keys()].toSorted()).toEqual(
      ["pg1", "pg2", "pg3"]
        .flatMap((node) => [writeServer(node), poolServer(node), fallbackServer(node)].map(nameOf))
        .toSorted(),
    );
    const ready = [...servers.values()].filter(({ admin, up }) => admin === "ready" && up).map(nameOf);
    expect(ready.toSorted()).toEqual(["read/pg1-fallback", "read/pg2", "read/pg3", "write/pg1"]);
    expect(servers.get("write/pg1")).toMatchObject({
      node: "pg1",
      sessions: 1,
      address: `127.0.0.1:${input.nodes[0]?.port ?? 0}`,
    });
    expect(session.isOpen()).toBe(true);
  });

  test("a server that HAProxy does not have is an error in its own words", async () => {
    const { balancer } = await running();
    await expect(
      setServerState(balancer.files.masterSocket, poolServer("pg9"), "ready"),
    ).rejects.toMatchObject({ code: "command_failed", message: expect.stringContaining("No such server") });
  });
});

describe("a replica that leaves the pool", () => {
  test("has no session left when the order returns, and others keep theirs", async () => {
    const { balancer, input } = await running();
    const sessions = await Promise.all(Array.from({ length: 8 }, async () => await visit(input.read.port)));
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    const left = await balancer.servers();
    expect(left.find((server) => nameOf(server) === "read/pg2")?.sessions).toBe(0);
    for (const session of sessions) expect(await session.echoes()).toBe(session.node === "pg3");
    expect(new Set(sessions.map(({ node }) => node))).toEqual(new Set(["pg2", "pg3"]));
  });

  test("loses those of before a reload too, also when there were several reloads", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const sessions = [await visit(input.read.port), await visit(input.read.port)];
    for (const maxSessions of [501, 502]) {
      expect(await balancer.ensure(program, { ...input, maxSessions })).toBe("reloaded");
      sessions.push(await visit(input.read.port), await visit(input.read.port));
    }
    expect((await workers(made)).old).toHaveLength(2);
    for (const session of sessions) expect(await session.echoes()).toBe(true);
    const on = async (name: string): Promise<number | undefined> =>
      (await balancer.servers()).find((server) => nameOf(server) === name)?.sessions;
    expect(await on("read/pg2")).toBe(sessions.filter(({ node }) => node === "pg2").length);
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    expect(await on("read/pg2")).toBe(0);
    for (const session of sessions) expect(await session.echoes()).toBe(session.node === "pg3");
  });

  test("may lose those of before a reload alone: writes and later reads go on", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const before = [await visit(input.read.port), await visit(input.read.port)];
    const writing = await visit(input.write.port);
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    const after = await visit(input.read.port);
    expect(balancer.oldWorkers).toHaveLength(1);
    expect(await balancer.endReadsOf(balancer.oldWorkers)).toBe(2);
    await waitFor("they are ended", () => before.every((session) => !session.isOpen()));
    for (const session of [writing, after]) expect(await session.echoes()).toBe(true);
  });

  test("is not held up by a client that went away while its server hangs", async () => {
    const { balancer, input, nodes } = await running();
    await nodes[1].kill();
    let sessions = 0;
    // Like a server that is stopped: its kernel takes connections, and nobody ends them.
    const hanging = net.createServer({ allowHalfOpen: true }, (socket) => {
      sessions += 1;
      socket.on("error", () => {});
      atEnd(() => void socket.destroy());
    });
    hanging.listen(nodes[1].port, "127.0.0.1");
    await once(hanging, "listening");
    atEnd(() => void hanging.close());
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    const client = net.connect(input.read.port, "127.0.0.1");
    client.on("error", () => {});
    client.write(STARTUP);
    await waitFor("the client to be connected", () => sessions > 0);
    client.destroy();
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    const left = await balancer.servers();
    expect(left.find((server) => nameOf(server) === "read/pg2")?.sessions).toBe(0);
  });

  test("is not reached by a client that waited in a worker from before a reload: the new one leads it", async () => {
    const made = await bench();
    const { balancer, program, input } = made;
    await balancer.ensure(program, input);
    const waiting = visit(input.read.port);
    await waitFor("HAProxy has the client wait", async () => (await balancer.waiting()).read.clients === 1);
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    await cutSessions(balancer.files.masterSocket, poolServer("pg2"));
    await waitFor("the new worker has it", async () => (await balancer.waiting()).read.clients === 1);
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    const { node, close } = await waiting;
    // The primary, while the member is just coming in.
    expect(["pg1", "pg3"]).toContain(node);
    close();
    await waitFor("the old worker ends", async () => (await workers(made)).old.length === 0);
  });
});

describe("the agent's word", () => {
  test("without it reads go to the primary, and the write endpoint is untouched", async () => {
    const { health, input } = await running();
    const reading = await visit(input.read.port);
    const writing = await visit(input.write.port);
    await health.stop();
    await waitFor("reads go to the primary", async () =>
      (await answering(input.read.port, 4)).every((node) => node === "pg1"),
    );
    await waitFor("the replica's session is cut", () => !reading.isOpen());
    expect(await writing.echoes()).toBe(true);
    expect(await answering(input.write.port, 2)).toEqual(["pg1", "pg1"]);
  });

  test("is asked for every member by its name, and a no takes just that member out", async () => {
    const { health, input } = await running();
    health.members.delete("pg2");
    await waitFor("pg2 gets no reads", async () => !(await answering(input.read.port, 4)).includes("pg2"));
    expect(new Set(await answering(input.read.port, 4))).toEqual(new Set(["pg3"]));
    expect([...health.asked].toSorted()).toEqual(["pg2", "pg3"]);
  });

  test("does not matter in eventual; a dead replica leaves by itself", async () => {
    const { balancer, program, input, health, nodes } = await bench();
    await balancer.ensure(program, { ...input, read: { ...input.read, consistency: "eventual" } });
    await balancer.route(usual);
    await health.stop();
    await nodes[1].kill();
    await waitFor("HAProxy sees that pg2 is dead", async () =>
      (await balancer.servers()).some((server) => nameOf(server) === "read/pg2" && !server.up),
    );
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg3"]));
    expect(health.asked.size).toBe(0);
  });
});

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
    await waitFor("the others wait", async () => (await balancer.waiting()).write.clients === 18);
    expect(nodes[0].sessions()).toBe(2);
    const first = await Promise.race(coming);
    first.close();
    await waitFor("one takes its place", async () => (await balancer.waiting()).write.clients === 17);
    expect(nodes[0].sessions()).toBe(2);
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

describe("a reload", () => {
  test("happens only when the configuration is another one", async () => {
    const made = await running();
    const { current } = await workers(made);
    expect(await made.balancer.ensure(made.program, made.input)).toBe("unchanged");
    expect(await workers(made)).toMatchObject({ current, old: [] });
  });

  test("moves endpoints to other ports and keeps who is in the pool", async () => {
    const { balancer, program, input, sparePort } = await running();
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    await balancer.ensure(program, { ...input, read: { ...input.read, port: sparePort } });
    expect(new Set(await answering(sparePort))).toEqual(new Set(["pg2"]));
    expect(await answering(input.write.port, 1)).toEqual(["pg1"]);
    await waitFor(
      "the old port is given back",
      async () => (await visit(input.read.port)).node === undefined,
    );
  });

  test("follows a node to another port", async () => {
    const { balancer, program, input, nodes } = await running();
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    const moved = input.nodes.map((node) => (node.name === "pg2" ? { ...node, port: nodes[2].port } : node));
    await balancer.ensure(program, { ...input, nodes: moved });
    expect(await answering(input.read.port, 2)).toEqual(["pg3", "pg3"]);
  });

  test("brings a new node in maintenance, and forgets a removed one", async () => {
    const { balancer, program, input } = await bench();
    await balancer.ensure(program, { ...input, nodes: input.nodes.slice(0, 2) });
    await balancer.route({ primary: "pg1", pool: ["pg2"] });
    await balancer.ensure(program, input);
    const servers = await balancer.servers();
    expect(servers.filter(({ node }) => node === "pg3").map(({ admin }) => admin)).toEqual([
      "maint",
      "maint",
      "maint",
    ]);
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg2"]));
    await balancer.ensure(program, { ...input, nodes: input.nodes.slice(0, 2) });
    expect((await balancer.servers()).map(({ node }) => node)).not.toContain("pg3");
  });

  test("does not bring back a member that the health check has taken out", async () => {
    const { balancer, program, input, health } = await running();
    health.members.delete("pg2");
    await waitFor("pg2 is out", async () =>
      (await balancer.servers()).some((server) => nameOf(server) === "read/pg2" && !server.up),
    );
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    expect(await answering(input.read.port, 4)).not.toContain("pg2");
  });

  test("that cannot be done leaves the old configuration in force, and works once the cause is gone", async () => {
    const { balancer, program, input, sparePort } = await running();
    const session = await visit(input.write.port);
    const other = net.createServer();
    other.listen({ port: sparePort, host: "127.0.0.1", exclusive: true });
    await once(other, "listening");
    const changed = { ...input, read: { ...input.read, port: sparePort } };
    await expect(balancer.ensure(program, changed)).rejects.toMatchObject({
      code: "port_in_use",
      message: expect.stringContaining(String(sparePort)),
      safe: expect.stringContaining("old configuration"),
    });
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg2", "pg3"]));
    expect(await session.echoes()).toBe(true);
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    expect(new Set(await answering(input.read.port))).toEqual(new Set(["pg3"]));
    other.close();
    await once(other, "close");
    expect(await balancer.ensure(program, changed)).toBe("reloaded");
    expect(new Set(await answering(sparePort))).toEqual(new Set(["pg3"]));
    expect(await session.echoes()).toBe(true);
  });

  test("that HAProxy would refuse is not begun", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const { current } = await workers(made);
    await expect(balancer.ensure(program, { ...input, networks: ["10.0.0.0/99"] })).rejects.toMatchObject({
      code: "command_failed",
      safe: expect.stringContaining("goes on"),
    });
    expect(await workers(made)).toMatchObject({ current, old: [] });
  });
});

describe("the process", () => {
  test("is taken over by another agent, with its sessions and its pool", async () => {
    const { stateDir, owner, balancer, program, input } = await running();
    const session = await visit(input.read.port);
    const next = new Balancer({ stateDir }, owner);
    expect(await next.presence()).toEqual(await balancer.presence());
    expect(await next.ensure(program, input)).toBe("unchanged");
    expect(await next.route(usual)).toEqual([]);
    expect(await session.echoes()).toBe(true);
  });

  test.each(["current", "master"] as const)(
    "killed with -9 (%s) is seen as gone and restarted",
    async (which) => {
      const made = await running();
      const { balancer, program, input } = made;
      const session = await visit(input.write.port);
      process.kill((await workers(made))[which], "SIGKILL");
      await waitFor("HAProxy is gone", async () => await isGone(made));
      await waitFor("its sessions are closed", () => !session.isOpen());
      await expect(balancer.servers()).rejects.toMatchObject({ code: "not_running" });
      expect(await balancer.ensure(program, input)).toBe("started");
      await balancer.route(usual);
      expect(await answering(input.write.port, 2)).toEqual(["pg1", "pg1"]);
    },
  );

  test("that is stopped by a signal is neither gone nor started twice", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const { master } = await workers(made);
    hang(master);
    expect(await balancer.presence()).toEqual({ state: "unresponsive", pid: master });
    await expect(balancer.ensure(program, input)).rejects.toMatchObject({ code: "timed_out" });
    expect(await answering(input.write.port, 1)).toEqual(["pg1"]);
    process.kill(master, "SIGCONT");
    expect(await balancer.ensure(program, input)).toBe("unchanged");
  });

  test.each(["current", "master"] as const)(
    "that hangs (%s) is found and ended by another agent too, and can be restarted",
    async (which) => {
      const made = await running();
      const { stateDir, owner, program, input } = made;
      const session = await visit(input.write.port);
      const { master, current } = await workers(made);
      hang((await workers(made))[which]);
      const next = new Balancer({ stateDir }, owner);
      expect(await next.silent()).toEqual([which === "master" ? master : current]);
      expect(new Set(await next.endSilent())).toEqual(new Set([master, current]));
      expect([master, current].filter(isAlive)).toEqual([]);
      await waitFor("its sessions are closed", () => !session.isOpen());
      expect(await next.endSilent()).toEqual([]);
      expect(await next.ensure(program, input)).toBe("started");
      await next.route(usual);
      expect(await answering(input.write.port, 2)).toEqual(["pg1", "pg1"]);
    },
  );

  test("of before a reload that hangs is ended alone", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const before = await visit(input.write.port);
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    const after = await visit(input.write.port);
    const { old } = await workers(made);
    hang(old[0] ?? 0);
    expect(await balancer.endSilent()).toEqual(old);
    await waitFor("its sessions are closed", () => !before.isOpen());
    expect(await after.echoes()).toBe(true);
    expect(await balancer.silent()).toEqual([]);
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
  });

  test("ends when it is told to, also while it hangs", async () => {
    const made = await running();
    const { master, current } = await workers(made);
    hang(current);
    hang(master);
    await made.balancer.stop();
    expect([master, current].filter(isAlive)).toEqual([]);
  });

  test("does not start on a port that is taken, and says by what", async () => {
    const { balancer, program, input } = await bench();
    const other = net.createServer();
    other.listen({ port: input.write.port, host: "127.0.0.1", exclusive: true });
    await once(other, "listening");
    await expect(balancer.ensure(program, input)).rejects.toMatchObject({
      code: "port_in_use",
      message: expect.stringContaining(`process ${process.pid}`),
    });
    expect(await balancer.presence()).toEqual({ state: "absent" });
    other.close();
    await once(other, "close");
    expect(await balancer.ensure(program, input)).toBe("started");
  });

  test("ends with all its workers and gives its ports back", async () => {
    const made = await running();
    const { balancer, program, input } = made;
    const session = await visit(input.read.port);
    await balancer.ensure(program, { ...input, maxSessions: 501 });
    const { master, current, old } = await workers(made);
    await balancer.stop();
    expect([master, current, ...old].filter(isAlive)).toEqual([]);
    expect(session.isOpen()).toBe(false);
    expect(await balancer.presence()).toEqual({ state: "absent" });
    await balancer.stop();
    expect(await balancer.ensure(program, input)).toBe("started");
  });

  test.each(["with space", 'quote\'s "double"', "a$HOME#b", "back\\slash,comma:1", "ünï%[srv_name]"])(
    "runs in a state directory named %s",
    async (stateDirName) => {
      const { balancer, program, input } = await running({ stateDirName });
      expect(await answering(input.read.port, 1)).not.toEqual([undefined]);
      await waitFor("the agent's word reaches it", async () =>
        (await balancer.servers()).some((server) => nameOf(server) === "read/pg2" && server.up),
      );
      expect(await balancer.ensure(program, { ...input, maxSessions: 501 })).toBe("reloaded");
    },
  );

  test("writes changes of state to its log, and no line for a session that went well", async () => {
    const { balancer, input } = await running();
    await balancer.route({ primary: "pg1", pool: ["pg3"] });
    const lines = (): string[] => readFileSync(balancer.files.log, "utf8").split("\n");
    await waitFor("the change is in the log", () =>
      lines().some((line) => line.includes("read/pg2 is going DOWN")),
    );
    const before = lines().length;
    await answering(input.read.port, 5);
    await balancer.route({ primary: "pg1", pool: ["pg2", "pg3"] });
    await waitFor("the next change is in the log", () =>
      lines()
        .slice(before - 1)
        .some((line) => line.includes("read/pg2 is UP")),
    );
    expect(
      lines()
        .slice(before - 1)
        .filter((line) => line.includes("read_endpoint")),
    ).toEqual([]);
  });
});
