import { execa } from "execa";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { isFree } from "../support/port-reservation.ts";
import { isAlive, processesNaming, processesUsing } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;
let identifier: string;

beforeAll(async () => {
  cluster = await throwawayCluster();
  await cluster.up();
  await (await cluster.session("write", "odoo")).rows("CREATE DATABASE shop TEMPLATE odoo_template");
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows("CREATE TABLE sale AS SELECT generate_series(1, 1000) AS id");
  identifier = (await controlData("pg1"))["Database system identifier"] ?? "";
});

async function controlData(node: string): Promise<Readonly<Record<string, string>>> {
  const bin = await execa("pg_config", ["--bindir"]);
  const { stdout } = await execa(`${bin.stdout}/pg_controldata`, [
    join(cluster.stateDir, "nodes", node, "data"),
  ]);
  return Object.fromEntries(stdout.split("\n").map((line) => line.split(/:\s+/, 2)));
}

async function expectStopped(): Promise<void> {
  await waitFor("no process to be left", () => processesUsing(cluster.folder).length === 0);
  const { nodes, read, write } = cluster.ports;
  for (const port of [...nodes, read, write]) expect(await isFree(port)).toBe(true);
  expect((await controlData("pg1"))["Database cluster state"]).toBe("shut down");
  expect((await controlData("pg2"))["Database cluster state"]).toBe("shut down in recovery");
}

describe("down", () => {
  test("stops all, the primary's last checkpoint has reached the replica; up brings the same data back", async () => {
    const writer = await cluster.session("write", "odoo", "shop");
    await writer.rows("BEGIN");
    await writer.rows("INSERT INTO sale VALUES (0)");
    const ran = await cluster.down();
    expect(ran.stderr).toContain("is stopped; its data stays");
    expect(writer.isCut()).toBe(true);
    await expectStopped();
    const [pg1, pg2] = [await controlData("pg1"), await controlData("pg2")];
    expect(pg2["Latest checkpoint location"]).toBe(pg1["Latest checkpoint location"]);

    await cluster.up();
    await cluster.healthy();
    expect((await controlData("pg1"))["Database system identifier"]).toBe(identifier);
    for (const endpoint of ["write", "read"] as const) {
      const session = await cluster.session(endpoint, "odoo", "shop");
      expect(await session.value("SELECT count(*)::int FROM sale")).toBe(1000);
    }
  });

  test("works without an agent", async () => {
    const agent = cluster.agent();
    process.kill(agent, "SIGKILL");
    await waitFor("the agent to be gone", () => !isAlive(agent));
    await cluster.down();
    await expectStopped();
    const [pg1, pg2] = [await controlData("pg1"), await controlData("pg2")];
    expect(pg2["Latest checkpoint location"]).toBe(pg1["Latest checkpoint location"]);
  });

  test("does not wait for a copy that is under way: it is given up, and the next up makes it", async () => {
    await cluster.up();
    const copies = (): readonly number[] =>
      processesNaming(cluster.stateDir)
        .filter(({ command }) => /^\S*\/pg_basebackup /.test(command))
        .map(({ pid }) => pid);
    const reseed = cluster.start(["reseed", "pg2"]);
    await waitFor("the copy to be under way", () => copies().length > 0);
    // However long it would take.
    for (const pid of copies()) process.kill(pid, "SIGSTOP");
    const ran = await cluster.down();
    expect(ran.stderr).toContain("is stopped; its data stays");
    const given = await reseed.ended;
    expect(given.exitCode).toBe(130);
    expect(reseed.stderr()).toContain("was abandoned: the cluster is being stopped");
    await expectStopped();
    await cluster.up();
    await cluster.healthy();
    await cluster.down();
  });

  test("by the configuration of another cluster stops nothing", async () => {
    await cluster.up();
    cluster.configure({ cluster: "other" });
    const ran = await cluster.run(["down"]);
    cluster.configure({});
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain('holds cluster "test"');
    expect(ran.stderr).toContain("Nothing was stopped");
    await cluster.healthy();
    await cluster.down();
  });

  test("of what is stopped already ends well", async () => {
    const ran = await cluster.down();
    expect(ran.exitCode).toBe(0);
    await expectStopped();
  });
});

describe("commands for a cluster that is down", () => {
  test("status says so and what to do, and ends with 1 or more", async () => {
    const document = await cluster.status();
    expect(document.warnings.map(({ code }) => code)).toEqual(["cluster_stopped"]);
    const { exitCode, stdout } = await cluster.run(["status"]);
    expect(exitCode).toBeGreaterThan(0);
    expect(stdout).toContain("odoo-pg up");
  });
});

describe("destroy", () => {
  const everything = (): readonly string[] =>
    readdirSync(cluster.stateDir, { recursive: true, encoding: "utf8" }).sort();

  test.each([
    ["without the name", [], 2],
    ["with another name", ["--confirm", "tset"], 2],
  ])("%s does nothing", async (_, args, exitCode) => {
    const before = everything();
    const ran = await cluster.run(["destroy", ...args]);
    expect(ran.exitCode).toBe(exitCode);
    expect(ran.stderr).toContain("Nothing was removed");
    expect(ran.stderr).toContain("--confirm test");
    expect(everything()).toEqual(before);
  });

  test("of a running cluster does nothing", async () => {
    await cluster.up();
    const ran = await cluster.run(["destroy", "--confirm", "test"]);
    expect(ran.exitCode).toBe(75);
    expect(ran.stderr).toContain("Nothing was removed");
    await cluster.healthy();

    // Also when only the servers are left.
    const agent = cluster.agent();
    process.kill(agent, "SIGKILL");
    await waitFor("the agent to be gone", () => !isAlive(agent));
    expect((await cluster.run(["destroy", "--confirm", "test"])).exitCode).toBe(75);
    await cluster.up();
    await cluster.healthy();
    await cluster.down();
  });

  test("with the right name removes all of a stopped cluster, and says where its backups stay", async () => {
    const backups = `${cluster.stateDir}.backups`;
    mkdirSync(backups);
    const ran = await cluster.run(["destroy", "--confirm", "test"]);
    expect(ran.exitCode).toBe(0);
    expect(existsSync(cluster.stateDir)).toBe(false);
    expect(existsSync(cluster.configFile)).toBe(true);
    expect(ran.stderr).toContain(`Its backups stay in ${backups}`);
    expect(existsSync(backups)).toBe(true);
  });

  test("of what is no cluster removes nothing", async () => {
    const ran = await cluster.run(["destroy", "--confirm", "test"]);
    expect(ran.exitCode).toBe(1);
    expect(ran.stderr).toContain("does not exist");
    cluster.configure({ state_dir: cluster.folder });
    const other = await cluster.run(["destroy", "--confirm", "test"]);
    expect(other.exitCode).toBe(1);
    expect(other.stderr).toContain("is not a state directory of odoo-pg");
    expect(existsSync(cluster.configFile)).toBe(true);
  });
});
