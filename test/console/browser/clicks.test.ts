import type { Browser, Page } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { nextStep, odooPg } from "../../../src/next-step.ts";
import type { Job } from "../../../src/cluster/documents/console.ts";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { fixturesAt, OPERATOR, VIEWER } from "../page/fixtures.ts";
import { type Reply, type StandIn, standIn } from "../page/stand-in.ts";

const fixtures = fixturesAt(Date.now());
const { normal, warned, crowded, samples, job } = fixtures;

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

async function opened(document = normal, principal = OPERATOR): Promise<StandIn & { readonly page: Page }> {
  const server = await standIn({ document, principal, samples });
  const { page } = await openPage(browser);
  await page.goto(server.url);
  await page.locator(".live.on").waitFor();
  return { ...server, page };
}

const done = (one: Job, lines: readonly string[], exit = 0): Job => ({
  ...one,
  ended_at: new Date().toISOString(),
  exit_status: exit,
  lines,
});

test("Back up now: the plan, then the start, then lines as they come, then the end", async () => {
  const { page, reply, show, orders } = await opened();
  const plan = job({
    id: "plan",
    action: { kind: "backup" },
    command: "odoo-pg backup create --all",
    plan: true,
  });
  const run = job({ id: "run", action: { kind: "backup" }, command: "odoo-pg backup create --all" });
  reply(({ path }): Reply =>
    path === "/api/plan" ? done(plan, ["Every database is backed up now, with its attachments."]) : run,
  );

  await page.getByRole("button", { name: "Back up now" }).click();
  const dialog = page.getByRole("dialog", { name: "Back up now" });
  await dialog.getByText("Every database is backed up now").waitFor();
  expect(orders.map(({ path }) => path)).toEqual(["/api/plan"]);
  await dialog.getByRole("button", { name: "Back up now" }).click();
  await dialog.getByText("It runs.").waitFor();

  const far = { done_bytes: 3 * 2 ** 20, total_bytes: 12 * 2 ** 20, left_seconds: 95 };
  show({ ...normal, jobs: [{ ...run, lines: ["sales: dumping …"], progress: far }] });
  await dialog.getByText("sales: dumping …").waitFor();
  await dialog.getByText("25 % of 12 MB, 95 s left").waitFor();
  await keepPicture(page, "dialog-progress", false);
  show({ ...normal, jobs: [done(run, ["sales: dumping …", "sales: 1.2 GB in 41 s"])] });
  await dialog.getByText(/^Done in \d+ s\.$/).waitFor();
  await keepPicture(page, "dialog-done", false);

  await dialog.getByRole("button", { name: "Close" }).click();
  await dialog.waitFor({ state: "detached" });
  // The focus is where it was.
  expect(await page.evaluate("document.activeElement.textContent")).toBe("Back up now");
  await page.getByText("Started from this page").waitFor();
  expect(orders).toEqual([
    { path: "/api/plan", token: OPERATOR.token, body: { action: { kind: "backup" } } },
    { path: "/api/act", token: OPERATOR.token, body: { action: { kind: "backup" } } },
  ]);
});

test("what runs is in sight after the page was loaded again, with how far it is", async () => {
  const run = fixtures.job({ action: { kind: "backup" }, command: "odoo-pg backup create --all" });
  const progress = { done_bytes: 3 * 2 ** 20, total_bytes: 12 * 2 ** 20, left_seconds: 95 };
  const { page } = await opened({ ...normal, jobs: [{ ...run, progress, lines: ["sales: dumping …"] }] });
  await page.reload();
  await page.getByRole("button", { name: "25 % of 12 MB, 95 s left" }).click();
  const dialog = page.getByRole("dialog", { name: "Back up now" });
  await dialog.getByText("sales: dumping …").waitFor();
  await dialog.getByRole("progressbar", { name: "How far it is" }).waitFor();
});

test("Switch over: the node is chosen first, by keys alone, and Escape leaves it", async () => {
  const { page, reply, orders } = await opened();
  const action = { kind: "switchover", to: "pg3" } as const;
  const plan = job({ action, command: "odoo-pg switchover --to pg3", plan: true });
  reply(() => done(plan, ["pg1 finishes what it has begun, then pg3 takes over.", "Nothing is lost."]));

  await page.getByRole("button", { name: "Switch over" }).focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("New primary").selectOption("pg3");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await dialog.getByText("Nothing is lost.").waitFor();
  await keepPicture(page, "dialog-plan", false);
  expect(await dialog.getByRole("heading").textContent()).toBe("Switch over to pg3");
  expect(await page.evaluate("document.activeElement.id")).toBe("doing");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  expect(orders.map(({ body }) => body)).toEqual([{ action }]);
});

