import { once } from "node:events";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { cutSessions, setServerState } from "../../../src/endpoints/orders.ts";
import { fallbackServer, nameOf, poolServer, writeServer } from "../../../src/endpoints/servers.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { answering, bench, keepVisiting, STARTUP, visit, running, usual, workers } from "../standins.ts";

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
