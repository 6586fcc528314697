import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { freePort } from "../../support/ports.ts";
import { smtpServer } from "../../support/smtp-server.ts";
import { waitFor } from "../../support/wait.ts";
import { hostsStatusSchema } from "../../../src/hosts/documents/report.ts";
import { shownHost } from "../../hosts/standins.ts";
import { hosts, three } from "../browser/hosts.ts";

// The pictures of the documents: `npm run pictures` puts them into docs/pictures. What they show is tested elsewhere.

const WIDTH = 1100;

let browser: Browser;
let cluster: ThrowawayCluster;

async function run(...command: readonly string[]): Promise<void> {
  const done = await cluster.run(command, { timeout: 120_000 });
  expect([command, done.exitCode, done.exitCode === 0 ? "" : done.stderr]).toEqual([command, 0, ""]);
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
    await makeOdooDatabase({ superuser: cluster.superuser(), database, filestore, partners: 400 });
  // While its first base backup is made, others wait.
  await waitFor("the window to begin", async () => (await cluster.status()).window?.from !== null);
  await run("backup", "create", "--all");
  await run("backup", "restore-check");
  const session = await cluster.onPrimary();
  await session.rows("SELECT pg_switch_wal()");
  await session.close();
  await waitFor("a second to be in the window", async () => {
    const { window } = await cluster.status();
    return (window?.from ?? "") < (window?.to ?? "");
  });
  await run("backup", "verify", "--any-second");
  await cluster.healthy();
});

/** @param height of the window: as much of the page as says what it is there for */
async function signedIn(height: number) {
  const { link } = z.object({ link: z.string() }).parse(await cluster.json(["console"]));
  const seen = await openPage(browser, { width: WIDTH, height });
  await seen.page.goto(link);
  await seen.page.locator(".live.on").waitFor();
  return seen;
}

test("the overview", async () => {
  const { page } = await signedIn(1060);
  await page.locator(".databases tbody th", { hasText: "sales" }).waitFor();
  await page.getByText(/^Proven/).waitFor();
  await expect.poll(() => page.locator("h1").textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  await keepPicture(page, "docs-console", false);
});

test("the dialog of a restore, with a second of the window", async () => {
  const { page } = await signedIn(760);
  await page.getByRole("link", { name: "Backups" }).click();
  await page.locator(".view .rows li", { hasText: "restored and compared" }).first().waitFor();
  await page.getByRole("button", { name: "Restore …" }).first().click();
  await page.getByLabel("When was it still right?").fill(new Date().toISOString().slice(0, 19));
  await page.getByText("The database of that very second").waitFor();
  await page.getByLabel("Name of the new database").focus();
  await keepPicture(page, "docs-restore", false);
});

test("what statements took, and the plan of one", async () => {
  const odoo = await cluster.session("write", "odoo", "sales");
  const alike = `SELECT p.id, p.name FROM res_partner p JOIN res_partner q ON q.name ILIKE '%' || p.name || '%'
    WHERE p.parent_id IS NULL ORDER BY p.name LIMIT $1`;
  for (let count = 0; count < 40; count += 1) await odoo.rows(alike, [80]);
  for (let count = 0; count < 60; count += 1)
    await odoo.rows("UPDATE res_partner SET name = name WHERE id = $1", [1 + (count % 20)]);
  await odoo.close();
  const { page } = await signedIn(820);
  await page.getByRole("link", { name: "Statements" }).click();
  const row = page.locator(".view tbody tr", { hasText: "ILIKE" }).first();
  await row.getByRole("link", { name: /^Plan of statement/ }).click();
  await page.getByRole("group", { name: "The plan" }).getByText("Scan").first().waitFor();
  await keepPicture(page, "docs-statements", false);
});

test("alarms that are set up", async () => {
  const mail = await smtpServer({ security: "none" });
  const server = ["--host=127.0.0.1", `--port=${mail.port}`, "--security=none"];
  await run("alarms", "set", "mail", ...server, "--from=db@example.com", "--to=admin@example.com");
  await cluster.up();
  const { page } = await signedIn(560);
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
  const { page } = await openPage(browser, { width: WIDTH, height: 820 });
  await page.goto(link());
  await page.getByText("From here").waitFor();
  await keepPicture(page, "docs-hosts", false);
});

test("status on a terminal", async () => {
  const { stdout } = await cluster.run(["status"]);
  const { page } = await openPage(browser, { width: 940, height: 100 });
  await page.setContent(
    `<style>body{margin:0;padding:20px 24px;background:#12171c;color:#e3e8ed}pre{margin:0;font:14px/1.5 "DejaVu Sans Mono","Liberation Mono",monospace;white-space:pre-wrap}</style><pre></pre>`,
  );
  await page.evaluate(`document.querySelector("pre").textContent = ${JSON.stringify(stdout.trimEnd())}`);
  expect(await page.locator("pre").textContent()).toContain("pg2");
  await keepPicture(page, "docs-status");
});
