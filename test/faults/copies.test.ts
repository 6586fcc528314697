import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import * as z from "zod";
import type { ThrowawayCluster } from "../support/cluster.ts";
import { connect } from "../support/pg.ts";
import { endProcesses, isAlive, processesNaming } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";
import { startByHand } from "./by-hand.ts";
import { figure } from "./figures.ts";
import { scenario } from "./scenario.ts";

const asides = (dataDir: string): readonly string[] =>
  readdirSync(dirname(dataDir)).filter((name) => name.startsWith("data.aside-"));

/** A promoted pg2, and on the old primary rows that only it has: two histories. */
async function fork() {
  const scene = await scenario();
  const { cluster, node, step, succeeds, warned, value } = scene;
  await value("pg1", "CREATE TABLE note (text text)");
  await value("pg1", "INSERT INTO note VALUES ('before')");
  await scene.until(
    "pg2 to have it",
    async () => (await value("pg2", "SELECT count(*)::int FROM pg_class WHERE relname = 'note'")) === 1,
  );
  await step("promote", async () => await succeeds("promote", "pg2", "--fence", "fast"));
  await warned("needs_rejoin", "pg1");
  await step("somebody writes to the old primary", async () => {
    const stop = await startByHand(cluster, "pg1");
    let session: Awaited<ReturnType<typeof connect>> | undefined;
    await waitFor("pg1 to answer", async () => {
      session ??= await cluster.session("pg1");
      return true;
    });
    await session?.rows("INSERT INTO note SELECT 'only here' FROM generate_series(1, 1000)");
    await session?.rows("CHECKPOINT");
    await session?.close();
    await stop();
  });
  await value("pg2", "INSERT INTO note VALUES ('after')");
  return { ...scene, old: node("pg1") };
}

const NOTES = "SELECT string_agg(DISTINCT text, ' ' ORDER BY text) FROM note";

describe("7. Two histories: the old primary was written to after the promotion", () => {
  test("pg_rewind brings it back as a replica; what only it had is kept aside", async () => {
    const { old, until, succeeds, healthy, value } = await fork();
    const { stderr } = await succeeds("rejoin", "pg1");
    expect(stderr).toContain("pg_rewind");
    await healthy();
    expect(await value("pg1", "SELECT pg_is_in_recovery()")).toBe(true);
    await until("the same rows", async () => (await value("pg1", NOTES)) === "after before");
    expect(asides(old.dataDir)).toHaveLength(1);
    figure(
      "7. Timeline fork with local writes",
      "pg_rewind rejoins; the old data is kept aside",
      "streams on the new timeline; 1000 stray rows kept aside",
    );
  });

  test("when pg_rewind cannot, the data stays as it is, the refusal says --reseed, and that works", async () => {
    const { cluster, old, until, succeeds, refuses, healthy, value } = await fork();
    const wal = join(old.dataDir, "pg_wal");
    for (const name of readdirSync(wal).filter((one) => /^[0-9A-F]{24}$/.test(one))) rmSync(join(wal, name));
    const before = readFileSync(join(old.dataDir, "global/pg_control"));
    const said = await refuses("command_failed", "rejoin", "pg1");
    expect(said).toContain("rejoin pg1 --reseed");
    expect(readFileSync(join(old.dataDir, "global/pg_control"))).toEqual(before);
    const status = await cluster.status();
    expect(status.nodes.find(({ name }) => name === "pg1")?.state).toContain("needs rejoin");
    await succeeds("rejoin", "pg1", "--reseed");
    await healthy();
    await until("the same rows", async () => (await value("pg1", NOTES)) === "after before");
    expect(asides(old.dataDir)).toHaveLength(1);
    figure(
      "7. The same, with the old primary's WAL gone",
      "the data is kept, the error says --reseed, which works",
      "refused with --reseed as the next step; reseeded; old data kept aside",
    );
  });
});

