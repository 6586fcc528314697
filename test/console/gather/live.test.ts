import { appendFileSync, readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { type ThrowawayCluster, throwawayCluster } from "../../support/cluster.ts";
import { connect } from "../../support/pg.ts";
import { freePort } from "../../support/ports.ts";
import { isAlive } from "../../support/processes.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { Principal } from "../visitor.ts";

let cluster: ThrowawayCluster;
let url: string;
let principal: Principal;

beforeAll(async () => {
  const port = await freePort();
  const parameters = { shared_buffers: "16MB", shared_preload_libraries: "pg_stat_statements" };
  cluster = await throwawayCluster({
    config: { console: { enabled: true, port }, postgres: { parameters } },
  });
  await cluster.up();
  await cluster.healthy();
  const writer = await cluster.session("pg1");
  await writer.rows("CREATE DATABASE shop OWNER odoo");
  const shop = await cluster.session("write", "odoo", "shop");
  await shop.rows("CREATE TABLE res_partner (id int PRIMARY KEY, name text)");
  await shop.rows("INSERT INTO res_partner SELECT g, 'name' FROM generate_series(1, 100) g");
  await shop.rows("CREATE TABLE ir_cron AS SELECT 1 AS id");
  const superuser = await cluster.session("pg1", "postgres", "shop");
  await superuser.rows("CREATE EXTENSION pg_stat_statements");
  url = `http://127.0.0.1:${port}`;
  principal = new Principal(url);
});

const documentSchema = z.object({
  verdict: z.object({ level: z.string(), sentence: z.string(), next: z.string().nullable() }),
  recovery: z.object({ sentence: z.string(), backups: z.object({ database: z.string() }).array() }),
  status: z.object({
    nodes: z.object({ name: z.string(), state: z.string(), lag_bytes: z.number().nullable() }).array(),
    warnings: z.object({ code: z.string() }).array(),
  }),
  disks: z.object({ node: z.string(), free_bytes: z.number().nullable() }).array(),
  databases: z
    .object({ name: z.string(), size_bytes: z.number().nullable(), last_backup_at: z.string().nullable() })
    .array(),
  activity: z.object({
    connections: z.number().nullable(),
    max_connections: z.number().nullable(),
    blocking: z.object({ sentence: z.string(), blocker: z.number(), waiting: z.number().array() }).array(),
    long_transactions: z
      .object({ pid: z.number(), scheduled_action: z.boolean(), statement: z.string().nullable() })
      .array(),
    slowest_statements: z
      .object({ database: z.string(), statement: z.string().nullable(), calls: z.number() })
      .array()
      .nullable(),
  }),
  events: z
    .object({ kind: z.string(), by: z.string(), text: z.string(), node: z.string().nullable() })
    .array(),
});
type Shown = z.output<typeof documentSchema>;

async function shown(to = principal): Promise<Shown> {
  return documentSchema.parse((await to.ask("/api/document")).json());
}

/** Somebody who has signed in as operator. */
async function operator(): Promise<Principal> {
  const file = join(cluster.stateDir, "secrets", "console_operator.password");
  const someone = new Principal(url);
  await someone.signIn("operator", readFileSync(file, "utf8").trimEnd());
  return someone;
}

/** What is sent to an open page, as it comes. */
async function openPage(): Promise<readonly Shown[]> {
  const stream = await principal.open("/api/stream");
  atEnd(() => void stream.destroy());
  const documents: Shown[] = [];
  let text = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    text += chunk;
    const parts = text.split("\n\n");
    text = parts.pop() ?? "";
    for (const part of parts) {
      const data = /^data: ?(.*)$/m.exec(part)?.[1];
      if (/^event: ?document$/m.test(part) && data !== undefined)
        documents.push(documentSchema.parse(JSON.parse(data)));
    }
  });
  stream.on("error", () => {});
  await waitFor("the first document", () => documents.length > 0);
  return documents;
}

