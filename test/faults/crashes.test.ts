import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { endProcesses, isAlive, processesUsing } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { figure, seconds } from "./figures.ts";
import { scenario } from "./scenario.ts";

const IDENTIFIER = "SELECT system_identifier::text FROM pg_control_system()";

describe("1. kill -9 of the primary's postmaster", () => {
  test("it runs again on the same timeline; nothing acknowledged is lost", async () => {
    const { node, writing, step, healthy } = await scenario();
    const ledger = await writing();

    await step("kill -9", async () => await node("pg1").killPostmaster());
    await step("writes go on", async () => await ledger.goesOn());
    await healthy();

    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => [term.timeline, term.node])).toEqual([[1, "test/pg1"]]);
    figure(
      "1. kill -9 of the primary's postmaster",
      "runs again on the same timeline, 0 acknowledged rows lost",
      `0 of ${ledger.commits.length} lost; writes paused ${seconds(ledger.longestGap())}`,
    );
  });
});

describe("2. Loss of a whole node", () => {
  test("the endpoint follows the promotion; the node comes back as a replica, never as a primary", async () => {
    const { cluster, node, writing, step, until, succeeds, refuses, warned, healthy, value } = await scenario(
      {
        consistency: "read-your-writes",
      },
    );
    const ledger = await writing();

    await step("pg1 is gone with its disk", async () => await node("pg1").lose());
    const promoted = await step("promote", async () => await succeeds("promote", "pg2"));
    expect(promoted.stderr).toContain("odoo-pg rejoin pg1");
    await step("writes go on", async () => await ledger.goesOn());

    await step("the disk is back", () => node("pg1").bringBack());
    await step("up does not start pg1 as it is", async () => await refuses("node_not_ready", "up"));
    const { next } = await warned("needs_rejoin", "pg1");
    expect(next).toContain("rejoin pg1");
    await succeeds("rejoin", "pg1");
    await healthy();
    expect(await value("pg1", "SELECT pg_is_in_recovery()")).toBe(true);
    await until("reads from pg1", async () => (await cluster.status()).endpoints.read.pool.includes("pg1"));

    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => [term.timeline, term.node])).toEqual([
      [1, "test/pg1"],
      [2, "test/pg2"],
    ]);
    figure(
      "2. Loss of a whole node (read-your-writes)",
      "the write endpoint follows the promotion, the old node rejoins, 0 acknowledged rows lost",
      `0 of ${ledger.commits.length} lost; ${seconds(ledger.longestGap())} from the loss to the next commit, the order to promote included`,
    );
  });

  test("without proof that the replica has everything, a promotion names what may be lost and needs two words", async () => {
    const { cluster, node, step, until, refuses, succeeds, healthy, value } = await scenario();
    await step("pg1 is gone with its disk", async () => await node("pg1").lose());
    await until("status to say what to do", async () =>
      (await cluster.status()).warnings.some(({ next }) => next.includes("odoo-pg promote pg2")),
    );
    const said = await step("promote", async () => await refuses("refused", "promote", "pg2"));
    expect(said).toContain("--allow-data-loss --confirm test");
    await refuses("confirmation_missing", "promote", "pg2", "--allow-data-loss");
    await refuses("confirmation_missing", "promote", "pg2", "--allow-data-loss", "--confirm", "tset");
    expect(await value("pg2", "SELECT pg_is_in_recovery()")).toBe(true);
    await succeeds("promote", "pg2", "--allow-data-loss", "--confirm", "test");
    expect(await value("pg2", "SELECT pg_is_in_recovery()")).toBe(false);
    // The old data never comes back: a copy takes its place.
    await succeeds("reseed", "pg1");
    await healthy();
  });
});

