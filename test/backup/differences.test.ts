import { readFileSync, writeFileSync, existsSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { messageSchema } from "../../src/alarms/message.ts";
import { contentsSchema, objectsIn } from "../../src/backup/contents/contents.ts";
import { runReportSchema } from "../../src/model/backups/backup-report.ts";
import { examine } from "../advice/following.ts";
import { Principal } from "../console/visitor.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { httpReceiver, type HttpReceiver } from "../support/http-receiver.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { freePort } from "../support/ports.ts";
import type { Ran } from "../support/program.ts";
import { runOrFail } from "../../src/system/process/process.ts";
import { waitFor } from "../support/wait.ts";

let cluster: ThrowawayCluster;
let alarms: HttpReceiver;
let webhook: HttpReceiver;
let id: string;
let folder: string;
let console: string;
/** Objects that the backup promises. */
let promised: number;
/** What contents.json was. */
let whole: string;
let proven: Ran;

/** More lines than a pipe takes at once. */
const MISSING = 1000;
/** In the differences that are not the first. */
const REST = "promised_1";

/** One line that counts the differences, names the first, and has room for no other. */
function expectOneLine(text: string | null | undefined): void {
  const [, all] =
    /1,001 of (1,\d{3}) objects differ, first: index public\.promised_0 is missing\./.exec(text ?? "") ?? [];
  expect(all, text ?? "nothing").toBe(promised.toLocaleString("en-US"));
  expect(text).not.toContain(REST);
  expect(text).not.toContain("\n");
  expect(text?.length).toBeLessThan(500);
}

/** Writes contents.json anew, with the checksum that fits. */
async function promise(text: string): Promise<void> {
  writeFileSync(join(folder, "contents.json"), text);
  const sums = join(folder, "SHA256SUMS");
  const { stdout } = await runOrFail("sha256sum", ["contents.json"], { cwd: folder });
  writeFileSync(
    sums,
    readFileSync(sums, "utf8").replace(/.{64} {2}contents\.json\n/, `${stdout.trimEnd()}\n`),
  );
}

beforeAll(async () => {
  const port = await freePort();
  console = `http://127.0.0.1:${port}`;
  cluster = await throwawayCluster({ nodes: 1 });
  [alarms, webhook] = [await httpReceiver(), await httpReceiver()];
  const secret = (name: string, text: string): string => {
    writeFileSync(join(cluster.folder, name), `${text}\n`, { mode: 0o600 });
    return join(cluster.folder, name);
  };
  const dir = join(cluster.folder, "backups");
  cluster.configure({
    backup: {
      dir,
      // On, but at no time at which a test may run.
      enabled: true,
      schedule: "0 0 1 1 *",
      drill_schedule: "0 0 1 1 *",
      on_failure: ["tee", join(cluster.folder, "hook")],
      webhook_file: secret("backup-webhook", `${webhook.address}/backups`),
    },
    odoo: { filestore: join(cluster.folder, "filestore") },
    console: { enabled: true, port },
    alarms: { webhook_file: secret("alarm-webhook", `${alarms.address}/alarms`) },
  });
  await cluster.up();
  await makeOdooDatabase({
    superuser: cluster.superuser(),
    database: "shop",
    filestore: join(cluster.folder, "filestore"),
  });
  const made = runReportSchema.parse(await cluster.json(["backup", "create", "shop"]));
  id = made.databases[0]?.id ?? "";
  folder = join(dir, `${id}.dump`);
  whole = readFileSync(join(folder, "contents.json"), "utf8");
  const contents = contentsSchema.parse(JSON.parse(whole));
  const [first] = contents.indexes;
  if (!first) throw new Error("the database has no index");
  first.definition = "not\nwhat it was ".repeat(200);
  for (let number = 0; number < MISSING; number += 1)
    contents.indexes.push({ ...first, name: `promised_${number}` });
  promised = objectsIn(contents);
  await promise(JSON.stringify(contents));
  proven = await cluster.run(["backup", "restore-check"]);
});

describe("a backup that comes back with many differences", () => {
  test("restore-check says so in one line, shows the first of them, and where all are", () => {
    expect(proven.exitCode).toBe(1);
    expectOneLine(proven.stdout.trimEnd());
    const lines = proven.stderr.split("\n");
    const shown = lines.filter((line) => line.startsWith("  - "));
    expect(shown).toHaveLength(21);
    expect(shown.at(-1)).toBe("  - … and 981 more");
    expect(lines).toContainEqual(
      expect.stringMatching(`^  Next: odoo-pg backup show ${id} --differences --config `),
    );
  });

  test("show --differences has all of them, as the file beside the backup, which is part of it", async () => {
    const { stdout, exitCode } = await cluster.run(["backup", "show", id, "--differences"]);
    expect([exitCode, stdout]).toEqual([0, readFileSync(join(folder, "differences.txt"), "utf8")]);
    const lines = stdout.trimEnd().split("\n");
    expect(lines).toHaveLength(MISSING + 1);
    expect(lines[0]).toBe("index public.promised_0 is missing");
    expect(lines.at(-1)).toMatch(/^index public\.\w+ is: CREATE INDEX .*, not: not what it was not/);
    expect(await cluster.json(["backup", "show", id, "--differences"])).toMatchObject({
      id,
      drilled_at: null,
      differences: lines,
    });
  });

  test("the list of backups and what a backup says of itself have one line", async () => {
    const [, ...listed] = (await cluster.run(["backup", "list"])).stdout.trimEnd().split("\n");
    expectOneLine(listed.join("\n"));
    const shown = (await cluster.run(["backup", "show", id])).stdout.split("\n");
    expectOneLine(shown.find((line) => line.startsWith("problem ")));
    const { backups } = z
      .object({ backups: z.object({ problems: z.string().array() }).array() })
      .parse(await cluster.json(["backup", "list"]));
    expect(backups[0]?.problems).toHaveLength(1);
    expectOneLine(backups[0]?.problems[0]);
  });

  test("status has one line, as text and as JSON", async () => {
    const { warnings } = await cluster.status();
    expectOneLine(warnings.find(({ code }) => code === "drill_failed")?.message);
    const { stdout } = await cluster.run(["status"]);
    // As wide as the terminal.
    expectOneLine(/A backup could not be proven.*? is missing\./.exec(stdout.replaceAll(/\s+/g, " "))?.[0]);
    expect(stdout).not.toContain(REST);
  });

  test("doctor has one line", async () => {
    const { findings } = await examine(cluster);
    expectOneLine(findings.find(({ code }) => code === "drill_failed")?.message);
  });

  test("the console has one line in its verdict, and none of them elsewhere", async () => {
    const visitor = new Principal(console);
    const password = readFileSync(join(cluster.stateDir, "secrets", "console_viewer.password"), "utf8");
    await visitor.signIn("viewer", password.trimEnd());
    const document = z.object({
      status: z.object({ warnings: z.object({ code: z.string(), message: z.string() }).array() }).nullable(),
    });
    let text = "";
    await waitFor("the console to know of it", async () => {
      ({ text } = await visitor.ask("/api/document"));
      return text.includes("drill_failed");
    });
    const { status } = document.parse(JSON.parse(text));
    expectOneLine(status?.warnings.find(({ code }) => code === "drill_failed")?.message);
    expect(text).not.toContain(REST);
  });

  test("the event has one line", async () => {
    const { stdout } = await cluster.run(["events"]);
    expectOneLine(stdout.split("\n").find((line) => line.includes("drill")));
    expect(stdout).not.toContain(REST);
  });

  test("the hook and the webhook of backups get one line", () => {
    const texts = [
      readFileSync(join(cluster.folder, "hook"), "utf8"),
      ...webhook.received.map(({ body }) => body),
    ];
    const reports = texts
      .map((text) => runReportSchema.parse(JSON.parse(text)))
      .filter(({ kind }) => kind === "drill");
    expect(reports).toHaveLength(2);
    for (const { databases } of reports) expectOneLine(databases[0]?.error);
    expect(texts.join("")).not.toContain(REST);
  });

  test("the alarm has one line", async () => {
    await waitFor("the alarm", () => alarms.received.length > 0, { timeout: 60_000 });
    const told = alarms.received.map(({ body }) => messageSchema.parse(JSON.parse(body)));
    expectOneLine(told.find(({ rule }) => rule === "drill_failed")?.text);
    expect(JSON.stringify(told)).not.toContain(REST);
    expectOneLine(
      readFileSync(join(cluster.stateDir, "agent.log"), "utf8")
        .split("\n")
        .find((line) => line.includes("drill_failed")),
    );
  });

  test("no label of a metric holds any of it", async () => {
    const metrics = await (await fetch(`${console}/metrics`)).text();
    expect(metrics).toContain("odoo_pg_database_drill_ok");
    expect(metrics).not.toMatch(/objects differ|promised/);
  });

  test("the log of the backups has all of it", () => {
    const log = readFileSync(join(cluster.stateDir, "pg_backup.log"), "utf8");
    expect(log).toContain(`promised_${MISSING - 1} is missing`);
  });

  test("a restore says so in one line, shows the first, and keeps all in a file", async () => {
    const ran = await cluster.run(["restore", id, "--as", "again"]);
    const lines = ran.stderr.split("\n");
    expectOneLine(lines.find((line) => line.startsWith("Error (restore_failed)")));
    expect(lines.filter((line) => line.startsWith("  - "))).toHaveLength(21);
    const file = /^ {2}Next: Read them all in (\S+)/m.exec(ran.stderr)?.[1] ?? "";
    expect(readFileSync(file, "utf8").trimEnd().split("\n")).toHaveLength(MISSING + 1);
    expect(lines).toContainEqual(expect.stringMatching(/^ {2}Safe: .* nothing that existed was changed/));
  });

  test("as soon as it is proven nothing of that is left", async () => {
    await promise(whole);
    const none = await cluster.run(["backup", "restore-check", id]);
    expect([none.exitCode, none.stdout]).toEqual([0, expect.stringContaining("the same")]);
    expect(existsSync(join(folder, "differences.txt"))).toBe(false);
    const shown = await cluster.run(["backup", "show", id, "--differences"]);
    expect([shown.exitCode, shown.stdout, shown.stderr]).toEqual([
      0,
      "",
      expect.stringMatching(/^There is no difference: it was restored and compared at 20/),
    ]);
    expect((await cluster.status()).warnings.map(({ code }) => code)).not.toContain("drill_failed");
  });
});