describe("the page", () => {
  test("is told of a paused replica that falls behind, with what to do; and when that is over", async () => {
    const documents = await openPage();
    const replica = await cluster.session("pg2");
    const shop = await cluster.session("write", "odoo", "shop");
    await replica.rows("SELECT pg_wal_replay_pause()");
    await shop.rows("INSERT INTO res_partner SELECT g, repeat('x', 100) FROM generate_series(1000, 90000) g");
    await waitFor("the page to show it", () => {
      const last = documents.at(-1);
      const node = last?.status.nodes.find(({ name }) => name === "pg2");
      return (
        last?.verdict.level === "warning" &&
        node?.state === "replay paused" &&
        (node.lag_bytes ?? 0) > 1_000_000
      );
    });
    expect(documents.at(-1)?.verdict.sentence).toContain("pg2");
    expect(documents.at(-1)?.verdict.next).toContain("pg_wal_replay_resume");
    await replica.rows("SELECT pg_wal_replay_resume()");
    await waitFor("the page to show that all is well", () => documents.at(-1)?.verdict.level === "ok");
    expect(documents.at(-1)?.verdict.sentence).toContain("All is well");
  });

  test("is not sent again while nothing changes but the clock", async () => {
    const documents = await openPage();
    const quiet = async (): Promise<boolean> => {
      const before = documents.length;
      const deadline = performance.now() + 3000;
      await waitFor("three seconds to pass", () => performance.now() > deadline);
      return documents.length === before;
    };
    // Facts and sizes may still be coming in.
    await waitFor("three quiet seconds", quiet, { timeout: 90_000 });
  });

  test("says who keeps whom waiting for a row of which table", async () => {
    const documents = await openPage();
    const [front, second, third] = [
      await cluster.session("write", "odoo", "shop"),
      await cluster.session("write", "odoo", "shop"),
      await cluster.session("write", "odoo", "shop"),
    ];
    const pid = Number(await front.value("SELECT pg_backend_pid()"));
    await front.rows("BEGIN");
    await front.rows("UPDATE res_partner SET name = 'front' WHERE id = 7");
    const update = "UPDATE res_partner SET name = 'late' WHERE id = 7";
    const waiting = Promise.all([second.rows(update), third.rows(update)]);
    const ofFront = () => documents.at(-1)?.activity.blocking.find(({ blocker }) => blocker === pid);
    await waitFor("both to be shown as waiting", () => ofFront()?.waiting.length === 2);
    expect(ofFront()?.sentence).toMatch(
      new RegExp(
        `^odoo \\(pid ${pid}, idle in transaction for \\d+ s, database shop\\) keeps 2 others waiting for a row of res_partner$`,
      ),
    );
    await front.rows("ROLLBACK");
    await waiting;
    await waitFor("nobody to wait", () => documents.at(-1)?.activity.blocking.length === 0);
  });

  test("shows databases with their sizes, disks and connections", async () => {
    await waitFor(
      "the size of the new database",
      async () => {
        const { databases, disks, activity } = await shown();
        expect(databases.map(({ name }) => name)).toEqual(["shop"]);
        expect(disks.every(({ free_bytes }) => (free_bytes ?? 0) > 0)).toBe(true);
        expect(activity.connections).toBeGreaterThan(0);
        expect(activity.max_connections).toBeGreaterThan(50);
        return (databases[0]?.size_bytes ?? 0) > 5_000_000;
      },
      { timeout: 90_000 },
    );
  });
});

test("statements that took long are shown to operators; to others without their text", async () => {
  const signedIn = await operator();
  await waitFor("the statements", async () => {
    const statements = (await shown(signedIn)).activity.slowest_statements ?? [];
    return statements.some(({ database, statement, calls }) => {
      return database === "shop" && calls > 0 && statement?.includes("res_partner") === true;
    });
  });
  const { slowest_statements: statements } = (await shown()).activity;
  expect(statements?.length).toBeGreaterThan(0);
  expect(statements?.every(({ statement }) => statement === null)).toBe(true);
});

test("a transaction that lasts long is shown, and told when it holds a scheduled action", async () => {
  const cron = await cluster.session("write", "odoo", "shop");
  const pid = Number(await cron.value("SELECT pg_backend_pid()"));
  await cron.rows("BEGIN");
  await cron.rows("SELECT id FROM ir_cron WHERE id = 1 FOR NO KEY UPDATE SKIP LOCKED");
  await waitFor(
    "the transaction to be long",
    async () =>
      (await shown()).activity.long_transactions.some((long) => long.pid === pid && long.scheduled_action),
    { timeout: 90_000 },
  );
  await cron.rows("ROLLBACK");
  await waitFor("it to be gone", async () => (await shown()).activity.long_transactions.length === 0);
});

