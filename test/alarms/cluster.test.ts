import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { messageSchema, type AlarmMessage } from "../../src/alarms/message.ts";
import { readAlarms } from "../../src/alarms/state-file.ts";
import { throwawayCluster, type ThrowawayCluster } from "../support/cluster.ts";
import { httpReceiver, type HttpReceiver } from "../support/http-receiver.ts";
import { freePort } from "../support/ports.ts";
import { waitFor } from "../support/wait.ts";

const listed = z.object({ alarms: z.object({ rule: z.string(), subject: z.string().nullable() }).array() });

const LONG = { timeout: 60_000 };

function secretFile(cluster: ThrowawayCluster, name: string, text: string, mode = 0o600): string {
  const file = join(cluster.folder, name);
  writeFileSync(file, `${text}\n`, { mode });
  return file;
}

describe("the alarms of a running cluster", () => {
  let cluster: ThrowawayCluster;
  let receiver: HttpReceiver;
  /** Takes connections and never answers. */
  let hanging: HttpReceiver;
  const told = (): AlarmMessage[] =>
    receiver.received.map(({ body }) => messageSchema.parse(JSON.parse(body)));
  const of = (rule: string): string[] =>
    told()
      .filter((message) => message.rule === rule)
      .map(({ event, subject }) => `${event} ${subject}`);
  const list = async (): Promise<string[]> => {
    const { alarms } = listed.parse(await cluster.json(["alarms", "list"]));
    return alarms.map(({ rule, subject }) => `${rule} ${subject}`);
  };

  beforeAll(async () => {
    cluster = await throwawayCluster();
    receiver = await httpReceiver();
    hanging = await httpReceiver();
    hanging.answer = () => {};
    cluster.configure({
      alarms: {
        webhook_file: secretFile(cluster, "webhook", `${receiver.address}/hook?key=s3cretkey`),
        slack_file: secretFile(cluster, "slack", `${hanging.address}/services/s3cretkey`),
        rules: {
          node_down: { after_seconds: 0, ends_after_seconds: 0 },
          replica_behind: { after_seconds: 0, ends_after_seconds: 0 },
          pool_empty: { enabled: false },
          blocked: { threshold: 1, ends_after_seconds: 0 },
          channel_failing: { after_seconds: 3600 },
        },
      },
    });
    await cluster.up();
    await cluster.healthy();
  });

  test("a replica that stops is told once, and once when it is back, while another channel hangs", async () => {
    const replica = cluster.postmaster("pg2");
    const inside = await cluster.session("pg2");
    process.kill(replica, "SIGSTOP");
    try {
      // A stopped postmaster starts no session any more; those that there are go on.
      await inside.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'odoo-pg agent'",
      );
      await waitFor("the begin", () => of("node_down").length > 0, LONG);
      expect(await list()).toEqual(["node_down pg2"]);
      await waitFor("the status to name the channel that hangs", async () => {
        const { warnings } = await cluster.status();
        return warnings.some(
          ({ code, message }) => code === "alarm_channel_failing" && message.includes("slack"),
        );
      });
    } finally {
      process.kill(replica, "SIGCONT");
    }
    await waitFor("the end", () => of("node_down").length > 1, LONG);
    expect(of("node_down")).toEqual(["begins pg2", "ends pg2"]);
    expect(told()[0]).toMatchObject({
      cluster: "test",
      severity: "warning",
      next: expect.stringContaining("odoo-pg"),
    });
    expect(await list()).toEqual([]);
    const log = readFileSync(join(cluster.stateDir, "agent.log"), "utf8");
    expect(log).toContain("alarm [test] WARNING begins: node_down (pg2)");
    expect(log).not.toContain("s3cretkey");
    const events = readFileSync(join(cluster.stateDir, "events.jsonl"), "utf8");
    expect(events).toContain('"kind":"alarm_began"');
    expect(events).toContain('"kind":"alarm_ended"');
  });

  test("an agent that is killed meanwhile tells nothing twice, and the next one tells the end", async () => {
    const primary = await cluster.session("pg1");
    const replica = await cluster.session("pg2");
    await replica.rows("SELECT pg_wal_replay_pause()");
    await primary.rows("CREATE TABLE grows AS SELECT generate_series(1, 1000) AS n");
    await waitFor("the begin", () => of("replica_behind").length > 0, LONG);
    // What arrived in the last moment before it is told again: rather twice than never.
    await waitFor("the agent to know that it arrived", async () => {
      const saved = await readAlarms(cluster.stateDir);
      return saved?.channels["webhook"]?.waiting.length === 0;
    });
    process.kill(cluster.agent(), "SIGKILL");
    const before = hanging.received.length;
    await cluster.up();
    // The new agent goes on with what the hanging channel has not taken: it has looked.
    await waitFor("a look of the new agent", () => hanging.received.length > before, LONG);
    expect(of("replica_behind")).toEqual(["begins pg2"]);
    expect(await list()).toEqual(["replica_behind pg2"]);
    await replica.rows("SELECT pg_wal_replay_resume()");
    await waitFor("the end", () => of("replica_behind").length > 1, LONG);
    expect(of("replica_behind")).toEqual(["begins pg2", "ends pg2"]);
    expect(of("agent_away")).toEqual([]);
  });

  test("a session that waits for a lock is told with who holds it, and a switchover once", async () => {
    const holder = await cluster.session("pg1");
    const waiter = await cluster.session("pg1");
    await holder.rows("BEGIN");
    await holder.rows("LOCK TABLE grows");
    const waiting = waiter.rows("SELECT count(*) FROM grows");
    await waitFor("the begin", () => of("blocked").length > 0, { timeout: 150_000 });
    const message = told().find(({ rule }) => rule === "blocked");
    const pids = await holder.rows<{ pid: number }>("SELECT pg_backend_pid() AS pid");
    expect(message?.text).toMatch(/^Session \d+ in postgres has waited .* for a lock that session \d+ \(/);
    expect(message?.text).toContain(`session ${pids[0]?.pid} (`);
    await holder.rows("COMMIT");
    await waiting;
    const ran = await cluster.run(["switchover"]);
    expect(ran.exitCode, ran.stderr).toBe(0);
    await waitFor("the switchover to be told", () => of("switchover").length > 0, LONG);
    expect(of("switchover")).toEqual(["happened pg2"]);
    expect(told().find(({ rule }) => rule === "switchover")?.text).toMatch(
      /^pg2 is the primary now, after pg1 \(switchover/,
    );
  });

  test("what it keeps is for its owner only", () => {
    expect(statSync(join(cluster.stateDir, "alarms.json")).mode & 0o777).toBe(0o600);
  });
});

describe("odoo-pg alarms", () => {
  test("test sends one through each channel and says of each how it went, with nothing running", async () => {
    const cluster = await throwawayCluster();
    const receiver = await httpReceiver();
    const told = join(cluster.folder, "told");
    const webhook_file = secretFile(cluster, "webhook", `${receiver.address}/hook-s3cret`);
    cluster.configure({ alarms: { webhook_file, command: ["tee", told] } });
    const good = await cluster.run(["alarms", "test"]);
    expect(good.exitCode, good.stderr).toBe(0);
    expect(good.stdout).toMatch(/^webhook +delivered in \d+\.\d s\ncommand +delivered in \d+\.\d s\n$/);
    expect(messageSchema.parse(JSON.parse(receiver.received[0]?.body ?? ""))).toMatchObject({
      event: "test",
      cluster: "test",
      text: "This is a test of the alarms. Nothing is wrong.",
    });
    expect(messageSchema.parse(JSON.parse(readFileSync(told, "utf8"))).event).toBe("test");

    const nobody = secretFile(cluster, "slack", `http://127.0.0.1:${await freePort()}/s3cret`, 0o644);
    cluster.configure({ alarms: { webhook_file, slack_file: nobody } });
    const bad = await cluster.run(["alarms", "test"]);
    expect(bad.exitCode).toBe(1);
    expect(bad.stdout).toContain(`FAILED: ${nobody}: the address does not answer (ECONNREFUSED)`);
    expect(bad.stderr).toContain(`Others can read ${nobody}, which holds a secret: chmod 600 ${nobody}`);
    expect(bad.stdout + bad.stderr).not.toContain("s3cret");
    expect(await cluster.json(["alarms", "test"])).toMatchObject({
      version: 1,
      ok: false,
      channels: [
        { channel: "webhook", ok: true, error: null },
        { channel: "slack", ok: false, error: expect.stringContaining("ECONNREFUSED") },
      ],
      readable_by_others: [nobody],
    });
  });

  test("test without any channel fails and says what to set; list says that nothing is on", async () => {
    const cluster = await throwawayCluster();
    const none = await cluster.run(["alarms", "test"]);
    expect(none.exitCode).toBe(1);
    expect(none.stderr).toContain("No channel is configured: nobody is notified.");
    const list = await cluster.run(["alarms", "list"]);
    expect(list.exitCode).toBe(0);
    expect(list.stderr).toMatch(/^Nobody is told: no channel is set up\..*\nNo alarm is on\.$/m);
    // The name of 0.1.
    const former = await cluster.run(["alerts", "list"]);
    expect(former.exitCode).toBe(0);
    expect(former.stderr).toMatch(
      /^odoo-pg alerts is now called odoo-pg alarms.*\nNobody is told.*\nNo alarm is on\.$/m,
    );
  });
});