describe("8. A base backup that fails", () => {
  const copies = (cluster: ThrowawayCluster) =>
    // Not the WAL senders of the primary, which name it too.
    processesNaming(cluster.stateDir).filter(({ command }) => /^\S*\/pg_basebackup /.test(command));

  test("killed at each try: a bounded number of tries, the old data serves on, the next reseed finishes", async () => {
    const { cluster, node, step, refuses, succeeds, healthy, value } = await scenario();
    const before = node("pg2").pid();
    const killer = setInterval(() => {
      for (const { pid } of copies(cluster)) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    }, 5);
    atEnd(() => clearInterval(killer));
    await step("reseed", async () => await refuses("command_failed", "reseed", "pg2"));
    clearInterval(killer);
    await healthy();
    expect(node("pg2").pid()).toBe(before);
    expect(asides(node("pg2").dataDir)).toEqual([]);
    await succeeds("reseed", "pg2");
    await healthy();
    expect(asides(node("pg2").dataDir)).toHaveLength(1);
    expect(await value("pg2", "SELECT pg_is_in_recovery()")).toBe(true);
    figure(
      "8. pg_basebackup killed at each try",
      "retries bounded, previous data serves, the second reseed finishes",
      "gave up at the third; previous data never stopped streaming; second reseed finished",
    );
  });

  test("the agent killed in the middle: the half copy is never started, up has the old data serve, reseed finishes", async () => {
    const { cluster, node, step, until, succeeds, healthy } = await scenario();
    const agent = cluster.agent();
    const reseed = cluster.start(["reseed", "pg2"]);
    await until("the copy", () => copies(cluster).length > 0);
    await step("stop the copy, kill the agent", async () => {
      for (const { pid } of copies(cluster)) process.kill(pid, "SIGSTOP");
      process.kill(agent, "SIGKILL");
      await reseed.ended;
    });
    expect(existsSync(node("pg2").dataDir)).toBe(true);
    await succeeds("up");
    await healthy();
    await succeeds("reseed", "pg2");
    await healthy();
    await endProcesses(() => copies(cluster));
    // Of the half copy nothing is left.
    expect(readdirSync(dirname(node("pg2").dataDir)).filter((name) => name.startsWith("data"))).toHaveLength(
      2,
    );
    figure(
      "8. The agent killed during a reseed",
      "the half copy is never started; up has the previous data serve; reseed finishes",
      "as it should be",
    );
  });

  test("the old data answers reads during a long copy; HAProxy killed in the middle runs again before the copy ends", async () => {
    const { cluster, step, until, healthy, answering } = await scenario();
    const balancer = (): number => {
      const record: unknown = JSON.parse(
        readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"),
      );
      return z.object({ pid: z.int() }).parse(record).pid;
    };
    const held: number[] = [];
    const goOn = (): void => held.filter(isAlive).forEach((pid) => process.kill(pid, "SIGCONT"));
    atEnd(goOn);
    const reseed = cluster.start(["reseed", "pg2"]);
    await until("the copy", () => copies(cluster).length > 0);
    for (const { pid } of copies(cluster)) {
      process.kill(pid, "SIGSTOP");
      held.push(pid);
    }
    await healthy();
    expect(await answering("read")).toBe("pg2");
    const before = balancer();
    await step("kill -9 of HAProxy", () => process.kill(before, "SIGKILL"));
    await until("another HAProxy", () => balancer() !== before && isAlive(balancer()), 10_000);
    await until("the write endpoint to answer", async () => (await answering("write")) === "pg1", 10_000);
    expect(copies(cluster)).not.toEqual([]);
    goOn();
    expect((await reseed.ended).exitCode).toBe(0);
    await healthy();
  });

  test("a replica lost while the cluster was down: both endpoints answer while it is copied", async () => {
    const { cluster, node, step, succeeds, until, healthy, answering } = await scenario();
    const held: number[] = [];
    const goOn = (): void => held.filter(isAlive).forEach((pid) => process.kill(pid, "SIGCONT"));
    atEnd(goOn);
    await succeeds("down");
    await step("the data of pg2 is lost", () => rmSync(node("pg2").dataDir, { recursive: true }));
    const up = cluster.start(["up"]);
    await until("the copy", () => copies(cluster).length > 0);
    for (const { pid } of copies(cluster)) {
      process.kill(pid, "SIGSTOP");
      held.push(pid);
    }
    expect(await answering("write")).toBe("pg1");
    expect(await answering("read")).toBe("pg1");
    expect(copies(cluster)).not.toEqual([]);
    goOn();
    expect((await up.ended).exitCode).toBe(0);
    await healthy();
    figure(
      "8. A replica's data lost while the cluster was down",
      "both endpoints answer from the primary while the replica is copied",
      "as it should be",
    );
  });

  test("corrupt pages on the primary: the copy is refused, the old data serves", async () => {
    const { node, step, refuses, healthy, value } = await scenario();
    await value("pg1", "CREATE TABLE page AS SELECT repeat('x', 500) AS text FROM generate_series(1, 500)");
    await value("pg1", "CHECKPOINT");
    const file = join(node("pg1").dataDir, String(await value("pg1", "SELECT pg_relation_filepath('page')")));
    const whole = readFileSync(file);
    await step("a page is damaged on disk", () => {
      const damaged = Buffer.from(whole);
      damaged.fill(0xab, 8192 + 4000, 8192 + 4100);
      writeFileSync(file, damaged);
    });
    const said = await refuses("command_failed", "reseed", "pg2");
    expect(said).toContain("checksum");
    await step("the page is mended", () => writeFileSync(file, whole));
    await healthy();
    expect(await value("pg2", "SELECT count(*)::int FROM page")).toBe(500);
    expect(asides(node("pg2").dataDir)).toEqual([]);
    figure(
      "8. Corrupt pages in the base backup",
      "the copy is never started; previous data serves",
      "refused by its checksum; previous data streaming",
    );
  });
});
