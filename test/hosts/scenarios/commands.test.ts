import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Client } from "pg";
import * as z from "zod";
import { beforeAll, beforeEach, describe, expect, onTestFailed, test } from "vitest";
import { doctorDocumentSchema } from "../../../src/advice/doctor/document.ts";
import { figure, seconds } from "../../faults/figures.ts";
import { program } from "../../support/program.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { waitFor } from "../../support/wait.ts";
import { debian13Programs } from "../../../scripts/setup/debian-13.mjs";
import { DISK, type Host } from "../lab/host.ts";
import { cannotMakeHosts, Lab } from "../lab/lab.ts";
import { Traffic } from "../lab/traffic.ts";
import { SeveralHosts } from "../several-hosts.ts";

const reason = cannotMakeHosts();
if (reason !== undefined) console.warn(`No hosts are tried: ${reason}.`);

const PATRONI = /bin\/patroni /;
const answerSchema = z.object({ status: z.number(), cookie: z.string().nullable(), text: z.string() });
const linkSchema = z.object({ link: z.string() });
const IN_UNIT = /odoo-pg\.mjs up --foreground/;
const STARTED = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8";

describe.skipIf(reason !== undefined)("commands on three hosts", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    lab = await Lab.make(temporaryFolder(), ["h1", "h2", "h3"]);
    atEnd(async () => await lab.end());
    several = await SeveralHosts.start(lab, program());
  }, 240_000);

  beforeEach(() => {
    onTestFailed(({ task }) =>
      several.keepLogs(join("test-output/hosts", task.name.replaceAll(/\W+/g, "-"))),
    );
  });

  /** What every host's server answers. */
  async function everywhere(statement: string): Promise<unknown[]> {
    return await Promise.all(lab.hosts.map(async (host) => await several.value(host, statement)));
  }

  /** Does something while clients write and read; nothing may be lost or stale. */
  async function underTraffic(name: string, act: () => Promise<void>): Promise<void> {
    await several.ready();
    const [first] = lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    const traffic = await Traffic.start(
      await several.endpoint(first, "write"),
      await several.endpoint(first, "read"),
    );
    try {
      const since = performance.now();
      await act();
      await traffic.goesOn(90_000);
      const gap = traffic.longestGap(since);
      const { all, stale } = traffic.readsSince(since);
      const lost = await traffic.stop();
      figure(
        `Hosts: ${name}`,
        "0 acknowledged rows lost, 0 reads stale",
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost).toEqual([]);
      expect(stale).toBe(0);
    } finally {
      await traffic.stop().catch(() => []);
    }
  }

  test("doctor and tune on each host say what is of it, what is of all on the primary's, and nothing that is wrong", async () => {
    await several.ready();
    const primary = await several.leader();
    await several.value(primary, "CREATE TABLE IF NOT EXISTS looked_at ()");
    for (const host of lab.hosts) {
      const ran = await several.run(host, "doctor", "--json");
      const told = doctorDocumentSchema.parse(JSON.parse(ran.stdout));
      expect(told.nodes).toEqual([host.name]);
      // Backups are turned off in the lab, which the primary's host alone says.
      const codes = told.findings.map(({ code, message }) => `${code}: ${message}`);
      expect(codes.filter((code) => !/^(backups_off|disk_)/.test(code))).toEqual([]);
      expect(codes.some((code) => code.startsWith("backups_off"))).toBe(host === primary);
      expect(told.databases.length > 0).toBe(host === primary);
      const elsewhere = told.not_looked_at.filter(({ why }) => why.includes(`doctor on ${primary.name}`));
      expect(elsewhere.length > 0).toBe(host !== primary);
    }
    const replica = lab.hosts.find((host) => host !== primary);
    if (!replica) throw new Error("fewer than two hosts");
    await several.value(replica, "ALTER SYSTEM SET hot_standby_feedback = off");
    await several.value(replica, "SELECT pg_reload_conf()");
    const seesIt = async (): Promise<boolean> =>
      (await several.run(replica, "doctor")).stdout.includes("standby_feedback_off");
    await waitFor("doctor to see what was set", seesIt);
    await several.do(replica, "doctor", "--fix", "standby_feedback_off");
    expect(await seesIt()).toBe(false);
    await several.do(replica, "logs", replica.name);

    // What another host applied last counts, not what this host's file says.
    several.configure(replica, { postgres: { parameters: { work_mem: "9MB", shared_buffers: "16MB" } } });
    await several.do(replica, "up");
    const tuned: unknown = JSON.parse(await several.do(primary, "tune", "--json"));
    expect(tuned).toMatchObject({
      machine: { memory_from: expect.stringMatching(/least of h1, h2, h3/) },
      settings: expect.arrayContaining([expect.objectContaining({ name: "work_mem", now: "9MB" })]),
    });
    const written = await several.run(primary, "tune", "--apply", "--only", "work_mem");
    expect(written.exitCode).toBe(0);
    await several.do(primary, "up");
    const [first, ...more] = await everywhere("SHOW work_mem");
    expect(first).not.toBe("9MB");
    expect(new Set(more)).toEqual(new Set([first]));
  }, 240_000);

  test("an operator who has signed in orders a switchover from the page; nobody else does", async () => {
    await several.ready();
    const primary = await several.leader();
    const replica = lab.hosts.find((host) => host !== primary);
    if (!replica) throw new Error("fewer than two hosts");
    /** What the page of the replica's host answers: its status, where it leads, its cookie and its text. */
    const asked = async (path: string, init: object = {}) => {
      const script = `const [url, init] = process.argv.slice(1);
        const got = await fetch(url, { redirect: "manual", ...JSON.parse(init) });
        console.log(JSON.stringify({ status: got.status, cookie: got.headers.get("set-cookie"), text: await got.text() }));`;
      const url = path.startsWith("http") ? path : `http://127.0.0.1:5050${path}`;
      const node = [process.execPath, "--input-type=module", "-e", script];
      return answerSchema.parse(JSON.parse(await replica.do([...node, url, JSON.stringify(init)])));
    };
    const order = (cookie: string, token: string, more: Readonly<Record<string, string>> = {}): object => ({
      method: "POST",
      headers: { cookie, origin: "http://127.0.0.1:5050", ...more },
      body: new URLSearchParams({ order: "switchover", to: replica.name, token }).toString(),
    });
    const form = { "content-type": "application/x-www-form-urlencoded" };

    expect((await asked("/")).text).not.toMatch(/<form|From here/);
    expect((await asked("/order", order("", "", form))).status).toBe(403);
    const { link } = linkSchema.parse(JSON.parse(await several.do(replica, "console", "--json")));
    const cookie = (await asked(link)).cookie?.split(";")[0] ?? "";
    const signedIn = { headers: { cookie } };
    expect((await asked("/", signedIn)).text).toContain("From here");
    const page = (await asked(`/?order=switchover&to=${replica.name}`, signedIn)).text;
    const token = /name="token" value="([^"]+)"/.exec(page)?.[1] ?? "";
    expect((await asked("/order", order(cookie, "guessed", form))).status).toBe(403);
    const elsewhere = { ...form, origin: "http://evil.example", "sec-fetch-site": "cross-site" };
    expect((await asked("/order", order(cookie, token, elsewhere))).status).toBe(403);
    expect(await several.leader()).toBe(primary);
    expect((await asked("/order", order(cookie, token, form))).status).toBe(303);
    await waitFor(
      "the page to say what came of it",
      async () => (await asked("/", signedIn)).text.includes("is the primary; it took"),
      { timeout: 60_000 },
    );
    expect(await several.leader()).toBe(replica);
    // The one before is being started again as a replica.
    await several.ready();
  }, 240_000);

  test("what one host alone knows is refused with what does it over several", async () => {
    const [host] = lab.hosts;
    if (!host) throw new Error("a lab without hosts");
    const said = async (...args: readonly string[]): Promise<string> => {
      const { exitCode, stderr } = await several.run(host, ...args);
      expect(exitCode).not.toBe(0);
      return stderr;
    };
    expect(await said("promote", "h2")).toMatch(/odoo-pg switchover/);
    expect(await said("rejoin", "h2")).toMatch(/odoo-pg reseed/);
    expect(await said("replication", "status")).toMatch(/odoo-pg status/);
  }, 60_000);

  test("all servers are restarted one by one, and nothing is lost", async () => {
    const before = await everywhere(STARTED);
    await underTraffic("all servers restarted one by one", async () => {
      const [, second] = lab.hosts;
      if (!second) throw new Error("fewer than two hosts");
      expect((await several.run(second, "restart", "--dry-run")).stderr).toMatch(/takes over/);
      await several.do(second, "restart");
    });
    const after = await everywhere(STARTED);
    after.forEach((started, index) => expect(Number(started)).toBeGreaterThan(Number(before[index])));
  }, 240_000);

  test("a configuration that was changed on one host is applied on all, with the restarts it needs", async () => {
    const [, second] = lab.hosts;
    if (!second) throw new Error("fewer than two hosts");
    several.configure(second, {
      postgres: { parameters: { work_mem: "7MB", shared_buffers: "20MB", max_connections: "150" } },
    });
    const dry = await several.run(second, "up", "--dry-run");
    expect(dry.stderr).toMatch(/restarted for .*max_connections.*shared_buffers/);
    expect(await everywhere("SHOW work_mem")).not.toContain("7MB");
    await underTraffic("a configuration changed, with restarts", async () => {
      await several.do(second, "up");
    });
    expect(await everywhere("SHOW work_mem")).toEqual(["7MB", "7MB", "7MB"]);
    expect(await everywhere("SHOW shared_buffers")).toEqual(["20MB", "20MB", "20MB"]);
    expect(await everywhere("SHOW max_connections")).toEqual(["150", "150", "150"]);
    const started = await everywhere(STARTED);
    await several.do(second, "up");
    expect(await everywhere(STARTED)).toEqual(started);
  }, 240_000);

  test("a configuration that PostgreSQL refuses changes nothing on any host", async () => {
    const [, second] = lab.hosts;
    if (!second) throw new Error("fewer than two hosts");
    several.configure(second, {
      postgres: { parameters: { work_mem: "much", shared_buffers: "20MB", max_connections: "150" } },
    });
    const refused = await several.run(second, "up");
    expect(refused.exitCode).not.toBe(0);
    expect(refused.stderr).toMatch(/work_mem/);
    expect(await everywhere("SHOW work_mem")).toEqual(["7MB", "7MB", "7MB"]);
    several.configure(second, {
      postgres: { parameters: { work_mem: "7MB", shared_buffers: "20MB", max_connections: "150" } },
    });
  }, 60_000);

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
