import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as z from "zod";
import { throwawayCluster } from "../support/cluster.ts";
import { isAlive, processesUsing } from "../support/processes.ts";
import { waitFor } from "../support/wait.ts";

test("up --foreground stays, applies a changed file at SIGHUP, adopts after kill -9, stops all at SIGTERM", async () => {
  const cluster = await throwawayCluster();
  const first = cluster.start(["up", "--foreground"]);
  await waitFor("the lock", () => cluster.agent() === first.pid);
  await cluster.healthy();
  expect(isAlive(first.pid)).toBe(true);
  // Of HAProxy the master process: its workers are noted a moment later.
  const pids = (): readonly number[] => [
    cluster.postmaster("pg1"),
    cluster.postmaster("pg2"),
    z
      .object({ pid: z.number() })
      .parse(JSON.parse(readFileSync(join(cluster.stateDir, "haproxy/process.json"), "utf8"))).pid,
  ];
  const before = pids();

  cluster.configure({ postgres: { parameters: { work_mem: "23MB" } } });
  first.signal("SIGHUP");
  const primary = await cluster.session("pg1");
  await waitFor("the changed parameter", async () => (await primary.value("SHOW work_mem")) === "23MB");
  expect(pids()).toEqual(before);

  // A file with a mistake changes nothing, and the agent stays.
  cluster.configure({ postgres: { parameters: { work_mem: "banana" } } });
  first.signal("SIGHUP");
  await waitFor("the server's own words in the log", () => {
    return (first.stdout() + first.stderr()).includes('invalid value for parameter "work_mem"');
  });
  expect(isAlive(first.pid)).toBe(true);
  expect(await primary.value("SHOW work_mem")).toBe("23MB");
  cluster.configure({ postgres: { parameters: { work_mem: "23MB" } } });

  const session = await cluster.session("write", "odoo");
  first.signal("SIGKILL");
  await first.ended;
  expect(pids()).toEqual(before);
  const second = cluster.start(["up", "--foreground"]);
  await waitFor("the lock", () => cluster.agent() === second.pid);
  await cluster.healthy();
  expect(pids()).toEqual(before);
  expect(await session.value("SELECT 1")).toBe(1);

  // A command of another terminal speaks with the same agent.
  await cluster.up();
  expect(cluster.agent()).toBe(second.pid);

  second.signal("SIGTERM");
  const ran = await second.ended;
  expect(ran.exitCode).toBe(0);
  const log = ran.stdout + ran.stderr;
  const order = ["haproxy stop", "pg1 stop", "pg2 stop"].map((step) => log.indexOf(step));
  expect(order.every((at) => at >= 0)).toBe(true);
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(processesUsing(cluster.folder)).toEqual([]);
});

test("up --foreground that cannot start ends with the error and its exit status", async () => {
  const cluster = await throwawayCluster({ config: { postgres: { parameters: { work_mem: "banana" } } } });
  const ran = await cluster.run(["up", "--foreground"]);
  expect(ran.exitCode).toBe(2);
  expect(ran.stderr).toContain('invalid value for parameter "work_mem"');
  expect(processesUsing(cluster.folder)).toEqual([]);
});

test("a second up --foreground says who holds the lock", async () => {
  const cluster = await throwawayCluster();
  await cluster.up();
  const ran = await cluster.run(["up", "--foreground"]);
  expect(ran.exitCode).toBe(75);
  expect(ran.stderr).toContain(`process ${cluster.agent()}`);
  await cluster.healthy();
});
