import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { backupStatusSchema, runReportSchema } from "../../src/model/backups/backup-report.ts";
import type { Credentials } from "../../src/system/sql/sql.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase, type OdooDatabase } from "../support/odoo-database.ts";
import { runProgram } from "../support/program.ts";
import { isAlive } from "../support/processes.ts";
import { atEnd } from "../support/scope.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;
let odoo: OdooDatabase;
let superuser: Credentials;
let dir: string;

beforeAll(async () => {
  cluster = await throwawayCluster({ nodes: 1 });
  dir = join(cluster.folder, "backups");
  cluster.configure({ backup: { dir }, odoo: { filestore: join(cluster.folder, "filestore") } });
  await cluster.up();
  superuser = cluster.superuser();
  odoo = await makeOdooDatabase({
    superuser,
    database: "shop",
    filestore: join(cluster.folder, "filestore"),
  });
});

const listSchema = z.object({
  version: z.literal(1),
  backups: z
    .object({
      id: z.string(),
      database: z.string(),
      finished_at: z.iso.datetime(),
      size_bytes: z.number(),
      verified_at: z.iso.datetime().nullable(),
    })
    .array(),
});

async function list() {
  return listSchema.parse(await cluster.json(["backup", "list"])).backups;
}

function status() {
  return backupStatusSchema.parse(
    JSON.parse(readFileSync(join(cluster.stateDir, "backup-status.json"), "utf8")),
  );
}

/** Until pg_dump waits for the sequence that somebody has locked. */
async function dumpWaits(): Promise<void> {
  await waitFor("the dump to wait", async () => {
    const looking = await cluster.session("pg1");
    const rows = await looking.rows(
      "SELECT FROM pg_stat_activity WHERE application_name = 'odoo-pg backup' AND query LIKE '%res_partner_id_seq%' AND wait_event_type = 'Lock'",
    );
    await looking.close();
    return rows.length > 0;
  });
}

