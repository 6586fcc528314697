import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { httpReceiver } from "../../support/http-receiver.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import { freePort } from "../../support/ports.ts";
import { smtpServer } from "../../support/smtp-server.ts";
import { waitFor } from "../../support/wait.ts";
import { expectAllClicked } from "./clicked.ts";
import { handAt, lookedAt, press, tabTo } from "./hand.ts";

// What has servers change or stop is in cluster.test.ts: it goes on beside this.

let browser: Browser;
let cluster: ThrowawayCluster;
const hand = handAt(
  () => browser,
  () => cluster,
);

beforeAll(async () => {
  browser = await startBrowser();
  cluster = await throwawayCluster({ nodes: 1 });
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore);
  cluster.configure({
    console: { enabled: true, port: await freePort() },
    odoo: { filestore },
    backup: { drill_schedule: "off", dir: join(cluster.folder, "backups"), any_second: { enabled: true } },
    // As a cluster that was made before statements were counted, and by somebody who knew better than tune.
    postgres: { parameters: { shared_preload_libraries: "auto_explain", work_mem: "1MB" } },
  });
  await cluster.up();
  await makeOdooDatabase({ superuser: cluster.superuser(), database: "sales", filestore, attachments: 3 });
});

/** A value from the primary, asked as superuser. */
async function value(statement: string, database = "sales"): Promise<unknown> {
  const session = await cluster.onPrimary("postgres", database);
  try {
    return await session.value(statement);
  } finally {
    await session.close();
  }
}

const dialogOf = (page: Page) => page.getByRole("dialog");

test("Count statements and Accept, by keys alone: both are in the file, and the page says that they wait", async () => {
  const { page, problems } = await hand.signedIn("statements");
  await press(page, page.getByRole("button", { name: "Count statements …" }));
  await hand.carryOut(page, "Count statements", { by: "keys" });
  await page.goto(page.url().replace("#/statements", "#/settings"));
  const accept = page.getByRole("button", { name: "Accept work_mem" });
  await press(page, accept);
  await hand.carryOut(page, "Accept work_mem", { by: "keys" });
  // What was accepted is not offered once more.
  await accept.waitFor({ state: "detached" });
  await page.locator(".advice tr", { hasText: "work_mem" }).getByText("written, not applied yet").waitFor();
  await page.getByRole("button", { name: "Apply the configuration …" }).waitFor();
  await lookedAt(page, "view-settings-accepted");
  expect(problems).toEqual([]);
});

test("alarms are set up in the page: what arrives nowhere changes nothing and says why; what arrives is applied and tried", async () => {
  const receiver = await httpReceiver();
  const mail = await smtpServer({ security: "none" });
  const { page, problems } = await hand.signedIn("alarms");
  const dialog = dialogOf(page);
  await page.getByText("Nobody is told: no channel is set up.").waitFor();

  await page.getByRole("button", { name: "Slack …" }).click();
  await dialog.getByLabel("Address of the incoming webhook").fill(`http://127.0.0.1:${await freePort()}/x`);
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByRole("button", { name: "Alarms to Slack" }).click();
  await dialog.getByText(/^It ended with status 1/).waitFor();
  expect(await dialog.getByRole("log").textContent()).toMatch(/ECONNREFUSED.*Next: /s);
  await lookedAt(page, "action-set_alarm-fails");
  await page.keyboard.press("Escape");
  await page.getByText("Nobody is told: no channel is set up.").waitFor();

  await page.getByRole("button", { name: "Slack …" }).click();
  await dialog.getByLabel("Address of the incoming webhook").fill(`${receiver.address}/slack/s3cret`);
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, "Alarms to Slack");
  // Without anybody loading it again.
  await page.locator("tbody tr", { hasText: "slack" }).getByText("once it is applied").waitFor();

  await press(page, page.getByRole("button", { name: "Webhook …" }));
  await dialog.getByLabel("Address that takes JSON by POST").and(page.locator(":focus")).waitFor();
  await page.keyboard.type(`${receiver.address}/webhook`);
  await page.keyboard.press("Enter");
  await hand.carryOut(page, "Alarms to a webhook", { by: "keys" });

  await page.getByRole("button", { name: "Mail …" }).click();
  await dialog.getByLabel("To, separated by commas").fill("admin@example.com");
  await dialog.getByLabel("From").fill("db@example.com");
  await dialog.getByLabel("Mail server").fill("127.0.0.1");
  await dialog.getByLabel("Encryption").selectOption("none");
  await dialog.getByLabel("Port").fill(String(mail.port));
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, "Alarms by mail");
  expect([receiver.received.map(({ path }) => path), mail.mails.length]).toEqual([
    ["/slack/s3cret", "/webhook"],
    1,
  ]);

  await page.getByRole("button", { name: "Apply the configuration …" }).click();
  // The command that archives is the agent's: nobody is told that it goes.
  await dialog.getByText("What it will do:").waitFor();
  expect(await dialog.getByRole("log", { name: "Plan" }).textContent()).toMatch(
    /^(?!.*archive_command).*work_mem 1MB → .*will restart.*shared_preload_libraries/,
  );
  await hand.carryOut(page, "Apply the configuration");
  await page.getByText("once it is applied").first().waitFor({ state: "detached" });
  await page.getByRole("button", { name: "Send a test …" }).click();
  await hand.carryOut(page, "Send a test");
  expect([receiver.received.length, mail.mails.length]).toEqual([4, 2]);
  await lookedAt(page, "view-alarms-set-up");
  await page.getByRole("button", { name: /^Take back slack/ }).click();
  await hand.carryOut(page, "No longer by slack");
  await page.locator("tbody tr", { hasText: "slack" }).getByText("until it is applied").waitFor();
  expect(await page.content()).not.toContain("s3cret");
  expect(problems).toEqual([]);
});

