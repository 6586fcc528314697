import { once } from "node:events";
import { readFileSync } from "node:fs";
import net from "node:net";
import { describe, expect, test } from "vitest";
import { Balancer } from "../../../src/endpoints/balancer.ts";
import { nameOf } from "../../../src/endpoints/servers.ts";
import { isAlive } from "../../../src/system/process/process.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { answering, bench, visit, type Bench, running, usual, workers } from "../standins.ts";

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