describe("backup commands", () => {
  test("create, list, show, verify, prove and prune, without the agent too", async () => {
    const created = runReportSchema.parse(await cluster.json(["backup", "create", "--all"]));
    expect(created.databases.map(({ database, outcome }) => [database, outcome])).toEqual([["shop", "ok"]]);
    expect(status()).toMatchObject({ databases: 1, without_backup: [], backups: 1 });
    process.kill(cluster.agent(), "SIGKILL");
    const again = await cluster.run(["backup", "create", "shop"]);
    expect(again.exitCode).toBe(0);
    const backups = await list();
    expect(backups.map(({ database, verified_at }) => [database, verified_at])).toEqual([
      ["shop", null],
      ["shop", null],
    ]);
    expect((backups[0]?.finished_at ?? "") < (backups[1]?.finished_at ?? "")).toBe(true);
    const id = backups[1]?.id ?? "";
    expect((await cluster.run(["backup", "show", id])).stdout).toMatch(/attachments +20, /);
    const verified = await cluster.run(["backup", "verify", id]);
    expect([verified.exitCode, verified.stdout]).toEqual([0, `${id}  all checksums match\n`]);
    const proven = await cluster.run(["backup", "verify", "--restore", id]);
    expect(proven.stdout).toMatch(/restored and compared: the same/);
    expect((await list())[1]?.verified_at).not.toBeNull();
    expect(await cluster.json(["backup", "prune", "--dry-run"])).toMatchObject({
      removed: [],
      pool_files: 0,
    });
    await cluster.up();
    const seen = await cluster.status();
    expect(seen.backups).toMatchObject({ databases: 1, last_drill_ok: true });
    expect((await cluster.run(["status"])).stdout).toMatch(/Backups .* 1 database .* proven by a restore/);
  });

  test.each([
    [["backup", "create"], 2, "Which databases"],
    [["backup", "create", "--all", "shop"], 2, "cannot be used together"],
    [["backup", "create", "nowhere"], 2, 'no database "nowhere"'],
    [["backup", "show", "../../etc"], 2, "There is no file or folder"],
    [["backup", "verify", "shop_20000101_0000"], 2, "no backup"],
  ])("odoo-pg %j ends with %i", async (args, exitCode, words) => {
    const ran = await cluster.run(args);
    expect([ran.exitCode, ran.stderr]).toEqual([exitCode, expect.stringContaining(words)]);
  });

  test("an Odoo database without its filestore fails, or is listed as such", async () => {
    const filestore = join(cluster.folder, "filestore");
    const away = `${filestore}.away`;
    renameSync(filestore, away);
    const failed = await cluster.run(["backup", "create", "shop"]);
    expect([failed.exitCode, failed.stdout, failed.stderr]).toEqual([
      1,
      expect.stringContaining("FAILED: The directory of Odoo's filestores"),
      expect.stringMatching(/ {2}Safe: .*\n {2}Next: Mount its disk/),
    ]);
    expect(status().last_run).toMatchObject({ ok: false });
    renameSync(away, filestore);
    await makeOdooDatabase({ superuser, database: "elsewhere", filestore: away });
    const without = await cluster.run(["backup", "create", "elsewhere"]);
    expect([without.exitCode, without.stderr]).toEqual([
      0,
      expect.stringContaining("it has no folder in the filestore"),
    ]);
    expect((await cluster.run(["backup", "list", "--database", "elsewhere"])).stdout).toMatch(
      / without attachments\n$/,
    );
    expect(status().last_run?.databases).toMatchObject([{ filestore_missing: true }]);
    expect((await cluster.run(["db", "drop", "elsewhere", "--confirm", "elsewhere"])).exitCode).toBe(0);
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
  });

  test("a backup that is damaged makes verify fail, and says what is wrong", async () => {
    await cluster.run(["backup", "create", "shop"]);
    const id = (await list()).at(-1)?.id ?? "";
    rmSync(join(dir, `${id}.dump`, "toc.dat"));
    const ran = await cluster.run(["backup", "verify", id]);
    expect([ran.exitCode, ran.stdout]).toEqual([1, `${id}  DAMAGED\n  toc.dat is missing\n`]);
    rmSync(join(dir, `${id}.dump`), { recursive: true });
  });

  test("kill -9 of odoo-pg leaves nothing that is taken for a backup, and the next run clears it away", async () => {
    const before = await list();
    const holder = await cluster.session("pg1", "postgres", "shop");
    await holder.rows("BEGIN");
    await holder.rows("ALTER SEQUENCE res_partner_id_seq RENAME TO renamed");
    const running = cluster.start(["backup", "create", "shop"]);
    await dumpWaits();
    running.signal("SIGKILL");
    await running.ended;
    await holder.close();
    expect(readdirSync(dir).some((name) => name.endsWith(".in_progress"))).toBe(true);
    expect(await list()).toEqual(before);
    const next = await cluster.run(["backup", "create", "shop"]);
    expect(next.exitCode).toBe(0);
    expect(readdirSync(dir).filter((name) => !/^filestore$|\.dump$/.test(name))).toEqual([]);
    expect((await cluster.run(["backup", "verify", "--all"])).exitCode).toBe(0);
  });

  test("Ctrl-C ends it in order: nothing half made is left, and it says so", async () => {
    const before = await list();
    const holder = await cluster.session("pg1", "postgres", "shop");
    await holder.rows("BEGIN");
    await holder.rows("ALTER SEQUENCE res_partner_id_seq RENAME TO renamed");
    const running = cluster.start(["backup", "create", "shop"]);
    await waitFor("the dump to begin", () => running.stderr().includes("dump"));
    running.signal("SIGINT");
    const ran = await running.ended;
    await holder.close();
    expect([ran.exitCode, ran.stderr]).toEqual([130, expect.stringContaining("Error (interrupted)")]);
    expect(await list()).toEqual(before);
    expect(readdirSync(dir).filter((name) => !/^filestore$|\.dump$/.test(name))).toEqual([]);
  });

  test("a record that cannot be written makes no good backup a failed one", async () => {
    process.kill(cluster.agent(), "SIGKILL");
    const record = join(cluster.stateDir, "backup-status.json");
    const before = readFileSync(record, "utf8");
    const told = join(cluster.folder, "unwritten");
    cluster.configure({
      backup: { dir, on_failure: ["tee", told] },
      odoo: { filestore: join(cluster.folder, "filestore") },
    });
    rmSync(record);
    // What cannot be replaced by a file.
    mkdirSync(join(record, "in the way"), { recursive: true });
    const ran = await cluster.run(["backup", "create", "--all"]);
    rmSync(record, { recursive: true });
    writeFileSync(record, before);
    expect([ran.exitCode, ran.stdout, ran.stderr]).toEqual([
      0,
      expect.stringMatching(/^shop {2}shop_/m),
      expect.stringContaining("Warning: status does not know of this run"),
    ]);
    expect(existsSync(told)).toBe(false);
    cluster.configure({ backup: { dir }, odoo: { filestore: join(cluster.folder, "filestore") } });
    await cluster.up();
  });

  test("a prune by hand ends what is told of one that was skipped", async () => {
    const record = join(cluster.stateDir, "backup-status.json");
    const since = "2026-01-01T03:00:00.000Z";
    writeFileSync(record, JSON.stringify({ ...status(), backups: 99, rotation_skipped_since: since }));
    expect((await cluster.run(["backup", "list"])).stderr).toContain(`Not removed since ${since}`);
    expect((await cluster.run(["backup", "prune", "--dry-run"])).exitCode).toBe(0);
    expect(status().rotation_skipped_since).toBe(since);
    expect((await cluster.run(["backup", "prune"])).exitCode).toBe(0);
    expect(status()).toMatchObject({ backups: (await list()).length });
    expect(status().rotation_skipped_since).toBeUndefined();
    expect((await cluster.run(["backup", "list"])).stderr).not.toContain("Not removed since");
  });

  test("hooks get what happened as JSON: on success, on failure, and by a webhook", async () => {
    const posted: unknown[] = [];
    const server = createServer((request, response) => {
      let text = "";
      request.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
      request.on("end", () => {
        posted.push(JSON.parse(text));
        response.end();
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    atEnd(() => void server.close());
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    const webhook = join(cluster.folder, "webhook");
    writeFileSync(webhook, `http://127.0.0.1:${address.port}/secret-token\n`, { mode: 0o600 });
    const told = join(cluster.folder, "told");
    cluster.configure({
      backup: {
        dir,
        on_success: ["tee", `${told}.success`],
        on_failure: ["tee", `${told}.failure`],
        webhook_file: webhook,
      },
      odoo: { filestore: join(cluster.folder, "filestore") },
    });
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(0);
    expect(runReportSchema.parse(JSON.parse(readFileSync(`${told}.success`, "utf8"))).ok).toBe(true);
    expect(existsSync(`${told}.failure`)).toBe(false);
    // A file where the folder of the pool should be.
    const place = join(cluster.folder, "broken");
    mkdirSync(place);
    writeFileSync(join(place, "filestore"), "");
    cluster.configure({
      backup: { dir: place, on_failure: ["tee", `${told}.failure`], webhook_file: webhook },
      odoo: { filestore: join(cluster.folder, "filestore") },
    });
    expect((await cluster.run(["backup", "create", "shop"])).exitCode).toBe(1);
    // Commands run in this process: the list of attachments that was begun is not left open.
    const held = existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd") : [];
    const files = held.map((fd) => {
      try {
        return readlinkSync(join("/proc/self/fd", fd));
      } catch {
        return "";
      }
    });
    expect(files.filter((file) => file.startsWith(place))).toEqual([]);
    expect(runReportSchema.parse(JSON.parse(readFileSync(`${told}.failure`, "utf8"))).ok).toBe(false);
    expect(
      runReportSchema
        .array()
        .parse(posted)
        .map(({ ok }) => ok),
    ).toEqual([true, false]);
    writeFileSync(webhook, "http://127.0.0.1:1/secret-token\n");
    const unheard = await cluster.run(["backup", "create", "shop"]);
    expect(unheard.stderr).toMatch(/Warning: backup\.webhook_file: the address does not answer/);
    expect(unheard.stderr + unheard.stdout).not.toContain("secret-token");
    cluster.configure({ backup: { dir }, odoo: { filestore: join(cluster.folder, "filestore") } });
  });

  test("BACKUP_ONLY_FILTER keeps to names that contain it", async () => {
    const report = runReportSchema.parse(
      await cluster.json(["backup", "create", "--all"], { env: { BACKUP_ONLY_FILTER: "nothing" } }),
    );
    expect(report).toMatchObject({ ok: true, databases: [] });
  });
});

/** Given to the hook of what the agent begins. */
let scheduled: string;

/** Notes that the last run and the last drill were long ago, and that nothing was proven since. */
function makeDue(): void {
  const { drills_begun_at: _, proofs: __, ...record } = status();
  const at = "2020-01-01T00:00:00.000Z";
  for (const run of [record.last_run, record.last_drill])
    if (run) Object.assign(run, { started_at: at, finished_at: at });
  for (const name of readdirSync(dir)) rmSync(join(dir, name, "checks.json"), { force: true });
  writeFileSync(join(cluster.stateDir, "backup-status.json"), JSON.stringify(record));
}

test("the agent backs up what is due, and makes up for what was missed; BACKUPS=false turns that off", async () => {
  const before = (await list()).length;
  scheduled = join(cluster.folder, "scheduled");
  await cluster.down();
  makeDue();
  cluster.configure({
    backup: {
      dir,
      enabled: true,
      schedule: "daily",
      drill_schedule: "daily",
      on_success: ["tee", scheduled],
    },
    odoo: { filestore: join(cluster.folder, "filestore") },
  });
  await cluster.up({ env: { BACKUPS: "false" } });
  await cluster.up();
  await waitFor("the agent's backup and drill", () => {
    const { last_run, last_drill } = status();
    return (last_run?.started_at ?? "") > "2021" && (last_drill?.started_at ?? "") > "2021";
  });
  expect(status()).toMatchObject({ last_run: { ok: true }, last_drill: { ok: true } });
  const backups = await list();
  expect(backups.length).toBeGreaterThan(before);
  expect(readFileSync(join(cluster.stateDir, "agent.log"), "utf8").match(/backup is due/g)).toHaveLength(1);
  expect(readFileSync(join(cluster.stateDir, "pg_backup.log"), "utf8")).toMatch(/backup of shop: ok shop_/);
  expect(odoo.files.length).toBe(20);
});

test("a scheduled drill leaves alone what was proven a short while ago, and tells no hook of that", async () => {
  const before = status();
  expect(existsSync(scheduled)).toBe(true);
  rmSync(scheduled);
  const args = ["scheduled-backup", "--state-dir", cluster.stateDir, "--kind", "drill"];
  expect((await runProgram(args, { home: cluster.folder })).exitCode).toBe(0);
  expect(existsSync(scheduled)).toBe(false);
  const { drills_begun_at, last_drill, proofs } = status();
  expect([last_drill, proofs]).toEqual([before.last_drill, before.proofs]);
  expect((drills_begun_at ?? "") > (before.drills_begun_at ?? "9")).toBe(true);
});

test("kill -9 of the agent does not end the backup that it began", async () => {
  await cluster.down();
  makeDue();
  await cluster.up({ env: { BACKUPS: "false" } });
  const holder = await cluster.session("pg1", "postgres", "shop");
  await holder.rows("BEGIN");
  await holder.rows("ALTER SEQUENCE res_partner_id_seq RENAME TO renamed");
  await cluster.up();
  await dumpWaits();
  const agent = cluster.agent();
  process.kill(agent, "SIGKILL");
  await waitFor("the agent to be gone", () => !isAlive(agent));
  await holder.close();
  await waitFor("the backup and the drill to end", () => {
    const { last_run, last_drill } = status();
    return (last_run?.started_at ?? "") > "2021" && (last_drill?.started_at ?? "") > "2021";
  });
  expect(status().last_run).toMatchObject({ ok: true, databases: [{ database: "shop", outcome: "ok" }] });
  await cluster.up();
  await cluster.healthy();
});
