import { join } from "node:path";
import { Client } from "pg";
import * as z from "zod";
import { beforeAll, expect, test } from "vitest";
import { doctorDocumentSchema } from "../../../src/advice/doctor/document.ts";
import { figure, seconds } from "../../faults/figures.ts";
import { waitFor } from "../../support/wait.ts";
import { Comers } from "../lab/comers.ts";
import type { Lab } from "../lab/lab.ts";
import { describeOnHosts, keepLogsOfFailed, threeHosts } from "../on-hosts.ts";
import { Traffic } from "../lab/traffic.ts";
import type { SeveralHosts } from "../several-hosts.ts";

const answerSchema = z.object({ status: z.number(), cookie: z.string().nullable(), text: z.string() });
const linkSchema = z.object({ link: z.string() });
const STARTED = "SELECT extract(epoch FROM pg_postmaster_start_time())::float8";

describeOnHosts("commands on three hosts", () => {
  let lab: Lab;
  let several: SeveralHosts;

  beforeAll(async () => {
    ({ lab, several } = await threeHosts());
  }, 240_000);

  keepLogsOfFailed(() => several);

  /** What every host's server answers. */
  async function everywhere(statement: string): Promise<unknown[]> {
    return await Promise.all(lab.hosts.map(async (host) => await several.value(host, statement)));
  }

  /** Does something while clients write and read; nothing may be lost or stale, and nobody who comes is refused or cut. */
  async function underTraffic(name: string, act: () => Promise<void>): Promise<void> {
    await several.ready();
    const [first] = lab.hosts;
    if (!first) throw new Error("a lab without hosts");
    const traffic = await Traffic.start(
      await several.endpoint(first, "write"),
      await several.endpoint(first, "read"),
    );
    const comers = new Comers(await several.endpoints(lab.hosts));
    try {
      const since = performance.now();
      await act();
      await traffic.goesOn(90_000);
      await comers.stop();
      const gap = traffic.longestGap(since);
      const { all, stale } = traffic.readsSince(since);
      const lost = await traffic.stop();
      figure(
        `Hosts: ${name}`,
        "0 acknowledged rows lost, 0 reads stale; who connects anew waits, and sees nothing else of it",
        `${lost.length} of ${traffic.commits.length} rows lost; ${stale} of ${all} reads stale; writes paused ${seconds(gap)}`,
      );
      expect(lost).toEqual([]);
      expect(stale).toBe(0);
      expect(comers.failures, "clients that connect anew, and were not served").toEqual([]);
    } finally {
      await comers.stop();
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

  test("a database that somebody opens to everybody, and holds, is told on the page of the primary's host", async () => {
    await several.ready();
    const primary = await several.leader();
    const page = async (): Promise<string> =>
      await primary.do(["curl", "-sSf", "--max-time", "10", "http://127.0.0.1:5050/"]);
    const holder = new Client({
      host: join(primary.folder, "s/run"),
      port: 5433,
      user: "postgres",
      password: several.password("postgres"),
      database: "postgres",
    });
    holder.on("error", () => {});
    await holder.connect();
    try {
      // In one go: the agent looks twice a second.
      await holder.query(
        "GRANT CONNECT ON DATABASE ledger TO PUBLIC; COMMIT; BEGIN; ALTER DATABASE ledger CONNECTION LIMIT 500",
      );
      await waitFor("the page to say so", async () => (await page()).includes("still open to everybody"), {
        timeout: 40_000,
      });
    } finally {
      await holder.query("ROLLBACK");
      await holder.end();
    }
    await waitFor("it to be closed", async () => !(await page()).includes("still open to everybody"), {
      timeout: 40_000,
    });
  }, 120_000);

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

  test("a restart that `up` has asked for is asked for no more once `odoo-pg restart` has made it", async () => {
    await several.ready();
    const [, second] = lab.hosts;
    if (!second) throw new Error("fewer than two hosts");
    // As by an `up` that was cut off before the restarts.
    await several.changeDocument((document) => {
      const { postgres } = document.config;
      const parameters = { ...postgres.parameters, shared_buffers: "24MB" };
      const config = { ...document.config, postgres: { ...postgres, parameters } };
      return { ...document, config, restart: ["shared_buffers"] };
    });
    const waits = "SELECT pending_restart FROM pg_settings WHERE name = 'shared_buffers'";
    await waitFor("all servers to wait for a restart", async () =>
      (await everywhere(waits)).every((pending) => pending === true),
    );
    await several.do(second, "restart");
    expect(await everywhere("SHOW shared_buffers")).toEqual(["24MB", "24MB", "24MB"]);
    await waitFor(
      "nobody to be asked for a restart any more",
      async () => (await several.document()).restart.length === 0,
      { timeout: 120_000 },
    );
  }, 280_000);

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
});
