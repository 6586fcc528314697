import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import type { Browser, Locator, Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, startBrowser } from "../../support/browser.ts";
import { throwawayCluster, type ThrowawayCluster } from "../../support/cluster.ts";
import { makeOdooDatabase } from "../../support/odoo-database.ts";
import type { Session } from "../../support/pg.ts";
import { freePort } from "../../support/ports.ts";
import { atEnd } from "../../support/scope.ts";
import { waitFor } from "../../support/wait.ts";
import { startByHand } from "../../faults/by-hand.ts";
import { nodeProcesses } from "../../faults/node-processes.ts";
import { expectAllClicked } from "./clicked.ts";
import { handAt, press } from "./hand.ts";

/** A real backup of Odoo 19 with Sales and its demo data, where the machine has one. */
const realZip = fileURLToPath(new URL("../../../../shared/data/odoo19-sales.zip", import.meta.url));

let browser: Browser;
let cluster: ThrowawayCluster;
const hand = handAt(
  () => browser,
  () => cluster,
);

beforeAll(async () => {
  browser = await startBrowser();
  cluster = await throwawayCluster();
  const filestore = join(cluster.folder, "filestore");
  mkdirSync(filestore);
  cluster.configure({
    console: { enabled: true, port: await freePort() },
    odoo: { filestore },
    backup: { enabled: false, drill_schedule: "off", dir: join(cluster.folder, "backups") },
  });
  await cluster.up();
  if (existsSync(realZip)) {
    const restored = await cluster.run(["restore", realZip, "--as", "sales"], { timeout: 240_000 });
    expect([restored.exitCode, restored.stderr]).toEqual([0, expect.any(String)]);
  } else
    await makeOdooDatabase({
      superuser: cluster.superuser(),
      database: "sales",
      filestore,
    });
  await cluster.healthy();
});

/** Writes as users of Odoo do, through the write endpoint, until the test ends; connects again when it is cut. */
function writeOnAndOn(): void {
  const end = new AbortController();
  const work = async (): Promise<void> => {
    while (!end.signal.aborted) {
      try {
        const session = await cluster.session("write", "odoo", "sales");
        while (!end.signal.aborted) {
          await session.rows("UPDATE res_partner SET name = name WHERE id % 5 = 0");
          await pause(20);
        }
        await session.close();
      } catch {
        // As during a switchover.
        await pause(100);
      }
    }
  };
  const worked = work();
  atEnd(async () => {
    end.abort();
    await worked;
  });
}

const verdict = (page: Page): Locator => page.locator("h1");

