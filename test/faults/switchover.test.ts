import { mkdirSync, readFileSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { comers } from "./comers.ts";
import { figure, seconds } from "./figures.ts";
import { childrenOf } from "./node-processes.ts";
import { scenario } from "./scenario.ts";

describe("Switchover", () => {
  test("back and forth five times under load: nothing is lost, one primary at any time, the history has it all", async () => {
    const { cluster, writing, step, until, succeeds, healthy, answering } = await scenario({
      consistency: "read-your-writes",
    });
    const ledger = await writing();
    const gaps: number[] = [];
    for (let round = 0; round < 5; round += 1) {
      const [from, to] = round % 2 === 0 ? ["pg1", "pg2"] : ["pg2", "pg1"];
      const since = ledger.commits.length;
      const { stderr } = await step(`to ${to}`, async () => await succeeds("switchover", "--to", to));
      expect(stderr).toContain(`odoo-pg switchover --to ${from}`);
      await ledger.goesOn();
      await healthy();
      gaps.push(ledger.longestGap(since));
    }
    expect(await answering("write")).toBe("pg2");
    await until("reads from pg1", async () => (await answering("read")) === "pg1");
    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => term.node)).toEqual(
      ["pg1", "pg2", "pg1", "pg2", "pg1", "pg2"].map((name) => `test/${name}`),
    );
    const history = await cluster.json(["history"]);
    expect(history).toMatchObject({
      version: 1,
      cluster: "test",
      history: [
        { kind: "first launch", from: null, to: "pg1", timeline: 1 },
        { kind: "switchover", from: "pg1", to: "pg2", timeline: 2 },
        { kind: "switchover", from: "pg2", to: "pg1", timeline: 3 },
        { kind: "switchover", from: "pg1", to: "pg2", timeline: 4 },
        { kind: "switchover", from: "pg2", to: "pg1", timeline: 5 },
        { kind: "switchover", from: "pg1", to: "pg2", timeline: 6 },
      ],
    });
    figure(
      "Switchover under load, five times (read-your-writes)",
      "0 acknowledged rows lost, one primary at any time",
      `0 of ${ledger.commits.length} lost; longest gaps between two commits ${gaps.map(seconds).join(", ")}`,
    );
  });

  test("who connects anew for each transaction sees nothing of it but that it waits, nor of a restart by up", async () => {
    const { cluster, step, until, succeeds, healthy, value } = await scenario({
      consistency: "read-your-writes",
    });
    const coming = [comers(cluster, "write", 3), comers(cluster, "read", 3)];
    const served = (): number => coming.reduce((sum, { served: { length } }) => sum + length, 0);
    await until("clients to be served", () => served() > 20);
    await step("to pg2", async () => await succeeds("switchover", "--to", "pg2"));
    await healthy();
    cluster.configure({ postgres: { parameters: { max_wal_senders: "17" } } });
    await step("up", async () => await succeeds("up"));
    await healthy();
    for (const name of ["pg1", "pg2"] as const) expect(await value(name, "SHOW max_wal_senders")).toBe("17");
    for (const { stop } of coming) await stop();
    const failures = coming.flatMap(({ failures: some }) =>
      some.map(({ code, message }) => `${code} ${message}`),
    );
    figure(
      "Clients that connect anew for each transaction, during a switchover and a restart by `up` (read-your-writes)",
      "each of them is served",
      `${failures.length} of ${served() + failures.length} were not served`,
    );
    expect(failures).toEqual([]);
  });

  test("a promotion that fails after it was recorded is finished by the agent", async () => {
    const { cluster, node, writing, step, until, succeeds, healthy, warned } = await scenario();
    const ledger = await writing();
    const replica = node("pg2").pid();
    const [startup = 0] = childrenOf(replica).filter((pid) =>
      readFileSync(`/proc/${pid}/cmdline`, "utf8").includes("startup"),
    );
    // Its recovery hangs, so the promotion waits.
    process.kill(startup, "SIGSTOP");
    atEnd(() => {
      if (isAlive(startup)) process.kill(startup, "SIGKILL");
    });
    const promotion = cluster.start(["promote", "pg2", "--fence", "fast"]);
    await until("the record to name pg2", () =>
      readFileSync(join(cluster.stateDir, "state.json"), "utf8").includes('"primary": "pg2"'),
    );
    await step("kill -9 of pg2", async () => {
      process.kill(startup, "SIGKILL");
      await node("pg2").killPostmaster();
    });
    expect((await promotion.ended).exitCode).not.toBe(0);
    await step("writes go on by themselves", async () => await ledger.goesOn());
    await warned("needs_rejoin", "pg1");
    await succeeds("rejoin", "pg1");
    await healthy();
    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => term.node)).toEqual(["test/pg1", "test/pg2"]);
  });

  test("with three nodes the third follows, also where the old primary does not start as a replica at first", async () => {
    const { cluster, node, writing, step, until, succeeds, healthy, value } = await scenario({ nodes: 3 });
    const ledger = await writing();
    await step("to pg3", async () => await succeeds("switchover", "--to", "pg3"));
    await ledger.goesOn();
    await healthy();
    expect((await cluster.status()).endpoints.write.node).toBe("pg3");
    expect((await cluster.status()).endpoints.read.pool).toEqual(["pg1", "pg2"]);
    expect(
      await value("pg3", "SELECT count(*)::int FROM pg_stat_replication WHERE state = 'streaming'"),
    ).toBe(2);
    expect(await value("pg1", "SELECT count(*)::int FROM pg_replication_slots")).toBe(0);

    // A server that cannot write this file does not start; one that runs needs it no more.
    const file = join(node("pg3").dataDir, "postmaster.opts");
    rmSync(file);
    mkdirSync(file);
    await step("back to pg1", async () => {
      const ran = await cluster.run(["switchover", "--to", "pg1"]);
      expect(ran.exitCode, ran.stderr).not.toBe(0);
    });
    await ledger.goesOn();
    await until(
      "pg2 to follow pg1",
      async () =>
        (await value(
          "pg1",
          "SELECT count(*)::int FROM pg_stat_replication WHERE application_name = 'pg2' AND state = 'streaming'",
        )) === 1,
    );
    rmdirSync(file);
    await healthy();
    expect(await value("pg3", "SELECT pg_is_in_recovery()")).toBe(true);
    await until(
      "pg3 to keep no slots",
      async () => (await value("pg3", "SELECT count(*)::int FROM pg_replication_slots")) === 0,
    );
    await ledger.proveNothingLost();
  });

  test("refuses with its reason, and a dry run changes nothing", async () => {
    const { cluster, node, step, until, refuses, succeeds, healthy, value } = await scenario();
    await step("to itself", async () =>
      expect(await refuses("refused", "switchover", "--to", "pg1")).toContain("pg1 is the primary already"),
    );
    await step("to nobody", async () =>
      expect(await refuses("node_unknown", "switchover", "--to", "pg9")).toContain("pg1, pg2"),
    );
    const state = readFileSync(join(cluster.stateDir, "state.json"), "utf8");
    const { stderr } = await step("dry run", async () => await succeeds("switchover", "--dry-run"));
    expect(stderr).toContain("promote pg2");
    expect(stderr).toContain("nothing was changed");
    expect(await cluster.json(["switchover", "--dry-run"])).toMatchObject({ version: 1, dry_run: true });
    expect(readFileSync(join(cluster.stateDir, "state.json"), "utf8")).toBe(state);
    expect(await value("pg2", "SELECT pg_is_in_recovery()")).toBe(true);

    await value("pg2", "SELECT pg_wal_replay_pause()");
    await step("replay paused", async () =>
      expect(await refuses("refused", "switchover")).toContain("pg2 has its replay paused"),
    );
    await value("pg2", "SELECT pg_wal_replay_resume()");

    await step("not streaming", async () => {
      await value("pg1", "ALTER ROLE replicator NOLOGIN");
      await value("pg1", "SELECT pg_terminate_backend(pid) FROM pg_stat_replication");
      await until(
        "the receiver to end",
        async () => (await value("pg2", "SELECT count(*)::int FROM pg_stat_wal_receiver")) === 0,
      );
      expect(await refuses("refused", "switchover")).toContain("pg2 does not stream");
      await value("pg1", "ALTER ROLE replicator LOGIN");
    });
    await healthy();

    await step("lag", async () => {
      node("pg2").cutLink();
      await value(
        "pg1",
        "CREATE TABLE filler AS SELECT repeat(md5(id::text), 60) FROM generate_series(1, 12000) id",
      );
      expect(await refuses("refused", "switchover")).toMatch(/pg2 is [\d.]+ MB behind.*limit 16 MB/);
      node("pg2").mendLink();
    });
    await healthy();
    expect(readFileSync(join(cluster.stateDir, "state.json"), "utf8")).toBe(state);
    await step("promote while the primary answers", async () =>
      expect(await refuses("refused", "promote", "pg2")).toContain("switchover --to pg2"),
    );
  });

  test("the same command, given again while it is under way, waits for its end and does not lead back", async () => {
    const { cluster, step, until, healthy, answering } = await scenario();
    const record = (): unknown =>
      JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"));
    const { pid: master } = z.object({ pid: z.int() }).parse(record());
    const haproxy = [master, ...childrenOf(master)];
    const goOn = (): void => haproxy.filter(isAlive).forEach((pid) => process.kill(pid, "SIGCONT"));
    atEnd(goOn);
    // A HAProxy that hangs is ended after a while: until then the first one waits, before it has closed anything.
    for (const pid of haproxy) process.kill(pid, "SIGSTOP");
    const first = cluster.start(["switchover"]);
    await until("its plan", () => first.stderr().includes("plan 6."));
    const second = cluster.start(["switchover"]);
    await step("Ctrl-C", async () => {
      first.signal("SIGINT");
      expect(await first.ended).toMatchObject({ exitCode: 130 });
    });
    await until("it to wait", () => second.stderr().includes("under way already"));
    goOn();
    expect(await second.ended).toMatchObject({ exitCode: 0 });
    await healthy();
    expect(await answering("write")).toBe("pg2");
    const log = readFileSync(join(cluster.stateDir, "agent.log"), "utf8");
    expect(log.match(/switchover: (?:begins|done)/g)).toEqual(["switchover: begins", "switchover: done"]);
  });

  test("one that fails gives its nodes back: the primary is looked after as before", async () => {
    const { cluster, node, writing, step, until, refuses, healthy, value } = await scenario({
      consistency: "read-your-writes",
    });
    const record = (): unknown =>
      JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"));
    const { pid: master } = z.object({ pid: z.int() }).parse(record());
    const haproxy = [master, ...childrenOf(master)];
    const goOn = (): void => haproxy.filter(isAlive).forEach((pid) => process.kill(pid, "SIGCONT"));
    atEnd(goOn);
    for (const pid of haproxy) process.kill(pid, "SIGSTOP");
    await step("no session can be cut", async () => await refuses("timed_out", "switchover"));
    goOn();
    await healthy();
    expect(await value("pg2", "SELECT count(*)::int FROM pg_replication_slots")).toBe(0);
    const ledger = await writing(2);
    const before = node("pg1").pid();
    await step("kill -9 of the primary", async () => await node("pg1").killPostmaster());
    await until("another postmaster", () => node("pg1").pid() !== before && isAlive(node("pg1").pid()));
    await ledger.goesOn();
    await healthy();
    await ledger.proveNothingLost();
  });
});

describe("An agent that is killed in the middle of a switchover", () => {
  for (const moment of ["checkpoint", "stop", "promote", "start as a replica"] as const) {
    test(`when it says "${moment}": up finishes with one primary, and nothing is lost`, async () => {
      const { cluster, writing, step, until, succeeds, healthy } = await scenario();
      const ledger = await writing(2);
      const agent = cluster.agent();
      const switchover = cluster.start(["switchover", "--to", "pg2"]);
      await until(`"${moment}"`, () => new RegExp(`^  pg\\d +${moment}`, "m").test(switchover.stderr()));
      await step("kill -9 of the agent", async () => {
        process.kill(agent, "SIGKILL");
        await until("it to be gone", () => !isAlive(agent));
        await switchover.ended;
      });
      await succeeds("up");
      await step("writes go on", async () => await ledger.goesOn());
      await healthy();
      await ledger.proveNothingLost();
      figure(
        `Agent killed during a switchover, at "${moment}"`,
        "`up` finishes with one primary, 0 acknowledged rows lost",
        `primary afterwards: ${(await cluster.status()).endpoints.write.node ?? "none"}; 0 of ${ledger.commits.length} lost`,
      );
    });
  }
});
