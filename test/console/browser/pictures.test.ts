import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { freePort } from "../../support/ports.ts";

// The pictures of the documents: `npm run pictures` puts them into docs/pictures.

let browser: Browser;
let cluster: ThrowawayCluster;

beforeAll(async () => {
  browser = await startBrowser();
  cluster = await throwawayCluster();
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore);
  cluster.configure({
    cluster: "prod",
    console: { enabled: true, port: await freePort() },
    odoo: { filestore },
    backup: { enabled: true, dir: join(cluster.folder, "backups") },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "sales", filestore });
  await cluster.healthy();
  for (const command of [
    ["backup", "create", "--all"],
    ["backup", "restore-check"],
  ]) {
    const done = await cluster.run(command, { timeout: 120_000 });
    expect([command, done.exitCode, done.stderr]).toEqual([command, 0, expect.any(String)]);
  }
});

test("the console of a real cluster, as the documents show it", async () => {
  const { link } = z.object({ link: z.string() }).parse(await cluster.json(["console"]));
  const { page, problems } = await openPage(browser, { width: 1100, height: 820 });
  await page.goto(link);
  await page.locator(".live.on").waitFor();
  await page.locator(".databases tbody th", { hasText: "sales" }).waitFor();
  await expect.poll(() => page.locator("h1").textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  await keepPicture(page, "docs-console", false);
  await page.getByRole("link", { name: "Backups" }).click();
  await page.getByRole("button", { name: "Restore …" }).first().click();
  await page.getByLabel("When was it still right?").waitFor();
  await keepPicture(page, "docs-restore", false);
  expect(problems).toEqual([]);
});

test("status on a terminal, as the documents show it", async () => {
  const { stdout } = await cluster.run(["status"]);
  const { page } = await openPage(browser, { width: 860, height: 400 });
  await page.setContent(
    `<style>body{margin:0;padding:20px 24px;background:#12171c;color:#e3e8ed}pre{margin:0;font:14px/1.5 "DejaVu Sans Mono","Liberation Mono",monospace;white-space:pre-wrap}</style><pre></pre>`,
  );
  await page.evaluate(`document.querySelector("pre").textContent = ${JSON.stringify(stdout)}`);
  expect(await page.locator("pre").textContent()).toContain("pg2");
  await keepPicture(page, "docs-status");
});