test("what was accepted is in force, and statements have a plan and a history", async () => {
  expect(await value("SHOW work_mem")).not.toBe("1MB");
  expect((await cluster.run(["up", "--dry-run"])).stderr).toContain("The servers need no change.");
  const odoo = await cluster.session("write", "odoo", "sales");
  for (let count = 0; count < 20; count += 1)
    await odoo.rows("SELECT name FROM res_partner WHERE id = $1", [count]);
  await odoo.close();
  const { page, problems } = await hand.signedIn("statements", { dark: true });
  await page.getByLabel("Find").fill("FROM res_partner WHERE id");
  const row = page.locator(".view tbody tr").first();
  await row.getByText("FROM res_partner WHERE id").waitFor();
  await page.getByText("There is nothing to compare yet").waitFor();
  await press(page, row.getByRole("link", { name: /^Plan of statement/ }));
  await page.getByRole("group", { name: "The plan" }).getByText("Scan").first().waitFor();
  // However far below it was asked for.
  await page.getByRole("heading", { name: "Plan", exact: true }).and(page.locator(":focus")).waitFor();
  await lookedAt(page, "view-statements-plan");
  // Its address leads there again.
  await page.reload();
  await page.getByRole("group", { name: "The plan" }).waitFor();
  await page.getByRole("link", { name: "Close the plan" }).click();
  await page.getByRole("group", { name: "The plan" }).waitFor({ state: "detached" });
  expect(problems).toEqual([]);
});

test("a staging database is copied by keys alone, neutralised, and refreshed where its name is typed", async () => {
  const { page, problems } = await hand.signedIn("", { width: 390, height: 844 });
  const dialog = dialogOf(page);
  await press(page, page.getByRole("button", { name: "Copy sales", exact: true }));
  const field = dialog.getByLabel("Name of the new database");
  expect(await field.inputValue()).toBe("sales_staging");
  await tabTo(page, field);
  await page.keyboard.press("Enter");
  await hand.carryOut(page, "Copy sales to staging, neutralised", { by: "keys" });
  const neutralised = "SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'";
  expect(await value(neutralised, "sales_staging")).toBe("true");

  await value("CREATE TABLE of_staging ()", "sales_staging");
  const staging = page.locator(".databases tbody tr", { hasText: "sales_staging" });
  await staging.locator("summary").click();
  await page.getByRole("button", { name: "Refresh sales_staging" }).click();
  expect(await dialog.getByLabel("From").inputValue()).toBe("sales");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, "Refresh sales_staging from sales", { word: "sales_staging" });
  expect(await value("SELECT to_regclass('of_staging')", "sales_staging")).toBeNull();
  expect(await value(neutralised, "sales_staging")).toBe("true");

  // A name that is taken is refused with what to do.
  await page.getByRole("button", { name: "Copy sales", exact: true }).click();
  await field.fill("sales_staging");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByRole("button", { name: "Copy sales to staging, neutralised" }).click();
  await dialog.getByText(/^It ended with status/).waitFor();
  expect(await dialog.getByRole("log").textContent()).toMatch(/sales_staging.*Next: /s);
  await lookedAt(page, "action-copy-refused");
  expect(problems).toEqual([]);
});

test("a finding of doctor is put right by its button, and is gone", async () => {
  await value("ALTER FUNCTION public.unaccent(text) STABLE");
  const { page, problems } = await hand.signedIn("checks");
  const finding = page.locator(".findings li", { hasText: "in sales is not IMMUTABLE" });
  await finding.getByRole("button", { name: "Put it right …" }).click();
  await hand.carryOut(page, "Put it right");
  await finding.waitFor({ state: "detached" });
  await lookedAt(page, "view-checks-put-right");
  expect(problems).toEqual([]);
});