test("a replica whose replay is paused under load comes onto the page, with what to do", async () => {
  writeOnAndOn();
  const { page, problems } = await hand.signedIn();
  await expect.poll(() => verdict(page).textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  await page.locator(".databases tbody th", { hasText: "sales" }).waitFor();
  await keepPicture(page, "cluster-well");

  const replica = await cluster.session("pg2");
  await replica.rows("SELECT pg_wal_replay_pause()");
  try {
    await verdict(page).filter({ hasText: "pg2" }).waitFor({ timeout: 30_000 });
    expect(await verdict(page).textContent()).toMatch(/paused/);
    expect(await page.locator(".verdict .next code").first().textContent()).toMatch(/^odoo-pg /);
    await keepPicture(page, "cluster-paused");
  } finally {
    await replica.rows("SELECT pg_wal_replay_resume()");
  }
  await expect.poll(() => verdict(page).textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  expect(problems).toEqual([]);
});

test("Back up now, for real and by keys alone: the backup is made and the page tells of it", async () => {
  const { page, problems } = await hand.signedIn();
  await press(page, page.getByRole("button", { name: "Back up now" }));
  await hand.carryOut(page, "Back up now", { by: "keys" });
  await expect
    .poll(() => page.locator("section:has(#recovery) .answer").textContent(), { timeout: 30_000 })
    .toMatch(/^Last backup .*ago|^Last backup just now/);
  const { backups } = z
    .object({ backups: z.object({ database: z.string() }).array() })
    .parse(await cluster.json(["backup", "list"]));
  expect(backups.map(({ database }) => database)).toContain("sales");
  expect(problems).toEqual([]);
});

test("Switch over, for real and by keys alone: the roles change under load, and the page stays with them", async () => {
  writeOnAndOn();
  const { page } = await hand.signedIn();
  await expect.poll(() => verdict(page).textContent(), { timeout: 30_000 }).toMatch(/^All is well/);
  await press(page, page.getByRole("button", { name: "Switch over" }));
  await press(page, page.getByRole("dialog").getByRole("button", { name: "Show the plan" }));
  await hand.carryOut(page, "Switch over to pg2", { by: "keys" });
  await page.locator(".nodes tr.primary", { hasText: "pg2" }).waitFor();
  await page.locator(".nodes tr.replica", { hasText: "pg1" }).getByText("serves reads").waitFor();
  await page.locator(".events", { hasText: "pg2" }).waitFor();
  await keepPicture(page, "cluster-switched");
});

interface Blocked {
  readonly holder: Session;
  readonly pid: number;
  /** Fulfilled when the other one has its row, or what it got instead. */
  readonly gone: Promise<string>;
  readonly row: Locator;
}

/** A session that holds a row of res_partner, another one that waits for it, and where the page tells of both. */
async function blocked(page: Page): Promise<Blocked> {
  const holder = await cluster.session("write", "odoo", "sales");
  const pid = Number(await holder.value("SELECT pg_backend_pid()"));
  await holder.rows("BEGIN");
  await holder.rows("UPDATE res_partner SET name = name WHERE id = 1");
  const waiter = await cluster.session("write", "odoo", "sales");
  const gone = waiter.rows("UPDATE res_partner SET name = name WHERE id = 1").then(
    () => "went on",
    (error: unknown) => String(error),
  );
  const row = page.locator("section:has(#slow) li", { hasText: `pid ${pid}` }).first();
  return { holder, pid, gone, row };
}

test("who keeps others waiting is named with the table, and its statement is cancelled", async () => {
  const { page, problems } = await hand.signedIn();
  const { holder, gone, row, pid } = await blocked(page);
  const slept = holder.rows("SELECT pg_sleep(600)").catch(String);
  await row.getByText("res_partner").waitFor();
  await keepPicture(page, "cluster-blocked");
  await row.getByRole("button", { name: `Cancel the statement of session ${pid}` }).click();
  await hand.carryOut(page, /^Cancel the statement/);
  expect(await slept).toMatch(/canceling statement/);
  await holder.rows("ROLLBACK");
  expect(await gone).toBe("went on");
  await page.getByText("No session waits for another.").waitFor();
  expect(problems).toEqual([]);
});

test("where there is no statement to cancel the page says so, and the session is ended one step further", async () => {
  const { page, problems } = await hand.signedIn();
  const { holder, gone, row, pid } = await blocked(page);
  await row.getByRole("button", { name: `Cancel the statement of session ${pid}` }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByText("there is nothing to cancel").waitFor();
  await dialog.getByText("It cannot be done now. Nothing was changed.").waitFor();
  await keepPicture(page, "cluster-nothing-to-cancel", false);
  await dialog.getByRole("button", { name: "End the session" }).click();
  await page.getByRole("dialog", { name: `End session ${pid}` }).waitFor();
  await hand.carryOut(page, /^End session/);
  expect(await gone).toBe("went on");
  await page.getByText("No session waits for another.").waitFor();
  expect(holder.isCut()).toBe(true);
  expect(problems).toEqual([]);
});

test("a backup is restored to a neutralised copy, which is renamed and dropped, all in the page", async () => {
  expect((await cluster.run(["backup", "create", "sales"], { timeout: 120_000 })).exitCode).toBe(0);
  const { page, problems } = await hand.signedIn();
  await page.locator(".databases tbody th", { hasText: "sales" }).waitFor();
  await page.getByRole("button", { name: "Restore to a copy" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name of the new database").fill("sales_trial");
  expect(await dialog.getByLabel(/^Neutralise it/).isChecked()).toBe(true);
  await keepPicture(page, "cluster-restore", false);
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, "Restore to a copy, neutralised");
  const trial = page.locator(".databases tbody tr", { hasText: "sales_trial" });
  await trial.waitFor({ timeout: 30_000 });
  const crons = await cluster.session("write", "odoo", "sales_trial");
  expect(await crons.value("SELECT count(*)::int FROM ir_cron WHERE active AND id > 1")).toBeLessThanOrEqual(
    1,
  );
  await crons.close();

  await trial.locator("summary").click();
  await page.getByRole("button", { name: "Rename sales_trial" }).click();
  await dialog.getByLabel("New name").fill("sales_kept");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await hand.carryOut(page, /^Rename/);
  const kept = page.locator(".databases tbody tr", { hasText: "sales_kept" });
  await kept.waitFor({ timeout: 30_000 });
  await kept.locator("summary").click();
  await page.getByRole("button", { name: "Drop sales_kept" }).click();
  await hand.carryOut(page, /^Drop/, { word: "sales_kept" });
  await kept.waitFor({ state: "detached", timeout: 30_000 });
  expect(problems).toEqual([]);
});

test("a backup is downloaded as a zip of Odoo, uploaded in the page and restored, by keyboard on a phone", async () => {
  const { page, problems } = await hand.signedIn();
  await page.getByRole("link", { name: "Backups" }).click();
  const coming = page.waitForEvent("download");
  await page
    .getByRole("link", { name: /^Download sales_.* as a zip of Odoo$/ })
    .first()
    .click();
  await keepPicture(page, "cluster-backups", false);
  const download = await coming;
  expect(download.suggestedFilename()).toMatch(/^sales_\d{8}_\d{4,6}(?:-\w+)?\.zip$/);
  const file = join(cluster.folder, download.suggestedFilename());
  await download.saveAs(file);
  expect(await download.failure()).toBeNull();

  await page.setViewportSize({ width: 390, height: 800 });
  const upload = page.getByRole("button", { name: "Restore a file" });
  await upload.focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("A backup of Odoo (zip) on this computer").setInputFiles(file);
  await dialog.getByLabel("Name of the new database").fill("sales_again");
  await keepPicture(page, "cluster-upload", false);
  expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
  await dialog.getByLabel("Name of the new database").press("Enter");
  await hand.carryOut(page, "Restore the file, neutralised", { timeout: 240_000 });
  const session = await cluster.session("write", "odoo", "sales_again");
  expect(await session.value("SELECT count(*) > 0 FROM res_users")).toBe(true);
  expect(
    await session.value("SELECT value FROM ir_config_parameter WHERE key = 'database.is_neutralized'"),
  ).toBe("true");
  expect(readdirSync(join(cluster.stateDir, "uploads"))).toEqual([]);
  expect(problems).toEqual([]);
});

/** Who is the primary now, and who its replica. */
async function rolesNow(): Promise<{ readonly primary: "pg1" | "pg2"; readonly replica: "pg1" | "pg2" }> {
  await cluster.healthy();
  const { nodes } = await cluster.status();
  const first = nodes.some(({ name, role }) => name === "pg1" && role === "primary");
  return first ? { primary: "pg1", replica: "pg2" } : { primary: "pg2", replica: "pg1" };
}

test("a former primary that has rows of its own is brought back from its row, by keys alone on a phone", async () => {
  const { primary: old, replica } = await rolesNow();
  // Soon after the switchover above: control files still have the timeline before it.
  const promoted = await cluster.run(["promote", replica, "--fence", "fast"]);
  expect([promoted.exitCode, promoted.stderr.split("\n").slice(-6)]).toEqual([0, expect.any(Array)]);
  await waitFor(`${old} to wait`, async () =>
    (await cluster.status()).warnings.some(({ code }) => code === "needs_rejoin"),
  );
  const stop = await startByHand(cluster, old);
  await waitFor(`${old} to answer`, async () => {
    await (await cluster.session(old)).rows("CREATE TABLE only_here ()");
    return true;
  });
  await stop();

  const { page, problems } = await hand.signedIn("", { width: 390, height: 844 });
  const row = page.locator(".nodes tr", { hasText: old });
  await row.getByText("needs rejoin").first().waitFor();
  await press(page, row.getByRole("button", { name: "Bring back …" }));
  await hand.carryOut(page, `Bring ${old} back as a replica`, { word: old, by: "keys" });
  await page.locator(".nodes tr.replica", { hasText: old }).getByText("serves reads").waitFor();
  const back = await cluster.session(old);
  expect(await back.value("SELECT to_regclass('only_here')")).toBeNull();
  expect(problems).toEqual([]);
});

test("a replica whose slot was lost is rebuilt from its row, once its name is typed", async () => {
  const { primary, replica } = await rolesNow();
  const session = await cluster.session(primary);
  const capped = { max_slot_wal_keep_size: "16MB", wal_keep_size: "0", wal_sender_timeout: "1s" };
  for (const [name, value] of Object.entries(capped))
    await session.rows(`ALTER SYSTEM SET ${name} = '${value}'`);
  await session.rows("SELECT pg_reload_conf()");
  const stopped = nodeProcesses(cluster, replica);
  stopped.freeze();
  await waitFor("the primary to give it up", async () => {
    return (await session.value("SELECT count(*)::int FROM pg_stat_replication")) === 0;
  });
  await waitFor("its slot to be lost", async () => {
    await session.rows("SELECT pg_logical_emit_message(false, 'test', ''), pg_switch_wal()");
    await session.rows("CHECKPOINT");
    return (await session.value("SELECT wal_status FROM pg_replication_slots")) === "lost";
  });
  for (const name of Object.keys(capped)) await session.rows(`ALTER SYSTEM RESET ${name}`);
  await session.rows("SELECT pg_reload_conf()");
  stopped.thaw();

  const { page, problems } = await hand.signedIn("", { dark: true });
  const row = page.locator(".nodes tr", { hasText: replica });
  await row.getByRole("button", { name: "Rebuild …" }).click();
  await hand.carryOut(page, `Rebuild ${replica}`, { word: replica });
  await page.locator(".nodes tr.replica", { hasText: replica }).getByText("serves reads").waitFor();
  await cluster.healthy();
  expect(problems).toEqual([]);
});

test("every action that this file answers for was clicked, and came to a good end", () => {
  expectAllClicked("cluster", hand.done);
});
