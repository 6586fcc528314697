import { existsSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { ordinaryUser } from "../support/ordinary-user.ts";
import { isAlive, processesUsing } from "../support/processes.ts";
import type { User } from "../support/program.ts";
import { waitFor } from "../support/wait.ts";

let user: User;
let cluster: ThrowawayCluster;

beforeAll(async () => {
  user = await ordinaryUser();
  cluster = await throwawayCluster({ user, nodes: 3, config: { user: "ignored_without_root" } });
  await cluster.up();
});

describe("an ordinary user", () => {
  test("runs a primary and two replicas, all as that user", async () => {
    await cluster.healthy();
    const processes = processesUsing(cluster.stateDir);
    expect(processes.length).toBeGreaterThan(15);
    const owners = processes.flatMap(({ pid }) => {
      const entry = `/proc/${pid}`;
      return existsSync(entry) ? [statSync(entry).uid] : [];
    });
    expect(new Set(owners)).toEqual(new Set([user.uid]));
    const { nodes, endpoints } = await cluster.status();
    expect(nodes.map(({ name, role, state }) => `${name} ${role} ${state}`)).toEqual([
      "pg1 primary running",
      "pg2 replica streaming",
      "pg3 replica streaming",
    ]);
    expect(endpoints.read.pool).toEqual(["pg2", "pg3"]);
  });

  test("gets reads from both replicas, and all of them when one is killed", async () => {
    const answers = new Set<unknown>();
    await waitFor("both replicas to answer", async () => {
      const session = await cluster.session("read", "odoo");
      answers.add(await session.value("SHOW cluster_name"));
      await session.close();
      return answers.has("test/pg2") && answers.has("test/pg3");
    });
    expect(answers.size).toBe(2);
    const pid = cluster.postmaster("pg3");
    process.kill(pid, "SIGKILL");
    // Whoever comes while it dies may still be let in by it, and is cut as everybody there.
    await waitFor("it is gone", () => !isAlive(pid));
    for (let round = 0; round < 20; round += 1) {
      const session = await cluster.session("read", "odoo");
      await session.close();
    }
    await cluster.healthy();
  });

  test("changes the configuration, loses the agent, stops and starts again", async () => {
    cluster.configure({ postgres: { parameters: { work_mem: "21MB" } } });
    await cluster.up();
    expect(await (await cluster.session("pg3")).value("SHOW work_mem")).toBe("21MB");
    const servers = [cluster.postmaster("pg1"), cluster.postmaster("pg2"), cluster.postmaster("pg3")];
    process.kill(cluster.agent(), "SIGKILL");
    await cluster.up();
    expect([cluster.postmaster("pg1"), cluster.postmaster("pg2"), cluster.postmaster("pg3")]).toEqual(
      servers,
    );
    await cluster.down();
    await cluster.up();
    await cluster.healthy();
    expect(await cluster.run(["psql", "pg2", "--", "-Atc", "SELECT 1"])).toMatchObject({ stdout: "1\n" });
  });

  test("is told when the state directory cannot be written", async () => {
    const other = await throwawayCluster({ user });
    const closed = join(other.folder, "closed");
    mkdirSync(closed, { mode: 0o555 });
    other.configure({ state_dir: join(closed, "state") });
    const ran = await other.run(["up"]);
    expect(ran).toMatchObject({ exitCode: 1, stdout: "" });
    expect(ran.stderr).toContain("state_dir_unusable");
    expect(ran.stderr).toContain("choose another state_dir");
  });
});
