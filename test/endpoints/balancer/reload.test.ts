import { once } from "node:events";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { nameOf } from "../../../src/endpoints/servers.ts";
import { waitFor } from "../../support/wait.ts";
import { answering, bench, visit, running, workers } from "../standins.ts";

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