test("Restore to a copy proposes the newest backup and a free name", async () => {
  const { page, reply, orders } = await opened({
    ...normal,
    databases: [
      ...normal.databases,
      ...normal.databases.map((one) => ({ ...one, name: `${one.name}_copy` })),
    ],
  });
  const [newest] = normal.recovery.backups;
  const action = {
    kind: "restore_copy",
    backup: newest?.id ?? "",
    as: "sales_copy_2",
    neutralize: true,
  } as const;
  reply(() =>
    done(job({ action, command: "odoo-pg restore", plan: true }), ["It is restored beside the others."]),
  );
  await page.getByRole("button", { name: "Restore to a copy" }).click();
  const dialog = page.getByRole("dialog");
  expect(await dialog.getByLabel("Name of the new database").inputValue()).toBe("sales_copy_2");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByText("It is restored beside the others.").waitFor();
  expect(orders.map(({ body }) => body)).toEqual([{ action }]);
});

test("a plan that is refused cannot be started, and says why", async () => {
  const { page, reply } = await opened();
  const action = { kind: "copy", source: "sales", copy: "shop", neutralize: true } as const;
  reply(() =>
    done(job({ action, command: "odoo-pg db copy", plan: true }), ['Database "shop" already exists.'], 2),
  );
  await page.getByRole("button", { name: "Copy sales", exact: true }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name of the new database").fill("shop");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await dialog.getByText("It cannot be done now. Nothing was changed.").waitFor();
  await dialog.getByText('Database "shop" already exists.').waitFor();
  expect(await dialog.getByRole("button").allTextContents()).toEqual(["Close"]);
});

test("an error is told with what is safe and what to do next", async () => {
  const { page, reply } = await opened();
  reply(() => ({
    status: 409,
    error: {
      code: "locked",
      message: "Another odoo-pg works on this cluster: backup create (process 4711).",
      safe: "Nothing was changed.",
      next: "Wait for it: odoo-pg status",
      next_step: nextStep`Wait for it: ${odooPg("status")}`,
    },
  }));
  await page.getByRole("button", { name: "Back up now" }).click();
  const alert = page.getByRole("dialog").getByRole("alert");
  await alert.getByText("Another odoo-pg works on this cluster").waitFor();
  await alert.getByText("Nothing was changed.").waitFor();
  await alert.getByText("odoo-pg status", { exact: true }).waitFor();
  await keepPicture(page, "dialog-error", false);
});

test("a command is shown and copied as it is typed on the host, wherever one is, with its configuration", async () => {
  const there = { called: "/srv/odoo-pg/dist/odoo-pg", config_file: "/etc/odoo pg.yaml" };
  const { page } = await opened({ ...warned, ...there });
  await page.context().grantPermissions(["clipboard-read", "clipboard-write"]);
  const typed = "/srv/odoo-pg/dist/odoo-pg replication resume pg3 --config '/etc/odoo pg.yaml'";
  const next = page.locator(".verdict .next").first();
  expect(await next.locator("code").textContent()).toBe(typed);
  await next.getByRole("button", { name: "copy the command" }).click();
  await next.getByRole("button", { name: "copied the command" }).waitFor();
  expect(await page.evaluate("navigator.clipboard.readText()")).toBe(typed);
});

test("what else is wrong has its button, too", async () => {
  const { page, reply, orders } = await opened(fixtures.critical);
  const action = { kind: "backup", database: "shop" } as const;
  reply(() => done(job({ action, command: "odoo-pg backup create shop", plan: true }), ["It is backed up."]));
  await page.getByRole("list", { name: "Also" }).getByRole("button", { name: "Back up shop …" }).click();
  await page.getByRole("dialog").getByText("It is backed up.").waitFor();
  expect(orders.map(({ body }) => body)).toEqual([{ action }]);
});

test("a severe step needs the name typed, and sends it", async () => {
  const { page, reply, orders } = await opened({
    ...warned,
    verdict: { ...warned.verdict, action: { kind: "reseed", node: "pg3" } },
  });
  const action = { kind: "reseed", node: "pg3" } as const;
  const run = job({ action, command: "odoo-pg reseed pg3" });
  reply(({ path }) =>
    path === "/api/plan" ? done({ ...run, id: "plan", plan: true }, ["pg3 is copied again from pg1."]) : run,
  );
  await page.getByRole("button", { name: "Rebuild pg3" }).click();
  const dialog = page.getByRole("dialog");
  const begin = dialog.getByRole("button", { name: "Rebuild pg3" });
  await begin.waitFor();
  expect(await begin.isDisabled()).toBe(true);
  await dialog.getByLabel("To go on, type pg3").fill("pg3");
  await keepPicture(page, "dialog-severe", false);
  await begin.click();
  await dialog.getByText("It runs.").waitFor();
  expect(orders.at(-1)?.body).toEqual({ action, confirm: "pg3" });
});

test("who blocks others can be cancelled and, one step further, ended", async () => {
  const { page, reply, show, orders } = await opened(warned);
  const cancel = job({
    action: { kind: "cancel_session", pid: 20977 },
    command: "odoo-pg sessions cancel 20977",
  });
  reply(({ path, body }) => {
    const run = { ...cancel, action: body.action ?? cancel.action, id: body.action?.kind ?? "" };
    return path === "/api/plan"
      ? done({ ...run, id: `${run.id}-plan`, plan: true }, ["Session 20977 of odoo"])
      : run;
  });
  expect(await page.getByRole("button", { name: "End session 20977" }).isVisible()).toBe(false);
  await page.getByRole("button", { name: "Cancel the statement of session 20977" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByRole("button", { name: "Cancel the statement of session 20977" }).click();
  await dialog.getByText("It runs.").waitFor();
  show({
    ...warned,
    jobs: [done({ ...cancel, id: "cancel_session" }, ["Session 20977 was told to cancel."])],
  });
  await dialog.getByRole("button", { name: "Still there? End the session" }).click();
  await dialog.getByRole("button", { name: "End session 20977" }).click();
  await dialog.getByText("It runs.").waitFor();
  expect(orders.filter(({ path }) => path === "/api/act").map(({ body }) => body.action)).toEqual([
    { kind: "cancel_session", pid: 20977 },
    { kind: "terminate_session", pid: 20977 },
  ]);
});

test("a viewer, and whoever looks at a console that is read only, finds no button that acts", async () => {
  for (const principal of [VIEWER, { ...OPERATOR, read_only: true }]) {
    const { page } = await opened(warned, principal);
    const buttons = await page.getByRole("button").allTextContents();
    expect(buttons.filter((text) => !/^(copied|copy|more|Sign out|Show all)/.test(text))).toEqual([]);
  }
});

test("many databases: those in trouble come first, and one is found by its name", async () => {
  const { page } = await opened(crowded);
  const names = page.locator(".databases tbody th");
  expect(await names.count()).toBe(10);
  expect(await names.first().textContent()).toBe("customer34");
  await page.getByLabel("Find").fill("mer07");
  await expect.poll(() => names.allTextContents()).toEqual(["customer07"]);
  await page.getByLabel("Find").fill("");
  await page.getByRole("button", { name: "Show all 52" }).click();
  await expect.poll(() => names.count()).toBe(52);
});

test("while the server is away the page says since when, claims nothing, and comes back by itself", async () => {
  const { page, goAway, comeBack, show } = await opened();
  await goAway();
  await page.getByText(/^▲ not live since \d+ s$/).waitFor();
  expect(await page.locator("h1").textContent()).toMatch(/^Last known: All is well/);
  await keepPicture(page, "not-live");
  await page.getByRole("button", { name: "Back up now" }).click();
  await page.getByRole("alert").getByText("The console does not answer.").waitFor();
  await page.keyboard.press("Escape");
  show(warned);
  await comeBack();
  await page.locator(".live.on").waitFor();
  await expect.poll(() => page.locator("h1").textContent()).toMatch(/^pg3 is 212 MB behind/);
});

test("a tab that nobody sees leaves its connection to others, still knows how it is, and is live again when it is looked at", async () => {
  const { page, show, listeners } = await opened();
  await expect.poll(listeners).toBe(1);
  const turn = async (hidden: boolean): Promise<void> => {
    await page.evaluate(
      `Object.defineProperty(document, "hidden", { configurable: true, value: ${hidden} });
       document.dispatchEvent(new Event("visibilitychange"))`,
    );
  };
  await page.clock.install();
  await turn(true);
  await expect.poll(listeners).toBe(0);
  show(warned);
  await page.clock.fastForward(16_000);
  await expect.poll(() => page.title(), { timeout: 5000 }).toMatch(/^▲/);
  await turn(false);
  await expect.poll(listeners).toBe(1);
  await page.locator(".live.on").waitFor();
});

test("a change is shown without anything being loaded anew, and is said to who listens", async () => {
  const { page, show } = await opened();
  await page.evaluate("window.here = true");
  show(warned);
  const verdict = page.getByRole("status").filter({ has: page.getByRole("heading", { level: 1 }) });
  await expect.poll(() => verdict.textContent()).toMatch(/^pg3 is 212 MB behind/);
  expect(await verdict.getAttribute("aria-live")).toBe("polite");
  expect(await page.title()).toBe("▲ prod · odoo-pg");
  expect(await page.evaluate("window.here")).toBe(true);
});

test("graphs: the pointer shows time, values and event of one moment in all of them", async () => {
  const { page } = await opened();
  const area = page.locator(".plot .area").first();
  await area.scrollIntoViewIfNeeded();
  const box = (await area.boundingBox()) ?? { x: 0, y: 0, width: 0, height: 0 };
  await page.mouse.move(box.x + box.width * (1 - 7 / 24), box.y + 20);
  await expect
    .poll(() => page.locator("section:has(#graphs) > header").textContent())
    .toMatch(/pg2 became the primary/);
  expect(await page.locator(".plot .pointer").count()).toBe(6);
  await keepPicture(page, "graphs", false);
  const words = await page
    .getByRole("figure", { name: /^Lag in bytes, last 24 hours\. pg2: now .+; pg3: now / })
    .count();
  expect(words).toBe(1);
});
