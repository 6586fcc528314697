import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "pg";
import { beforeAll, expect, test } from "vitest";
import { debian13Programs } from "../../../scripts/setup/debian-13.mjs";
import { waitFor } from "../../support/wait.ts";
import { DISK, type Host } from "../lab/host.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, keepLogsOfFailed, threeHosts } from "../on-hosts.ts";
import type { SeveralHosts } from "../several-hosts.ts";
import { PATRONI } from "./scene.ts";

const IN_UNIT = /odoo-pg\.mjs up --foreground/;
const STARTED = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8";

describeOnHosts("three hosts that go down, are given up, and become one", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    ({ lab, several } = await threeHosts());
  }, 240_000);

  keepLogsOfFailed(() => several);

  test("a host that goes down by command hands the primary over first, and comes back as a replica", async () => {
    await several.ready();
    const primary = await several.leader();
    await several.do(primary, "down");
    expect(primary.processes(/postgres -D|bin\/patroni |bin\/etcd /)).toEqual([]);
    await several.leader(primary);
    await several.do(primary, "up");
    await several.ready();
    expect(await several.value(primary, "SELECT pg_is_in_recovery()")).toBe(true);
  }, 240_000);

  test("a host whose machine goes down hands the primary over first; a unit that is only stopped ends nothing", async () => {
    await several.ready();
    const primary = await several.leader();
    const begun = await several.value(primary, STARTED);
    const systemctl = join(primary.folder, "bin/systemctl");
    mkdirSync(dirname(systemctl), { recursive: true });
    const says = (state: string): void =>
      writeFileSync(systemctl, `#!/bin/sh\necho ${state}\n`, { mode: 0o755 });
    const unit = {
      INVOCATION_ID: "1",
      PATH: `${DISK}/bin:${debian13Programs}:/usr/bin:/bin:/usr/sbin:/sbin`,
    };
    primary.signal(/odoo-pg\.mjs agent/, "SIGKILL");
    for (const state of ["running", "stopping"]) {
      says(state);
      several.inUnit(primary, unit);
      await waitFor("the agent to answer", async () => (await several.run(primary, "status")).exitCode === 0);
      await several.ready();
      primary.signal(IN_UNIT, "SIGTERM");
      await primary.gone(IN_UNIT);
      if (state === "running") expect(await several.value(primary, STARTED)).toBe(begun);
    }
    expect(primary.processes(/postgres -D|bin\/patroni |bin\/etcd /)).toEqual([]);
    const log = readFileSync(join(primary.folder, "s/agent.log"), "utf8");
    expect(log).toMatch(/going down/);
    expect(log).not.toMatch(/not stopped whole/);
    expect(await several.leader(primary)).not.toBe(primary);
    await several.do(primary, "up");
    await several.ready();
  }, 240_000);

  test("a primary that is cut off with a Patroni that hangs is led nobody to once another host may be primary", async () => {
    await several.ready();
    const primary = await several.leader();
    const write = await several.endpoint(primary, "write");
    primary.signal(PATRONI, "SIGSTOP");
    primary.unplug();
    const next = await several.leader(primary);
    // Its server is a primary still, by its own word.
    expect(await several.value(primary, "SELECT pg_is_in_recovery()")).toBe(false);
    expect(await answers(write)).toBe(false);
    lab.heal();
    for (const { pid } of primary.processes(PATRONI)) process.kill(pid, "SIGCONT");
    await several.ready(next);
    expect(await several.value(primary, "SELECT pg_is_in_recovery()")).toBe(true);
  }, 240_000);

  test("a replica that commits do not wait for becomes primary by force alone, and it is said what that costs", async () => {
    await several.ready();
    const primary = await several.leader();
    const replica = lab.hosts.find((host) => host !== primary);
    if (!replica) throw new Error("fewer than two hosts");
    lab.cut(primary, replica, { port: 5433, of: "from" });
    await waitFor("commits to go on without it", async () => !(await isWaitedFor(replica)), {
      timeout: 60_000,
    });
    const refused = await several.run(replica, "failover", replica.name);
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/may be lost/);
    await several.do(replica, "failover", replica.name, "--allow-data-loss", "--confirm", "lab");
    lab.heal();
    await several.ready(replica);
    expect(await several.leader()).toBe(replica);
  }, 240_000);

  test("three hosts become one, whose sessions go on, and three again", async () => {
    await several.ready();
    const primary = await several.leader();
    const others = lab.hosts.filter((host) => host !== primary);
    const [other] = others;
    if (!other) throw new Error("fewer than two hosts");
    expect((await several.run(other, "ha", "disband", "--confirm", "lab")).stderr).toContain(primary.name);
    expect((await several.run(primary, "ha", "disband")).exitCode).not.toBe(0);
    const authority = (): string => readFileSync(join(primary.folder, "s/ha/ca.crt"), "utf8");
    const before = authority();
    const session = new Client(await several.endpoint(primary, "write"));
    session.on("error", () => {});
    await session.connect();
    await session.query("CREATE TEMP TABLE kept AS SELECT 1 AS one");
    const disbanded = await several.run(primary, "ha", "disband", "--confirm", "lab");
    expect(disbanded.exitCode).toBe(0);
    expect(disbanded.stderr).not.toMatch(/restart/);
    expect((await session.query("SELECT one FROM kept")).rows).toEqual([{ one: 1 }]);
    await session.query("CREATE TABLE IF NOT EXISTS after_disband ()");
    await session.end();
    expect(primary.processes(/bin\/patroni |bin\/etcd /)).toEqual([]);
    for (const host of others) await host.gone(/postgres -D/);

    for (const host of others) await several.do(host, "leave");
    await several.do(primary, "ha", "init", "--address", primary.address, "--name", primary.name);
    // So keys that a lost host had are worth nothing any more.
    expect(authority()).not.toBe(before);
    for (const host of others) await several.join(host, primary);
    await several.ready(primary);
    expect(await several.leader()).toBe(primary);
  }, 400_000);

  test("where the majority is lost for good the last host goes on alone by command", async () => {
    await several.ready();
    const primary = await several.leader();
    const last = lab.hosts.find((host) => host !== primary);
    if (!last) throw new Error("fewer than two hosts");
    expect((await several.run(last, "ha", "force-new-cluster", "--confirm", "lab")).exitCode).not.toBe(0);
    for (const host of lab.hosts) if (host !== last) host.unplug();
    await waitFor(
      "the last host to see that it is alone",
      async () => {
        const { stderr } = await several.run(last, "ha", "force-new-cluster");
        return stderr.includes("decide alone");
      },
      { timeout: 60_000 },
    );
    await several.do(last, "ha", "force-new-cluster", "--confirm", "lab");
    await waitFor(
      "it to be the primary",
      async () => (await several.value(last, "SELECT pg_is_in_recovery()")) === false,
      { timeout: 90_000 },
    );
    const client = new Client(await several.endpoint(last, "write"));
    await client.connect();
    await client.query("CREATE TABLE alone ()");
    await client.end();
  }, 240_000);

  async function isWaitedFor(host: Host): Promise<boolean> {
    const { stdout } = await several.run(host, "status", "--json");
    const status: unknown = JSON.parse(stdout);
    const list: unknown =
      typeof status === "object" && status !== null && "synchronous" in status ? status.synchronous : [];
    return Array.isArray(list) && list.includes(host.name);
  }

  /** Whether a client gets an answer there within some seconds. */
  async function answers(config: ConstructorParameters<typeof Client>[0]): Promise<boolean> {
    const client = new Client({
      ...(typeof config === "object" ? config : {}),
      connectionTimeoutMillis: 3000,
      query_timeout: 3000,
    });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.query("SELECT 1");
      return true;
    } catch {
      return false;
    } finally {
      void client.end().catch(() => {});
    }
  }
});