describe("A session that outlives the postmaster", () => {
  test("is ended before the log is read that says what a promotion would lose", async () => {
    const { cluster, node, step, until, succeeds } = await scenario();
    const maker = await cluster.session("pg1");
    await maker.rows("CREATE TABLE late (id int)");
    await until("pg2 has it", async () => (await cluster.status()).nodes[1]?.lag_bytes === 0);
    const client = await cluster.session("pg1");
    const backend = Number(await client.value("SELECT pg_backend_pid()"));
    // Busy, so that it does not notice the end of its postmaster before it commits.
    const commit = client
      .rows("DO $$ BEGIN FOR i IN 1..2e8 LOOP END LOOP; INSERT INTO late VALUES (1); END $$")
      .then(
        () => "acknowledged",
        () => "cut",
      );
    await until("the statement runs", async () => {
      const state = "SELECT state FROM pg_stat_activity WHERE pid = $1";
      return (await maker.value(state, [backend])) === "active";
    });
    await step("the session hangs, the postmaster is killed, and cannot be started", async () => {
      process.kill(backend, "SIGSTOP");
      atEnd(() => {
        if (isAlive(backend)) process.kill(backend, "SIGKILL");
      });
      appendFileSync(join(cluster.stateDir, "nodes", "pg1", "postgresql.conf"), "no_such_setting = on\n");
      await node("pg1").killPostmaster();
    });
    const { stderr } = await step("promote", async () => await succeeds("promote", "pg2"));
    expect(stderr).toMatch(/processes that pg1 left behind are ended/);
    if (isAlive(backend)) process.kill(backend, "SIGCONT");
    expect(await commit).toBe("cut");
  });
});

describe("3 and 4. A primary that is stopped with open sessions, and goes on later", () => {
  test("promote refuses until it is fenced; afterwards the old primary commits nothing", async () => {
    const { node, writing, step, refuses, succeeds, healthy, warned } = await scenario({
      consistency: "read-your-writes",
    });
    const ledger = await writing();

    const postmaster = node("pg1").pid();
    await step("SIGSTOP", () => node("pg1").freeze());
    const said = await step("promote", async () => await refuses("refused", "promote", "pg2"));
    expect(said).toContain("--fence immediate");
    await step("promote, fenced", async () => await succeeds("promote", "pg2", "--fence", "immediate"));
    await step("SIGCONT", () => node("pg1").thaw());
    expect(processesUsing(node("pg1").dataDir).map(({ pid }) => pid)).not.toContain(postmaster);
    await step("writes go on", async () => await ledger.goesOn());
    await warned("needs_rejoin", "pg1");
    await succeeds("rejoin", "pg1");
    await healthy();

    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => term.node)).toEqual(["test/pg1", "test/pg2"]);
    figure(
      "3, 4. SIGSTOP of the primary with open writing sessions, SIGCONT after the promotion",
      "promoted only after it was fenced; the old primary commits nothing afterwards",
      `last commit of pg1 before the first of pg2; writes paused ${seconds(ledger.longestGap())}, a refused try included`,
    );
  });

  test("when it goes on without a promotion, it goes on as the primary", async () => {
    const { node, writing, step, until, healthy, cluster } = await scenario();
    const ledger = await writing();
    await step("SIGSTOP", () => node("pg1").freeze());
    await until("status to say so", async () => (await cluster.status()).verdict === "critical");
    await step("SIGCONT", () => node("pg1").thaw());
    await step("writes go on", async () => await ledger.goesOn());
    await healthy();
    await ledger.proveNothingLost();
    expect(ledger.terms()).toHaveLength(1);
  });
});

describe("5. All processes killed and started again", () => {
  test("up brings back the same cluster: same system identifier, same primary, no initdb", async () => {
    const { cluster, node, writing, step, succeeds, healthy, value } = await scenario({ nodes: 3 });
    const ledger = await writing();
    const before = await value("pg1", IDENTIFIER);
    const oid = await value("pg1", "SELECT oid::int FROM pg_database WHERE datname = 'ledger'");

    await step("kill -9 of everything", async () => {
      for (const name of ["pg1", "pg2", "pg3"] as const) process.kill(node(name).pid(), "SIGSTOP");
      const all = processesUsing(cluster.stateDir);
      for (const { pid } of all) process.kill(pid, "SIGKILL");
      await endProcesses(() => processesUsing(cluster.stateDir));
    });
    const begin = performance.now();
    const { stderr } = await succeeds("up");
    const took = performance.now() - begin;
    expect(stderr).not.toContain("initdb");
    await step("writes go on", async () => await ledger.goesOn());
    await healthy();

    expect(await value("pg1", IDENTIFIER)).toBe(before);
    expect(await value("pg1", "SELECT oid::int FROM pg_database WHERE datname = 'ledger'")).toBe(oid);
    await ledger.proveNothingLost();
    expect(ledger.terms().map((term) => term.node)).toEqual(["test/pg1"]);
    figure(
      "5. All processes killed, `up`",
      "same system identifier, one primary, no initdb",
      `the same; ${seconds(took)} until up has returned, 0 of ${ledger.commits.length} lost`,
    );
  });
});
