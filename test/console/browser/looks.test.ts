import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import type { ConsoleDocument, Principal } from "../../../src/cluster/documents/console.ts";
import { keepPicture, openPage, type Sight, startBrowser } from "../../support/browser.ts";
import { fixturesAt, OPERATOR, VIEWER } from "../page/fixtures.ts";
import { standIn } from "../page/stand-in.ts";

const PHONE = { width: 390, height: 844 };
const fixtures = fixturesAt(Date.now());

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

const looks: readonly {
  readonly name: string;
  readonly document: ConsoleDocument;
  readonly verdict: RegExp;
  readonly principal?: Principal;
  readonly sight?: Sight;
}[] = [
  { name: "normal", document: fixtures.normal, verdict: /^All is well/ },
  { name: "normal-dark", document: fixtures.normal, verdict: /^All is well/, sight: { dark: true } },
  { name: "normal-phone", document: fixtures.normal, verdict: /^All is well/, sight: PHONE },
  { name: "warning", document: fixtures.warned, verdict: /^pg3 is 212 MB behind/ },
  { name: "warning-dark", document: fixtures.warned, verdict: /^pg3 is/, sight: { dark: true } },
  { name: "warning-phone", document: fixtures.warned, verdict: /^pg3 is/, sight: { ...PHONE, dark: true } },
  { name: "critical", document: fixtures.critical, verdict: /^The primary pg1 does not answer/ },
  { name: "critical-dark", document: fixtures.critical, verdict: /^The primary/, sight: { dark: true } },
  { name: "critical-phone", document: fixtures.critical, verdict: /^The primary/, sight: PHONE },
  { name: "seconds", document: fixtures.seconds, verdict: /^All is well/ },
  { name: "second-failed", document: fixtures.secondFailed, verdict: /could not be brought back whole/ },
  {
    name: "second-failed-phone",
    document: fixtures.secondFailed,
    verdict: /could not be brought back whole/,
    sight: { ...PHONE, dark: true },
  },
  { name: "empty", document: fixtures.empty, verdict: /^All is well/ },
  { name: "many-databases", document: fixtures.crowded, verdict: /^All is well/ },
  { name: "viewer", document: fixtures.warned, verdict: /^pg3 is/, principal: VIEWER },
];

for (const { name, document, verdict, principal = OPERATOR, sight = {} } of looks) {
  test(`${name}: the page shows it whole, asks nobody else, and no part is wider than the window`, async () => {
    const samples = name === "empty" ? [] : fixtures.samples;
    const { url } = await standIn({ document, principal, samples });
    const { page, problems, requests } = await openPage(browser, sight);
    await page.goto(url);
    await expect.poll(() => page.locator("h1").textContent()).toMatch(verdict);
    await expect.poll(() => page.locator(".live").textContent()).toMatch(/live$/);
    await keepPicture(page, name);
    expect(problems).toEqual([]);
    expect(requests.filter((request) => !request.startsWith(url) && !request.startsWith("data:"))).toEqual(
      [],
    );
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
  });
}
