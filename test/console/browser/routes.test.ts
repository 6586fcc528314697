import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { VIEWS } from "../../../src/console/page/model/routes.ts";
import { openPage, startBrowser } from "../../support/browser.ts";
import { fixturesAt, OPERATOR, VIEWER } from "../page/fixtures.ts";
import { readingsAt } from "../page/readings.ts";
import { standIn } from "../page/stand-in.ts";

const fixtures = fixturesAt(Date.now());
const readings = readingsAt(Date.now());

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

test("every part is reached by its link, has an address of its own, and is there again after a reload and by Back", async () => {
  const { url } = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
  const { page, problems } = await openPage(browser);
  await page.goto(url);
  const nav = page.getByRole("navigation", { name: "Parts of the console" });
  for (const { view, title } of VIEWS) {
    await nav.getByRole("link", { name: title, exact: true }).click();
    const heading = view === "" ? /^All is well/ : new RegExp(`^${title}$`);
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    expect(page.url()).toBe(`${url}#/${view}`);
    await page.reload();
    await page.getByRole("heading", { level: 1, name: heading }).waitFor();
    expect(await nav.locator("[aria-current=page]").textContent()).toBe(title);
  }
  await page.goBack();
  await page.getByRole("heading", { level: 1, name: "Roles" }).waitFor();
  await page.goto(`${url}#/nothing-of-that-name`);
  await page.getByRole("heading", { level: 1, name: /^All is well/ }).waitFor();
  expect(problems).toEqual([]);
});

test("what is looked for is in the address, and is looked for again after a reload", async () => {
  const { url } = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
  const { page, problems, requests } = await openPage(browser);
  await page.goto(`${url}#/logs`);
  await page.locator(".search select").selectOption("pg1");
  await page.getByLabel("With").fill("ERROR");
  await page.getByRole("button", { name: "Find" }).click();
  await page.waitForURL("**/#/logs?of=pg1&match=ERROR");
  await page.reload();
  await page.getByRole("log", { name: "Log of pg1" }).waitFor();
  expect(await page.getByLabel("With").inputValue()).toBe("ERROR");
  const reads = (): number => requests.filter((one) => one.includes("what=log&of=pg1&match=ERROR")).length;
  const before = reads();
  await page.getByRole("button", { name: "Look again" }).click();
  await expect.poll(reads).toBe(before + 1);

  await page.goto(`${url}#/backups`);
  await page.locator(".search select").selectOption("shop");
  await page.reload();
  expect(await page.locator(".search select").inputValue()).toBe("shop");
  await page.goto(`${url}#/statements?plan=3f9a1c07be`);
  await page.getByRole("group", { name: "The plan" }).waitFor();
  await page.getByRole("link", { name: "Close the plan" }).click();
  await page.getByRole("link", { name: "Plan of statement 3f9a1c07be" }).last().click();
  // However far below it was asked for.
  await page.getByRole("heading", { name: "Plan", exact: true }).and(page.locator(":focus")).waitFor();
  expect(problems).toEqual([]);
});

test("an old backup is restored as what it is, whichever the page knew first", async () => {
  const server = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
  const { page } = await openPage(browser);
  await page.goto(`${server.url}#/backups?database=shop`);
  const row = page.locator(".view .rows li").first();
  const named = (await row.getByRole("button", { name: /^Restore shop_/ }).getAttribute("aria-label")) ?? "";
  await row.getByRole("button", { name: /^Restore shop_/ }).click();
  const dialog = page.getByRole("dialog");
  await expect.poll(() => dialog.locator("select").inputValue()).toBe("shop");
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await expect.poll(() => server.orders.length).toBe(1);
  expect(server.orders[0]?.body.action).toEqual({
    kind: "restore_copy",
    backup: named.replace("Restore ", ""),
    as: "shop_copy",
    neutralize: true,
  });
});

test("a second of the present minute can be asked for, and a day of the calendar shows its backups", async () => {
  const { normal } = fixtures;
  const window = {
    from: new Date(Date.parse(normal.at) - 3_600_000).toISOString(),
    to: normal.at,
    archiving: true,
    gaps: [],
    base_backups: 1,
  };
  const server = await standIn({
    document: { ...normal, status: { ...normal.status, window } },
    principal: OPERATOR,
    readings,
  });
  const { page } = await openPage(browser);
  await page.goto(`${server.url}#/backups`);
  const days = page.getByRole("list", { name: "Days" }).getByRole("button", { name: /: 1 backup/ });
  await days.first().click();
  expect(await days.first().getAttribute("aria-pressed")).toBe("true");
  expect(await page.locator(".view .rows li").count()).toBe(1);
  await page.getByRole("button", { name: "Restore …" }).first().click();
  const dialog = page.getByRole("dialog");
  const local = new Date(Date.parse(normal.at) - new Date(normal.at).getTimezoneOffset() * 60_000)
    .toISOString()
    .slice(0, 19);
  await dialog.getByLabel("When was it still right?").fill(local);
  await dialog.getByRole("button", { name: "Show the plan" }).click();
  await expect.poll(() => server.orders.length).toBe(1);
  expect(server.orders[0]?.body.action).toMatchObject({
    kind: "restore_moment",
    at: `${normal.at.slice(0, 19)}.000Z`,
  });
});

test("who may only look is told why a part stays closed, and what to do", async () => {
  const { url } = await standIn({ document: fixtures.normal, principal: VIEWER });
  const { page } = await openPage(browser);
  for (const { view } of VIEWS.filter((one) => one.view !== "")) {
    await page.goto(`${url}#/${view}`);
    await page.getByRole("alert").first().waitFor();
    expect(await page.locator(".view button:text-matches('…$')").count()).toBe(0);
  }
});

test("a part that could not be read says why, and is read by a button once the server is back", async () => {
  const server = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
  const { page } = await openPage(browser);
  await page.goto(server.url);
  await page.locator(".live.on").waitFor();
  await page.route("**/api/read?what=roles*", (route) => route.abort());
  await page.getByRole("link", { name: "Roles" }).click();
  await page.getByRole("alert").getByText("The console does not answer.").waitFor();
  await page.unroute("**/api/read?what=roles*");
  await page.getByRole("button", { name: "Try again" }).click();
  await page.locator(".view tbody tr", { hasText: "odoo" }).waitFor();
  expect(await page.getByRole("alert").count()).toBe(0);
});

test("what a job has done is read anew when it ends", async () => {
  const { normal } = fixtures;
  const server = await standIn({ document: normal, principal: OPERATOR, readings });
  const { page, requests } = await openPage(browser);
  await page.goto(`${server.url}#/alarms`);
  await page.getByRole("button", { name: "Send a test …" }).waitFor();
  const reads = (): number => requests.filter((one) => one.includes("what=alarms")).length;
  expect(reads()).toBe(1);
  const run = fixtures.job({ action: { kind: "apply" }, command: "odoo-pg up" });
  server.show({ ...normal, jobs: [run] });
  await page.locator(".tray button").waitFor();
  expect(reads()).toBe(1);
  server.show({ ...normal, jobs: [{ ...run, ended_at: new Date().toISOString(), exit_status: 0 }] });
  await expect.poll(reads).toBe(2);
});