test("the newest backups are proven in the page, and the calendar says so without being loaded again", async () => {
  const made = await cluster.run(["backup", "create", "sales"], { timeout: 120_000 });
  expect([made.exitCode, made.stderr]).toEqual([0, expect.any(String)]);
  const { page, problems } = await hand.signedIn("backups", { dark: true });
  await page.getByText("made, not proven yet").first().waitFor();
  await press(page, page.getByRole("button", { name: "Prove the newest …" }));
  await hand.carryOut(page, "Prove the newest backups", { by: "keys" });
  await page.getByText(/^restored and compared/).waitFor();
  await page.getByRole("button", { name: /1 backup, proven by a restore$/ }).waitFor();
  await lookedAt(page, "view-backups-proven");
  expect(problems).toEqual([]);
});

test("any second comes back beside the live database: its dialog takes the second, and says it in UTC", async () => {
  await waitFor("the window to begin", async () => {
    const { from } = z
      .object({ from: z.string().nullable() })
      .parse(await cluster.json(["backup", "window"]));
    return from !== null;
  });
  await value("CREATE TABLE of_that_second AS SELECT 1 AS id");
  const second = z
    .string()
    .parse(
      await value("SELECT to_char((now() + interval '1 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS')"),
    );
  await value("SELECT pg_sleep(1.1)");
  await value("DROP TABLE of_that_second");
  const { page, problems } = await hand.signedIn("backups");
  const dialog = dialogOf(page);
  await page.getByRole("button", { name: "Restore …" }).first().click();
  const right = dialog.getByLabel("When was it still right?");
  await dialog.locator("select").selectOption("sales");
  await right.fill(localOf(second));
  await dialog.getByText(`The database of that very second (${second} UTC)`).waitFor();
  expect(await dialog.getByLabel(/^Neutralise it/).isChecked()).toBe(true);
  await dialog.getByLabel("Name of the new database").fill("sales_then");
  await lookedAt(page, "dialog-restore-moment");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, "Restore to a copy, neutralised");
  expect(await value("SELECT id FROM of_that_second", "sales_then")).toBe(1);
  expect(problems).toEqual([]);
});

test("a proof of a second that failed stands in the page with what failed, and its button proves another one", async () => {
  const failed = {
    at: new Date(Date.now() - 7_200_000).toISOString(),
    second: new Date(Date.now() - 86_400_000).toISOString(),
    error: "2 attachments of sales are nowhere, such as ab/abc",
  };
  const drill = { version: 1, begun_at: failed.at, proven: null, failed };
  writeFileSync(join(cluster.stateDir, "second-drill.json"), JSON.stringify(drill));
  const { page, problems } = await hand.signedIn("backups");
  const seconds = page.getByRole("list", { name: "Any second" });
  await seconds.getByText("The last proof failed 2 h ago.").waitFor();
  await seconds.getByText(`could not be brought back whole: ${failed.error}.`).waitFor();
  await seconds.getByText("backup verify --any-second").waitFor();
  await lookedAt(page, "view-backups-second-failed");
  await press(page, seconds.getByRole("button", { name: "Prove a second …" }));
  await hand.carryOut(page, "Prove a second", { by: "keys" });
  await seconds.getByText(/^Proven .*: the second [\d: A-Za-z]+ came back whole in /).waitFor();
  expect(await seconds.getByText("attachments of sales are nowhere").count()).toBe(0);
  expect(problems).toEqual([]);
});

/** A second of UTC as a field for date and time of this time zone has it. */
function localOf(second: string): string {
  const at = new Date(`${second.replace(" ", "T")}Z`);
  return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19);
}

test("a job goes on when the page is loaded again, is in sight there, and its end is told", async () => {
  const holder = await cluster.onPrimary("postgres", "sales");
  await holder.rows("BEGIN");
  await holder.rows("LOCK TABLE res_partner IN ACCESS EXCLUSIVE MODE");
  const { page, problems } = await hand.signedIn();
  const dialog = dialogOf(page);
  await page.getByRole("button", { name: "Copy sales", exact: true }).click();
  await dialog.getByLabel("Name of the new database").fill("sales_slow");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByRole("button", { name: "Copy sales to staging, neutralised" }).click();
  await dialog.getByText("It runs.").waitFor();
  await page.reload();
  await page.locator(".tray button").click();
  await dialog.getByText("It runs.").waitFor();
  await keepPicture(page, "job-after-reload", false);
  await holder.rows("ROLLBACK");
  await dialog.getByText(/^Done in \d+ s\.$/).waitFor({ timeout: 60_000 });
  expect(problems).toEqual([]);
});

test("who has not signed in is told in each part that an operator may look there, and how to become one", async () => {
  const { url } = z.object({ url: z.string() }).parse(await cluster.json(["console"]));
  const { page } = await openPage(browser);
  await page.goto(`${url}#/backups`);
  const alert = page.getByRole("alert");
  await alert.getByText("Only an operator who has signed in may do this.").waitFor();
  await alert.getByText(/^odoo-pg console/).waitFor();
  await page.getByRole("link", { name: "sign in" }).click();
  await lookedAt(page, "sign-in");
});

test("every action that this file answers for was clicked, and came to a good end", () => {
  expectAllClicked("actions", hand.done);
});