test("what is asked for is in the events, with who asked: switchover and backup", async () => {
  const user = process.env["SUDO_USER"] ?? userInfo().username;
  expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
  expect((await cluster.run(["switchover"])).exitCode).toBe(0);
  expect((await cluster.run(["switchover", "--dry-run"])).exitCode).toBe(0);
  expect((await cluster.run(["switchover", "--to", "pg2"])).exitCode).not.toBe(0);
  await cluster.healthy();
  const eventSchema = z.object({ kind: z.string(), by: z.string(), text: z.string() });
  const { events } = z.object({ events: eventSchema.array() }).parse(await cluster.json(["events"]));
  const own = events.filter(({ by }) => by === user).map(({ kind, text }) => `${kind}: ${text}`);
  expect(own).toEqual([
    "up: test was started for the first time",
    expect.stringMatching(/^backup: shop was backed up: shop_\d+/),
    expect.stringMatching(/^switchover: pg2 is the primary now, after pg1; writes paused \d+ ms$/),
    expect.stringMatching(/^switchover: switchover did not succeed: .*pg2/),
  ]);
  expect(events.map(({ by, text }) => `${by}: ${text}`)).toContainEqual(
    expect.stringMatching(/^agent: pg1 \(replica\) was restarted: it was silent for /),
  );
  const printed = await cluster.run(["events", "--since", "1h"]);
  expect(printed.stdout).toMatch(
    /Z {2}switchover +pg2 is the primary now, after pg1; writes paused \d+ ms {2}\(/,
  );
  await waitFor("the page to know", async () => {
    const { events: onPage, recovery, databases } = await shown();
    return (
      onPage.some(({ kind, node }) => kind === "switchover" && node === "pg2") &&
      recovery.sentence.startsWith("Last backup just now, never proven by restoring") &&
      recovery.backups.some(({ database }) => database === "shop") &&
      databases.some(({ last_backup_at }) => last_backup_at !== null)
    );
  });
  await cluster.run(["switchover"]);
  await cluster.healthy();
});

test("samples outlive the agent, also when it is killed while it writes one", async () => {
  const sampleSchema = z.object({ at: z.string(), connections: z.number().nullable() });
  const samples = async () => sampleSchema.array().parse((await principal.ask("/api/samples")).json());
  await waitFor(
    "a sample with connections",
    async () => (await samples()).some(({ connections }) => (connections ?? 0) > 0),
    {
      timeout: 60_000,
    },
  );
  const before = await samples();
  const killed = cluster.agent();
  process.kill(killed, "SIGKILL");
  await waitFor("the agent to be gone", () => !isAlive(killed));
  const file = join(cluster.stateDir, "samples.jsonl");
  appendFileSync(file, readFileSync(file, "utf8").slice(0, 40));
  await cluster.up();
  await cluster.healthy();
  const after = await samples();
  expect(after.slice(0, before.length)).toEqual(before);
  await waitFor("the next sample", async () => (await samples()).length > before.length, { timeout: 60_000 });
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  expect(lines).toHaveLength((await samples()).length + 1);
  expect(() => JSON.parse(lines.at(-1) ?? "")).not.toThrow();
});

test("while nobody looks, the console has no session on the primary", async () => {
  const session = await connect({
    port: cluster.ports.nodes[0] ?? 0,
    user: "postgres",
    password: cluster.password("postgres"),
  });
  const sessions = async (): Promise<number> =>
    Number(
      await session.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'odoo-pg console'"),
    );
  await waitFor("the session to end", async () => (await sessions()) === 0, { timeout: 40_000 });
  await shown();
  // One that the agent has begun with may still be there.
  await waitFor("one session", async () => (await sessions()) === 1);
  await waitFor("the session to end", async () => (await sessions()) === 0, { timeout: 40_000 });
});
