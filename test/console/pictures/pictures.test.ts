import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { httpReceiver } from "../../support/http-receiver.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { freePort } from "../../support/ports.ts";
import { smtpServer } from "../../support/smtp-server.ts";
import { waitFor } from "../../support/wait.ts";
import { hostsStatusSchema } from "../../../src/hosts/documents/report.ts";
import { shownHost } from "../../hosts/standins.ts";
import { hosts, three } from "../browser/hosts.ts";

// The pictures of the documents: `npm run pictures` puts them into docs/pictures. What they show is tested elsewhere.

const WINDOW = { width: 1100, height: 820 };

let browser: Browser;
let cluster: ThrowawayCluster;

async function run(...command: readonly string[]): Promise<void> {
  const done = await cluster.run(command, { timeout: 120_000 });
  expect([command, done.exitCode, done.stderr]).toEqual([command, 0, expect.any(String)]);
}

beforeAll(async () => {
  browser = await startBrowser();
  cluster = await throwawayCluster();
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore);
  cluster.configure({
    cluster: "prod",
    console: { enabled: true, port: await freePort() },
    odoo: { filestore },
    backup: {
      enabled: true,
      dir: join(cluster.folder, "backups"),
      any_second: { enabled: true, drill_schedule: "off" },
    },
  });
  await cluster.up();
  for (const database of ["sales", "shop"])
    await makeOdooDatabase({ superuser: cluster.superuser(), database, filestore });
  await run("backup", "create", "--all");
  await run("backup", "restore-check");
  await waitFor("the window to begin", async () => (await cluster.status()).window?.from !== null);
  await run("backup", "verify", "--any-second");
  await cluster.healthy();
});

async function signedIn() {
  const { link } = z.object({ link: z.string() }).parse(await cluster.json(["console"]));
  const seen = await openPage(browser, WINDOW);
  await seen.page.goto(link);
  await seen.page.locator(".live.on").waitFor();
  return seen;
}

test("the overview", async () => {
  const { page } = await signedIn();
  await page.locator(".databases tbody th", { hasText: "sales" }).waitFor();
  await page.getByText(/^Proven/).waitFor();
  await expect.poll(() => page.locator("h1").textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  await keepPicture(page, "docs-console", false);
});

test("the dialog of a restore, with a second of the window", async () => {
  const { page } = await signedIn();
  await page.getByRole("link", { name: "Backups" }).click();
  await page.locator(".view .rows li", { hasText: "restored and compared" }).first().waitFor();
  await page.getByRole("button", { name: "Restore …" }).first().click();
  await page.getByLabel("When was it still right?").fill(new Date().toISOString().slice(0, 19));
  await page.getByText("The database of that very second").waitFor();
  await keepPicture(page, "docs-restore", false);
});

test("what statements took, and the plan of one", async () => {
  const odoo = await cluster.session("write", "odoo", "sales");
  for (let count = 0; count < 400; count += 1)
    await odoo.rows("SELECT id, name FROM res_partner WHERE name ILIKE $1 ORDER BY name LIMIT 80", ["%a%"]);
  for (let count = 0; count < 60; count += 1)
    await odoo.rows("UPDATE res_partner SET name = name WHERE id = $1", [1 + (count % 20)]);
  await odoo.close();
  const { page } = await signedIn();
  await page.getByRole("link", { name: "Statements" }).click();
  const row = page.locator(".view tbody tr", { hasText: "ILIKE" }).first();
  await row.getByRole("link", { name: /^Plan of statement/ }).click();
  await page.getByRole("group", { name: "The plan" }).getByText("Scan").first().waitFor();
  await keepPicture(page, "docs-statements", false);
});

test("alarms that are set up", async () => {
  const receiver = await httpReceiver();
  const mail = await smtpServer({ security: "none" });
  const secret = `${receiver.address}/slack`;
  const set = await cluster.run(["alarms", "set", "slack"], { input: secret });
  expect([set.exitCode, set.stderr]).toEqual([0, expect.any(String)]);
  const server = ["--host=127.0.0.1", `--port=${mail.port}`, "--security=none"];
  await run("alarms", "set", "mail", ...server, "--from=db@example.com", "--to=admin@example.com");
  await cluster.up();
  const { page } = await signedIn();
  await page.getByRole("link", { name: "Alarms" }).click();
  await page.locator("tbody tr", { hasText: "mail" }).getByText("yes").waitFor();
  await keepPicture(page, "docs-alarms", false);
});

test("one of several hosts", async () => {
  const { link } = await hosts(
    hostsStatusSchema.parse({
      ...three,
      failover: { ready: true, obstacles: [], away: [] },
      hosts: [1, 2, 3].map((number) => {
        const state = number === 1 ? "primary" : "replica";
        const postgres = { state, streaming: true, timeline: 3, lag_bytes: 0, version: "17.4" };
        return { ...shownHost(`db${number}`, { postgres }), address: `10.0.0.1${number}` };
      }),
    }),
  );
  const { page } = await openPage(browser, WINDOW);
  await page.goto(link());
  await page.getByText("From here").waitFor();
  await keepPicture(page, "docs-hosts", false);
});

test("status on a terminal", async () => {
  const { stdout } = await cluster.run(["status"]);
  const { page } = await openPage(browser, { width: 860, height: 100 });
  await page.setContent(
    `<style>body{margin:0;padding:20px 24px;background:#12171c;color:#e3e8ed}pre{margin:0;font:14px/1.5 "DejaVu Sans Mono","Liberation Mono",monospace;white-space:pre-wrap}</style><pre></pre>`,
  );
  await page.evaluate(`document.querySelector("pre").textContent = ${JSON.stringify(stdout.trimEnd())}`);
  expect(await page.locator("pre").textContent()).toContain("pg2");
  await keepPicture(page, "docs-status");
});
