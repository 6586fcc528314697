import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { seriousFindings } from "../../support/axe.ts";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { fixturesAt, OPERATOR } from "../page/fixtures.ts";
import { readingsAt } from "../page/readings.ts";
import { standIn } from "../page/stand-in.ts";

const fixtures = fixturesAt(Date.now());

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

const { normal, warned, critical, empty, wordy } = fixtures;
const sights = [
  { name: "light", sight: {}, documents: [normal, warned, critical] },
  { name: "dark", sight: { dark: true }, documents: [warned, critical] },
  { name: "a phone", sight: { width: 390, height: 844 }, documents: [wordy, empty] },
  { name: "a phone, dark", sight: { width: 390, height: 844, dark: true }, documents: [warned] },
];

for (const { name, sight, documents } of sights) {
  test(`axe-core finds nothing serious in the page, whatever it tells (${name})`, async () => {
    for (const document of documents) {
      const { url } = await standIn({ document, principal: OPERATOR, samples: fixtures.samples });
      const { page } = await openPage(browser, sight);
      await page.goto(url);
      await page.locator(".live.on").waitFor();
      expect(await seriousFindings(page)).toEqual([]);
    }
  });
}

const views = ["backups", "checks", "statements", "settings", "logs", "roles", "alarms"] as const;

for (const { name, sight } of sights) {
  test(`each part behind the overview has an address, fits the window, and axe-core finds nothing serious (${name})`, async () => {
    const readings = readingsAt(Date.now());
    const { url } = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
    const { page, problems } = await openPage(browser, sight);
    for (const view of views) {
      await page.goto(`${url}#/${view}`);
      await page.locator(".view .rows li, .view tbody tr, .view .lines").first().waitFor();
      expect(await page.evaluate("document.activeElement.tagName")).toBe("H1");
      await keepPicture(page, `part-${view}-${name.replaceAll(/\W+/g, "-")}`);
      expect(await seriousFindings(page)).toEqual([]);
      expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
    }
    expect(problems).toEqual([]);
  });
}

test("what opens at a click is as good: the dialogs of restore, copy and a severe step", async () => {
  const { url } = await standIn({
    document: fixtures.normal,
    principal: OPERATOR,
    readings: readingsAt(Date.now()),
  });
  const { page } = await openPage(browser);
  for (const button of ["Restore to a copy", "Copy sales", "Switch over"]) {
    await page.goto(url);
    await page.getByRole("button", { name: button, exact: button === "Copy sales" }).click();
    await page.getByRole("dialog").getByRole("button", { name: "Show the plan" }).waitFor();
    await keepPicture(page, `dialog-${button.toLowerCase().replaceAll(" ", "-")}`, false);
    expect(await seriousFindings(page)).toEqual([]);
    await page.keyboard.press("Escape");
  }
});
