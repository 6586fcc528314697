import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { VIEWS } from "../../../src/console/page/model/routes.ts";
import { CAUSE, fixturesAt, OPERATOR } from "../page/fixtures.ts";
import { wordyReadingsAt } from "../page/readings.ts";
import { standIn } from "../page/stand-in.ts";

const { wordy, samples } = fixturesAt(Date.now());

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

/** Lines that each folded text takes. */
const LINES = `[...document.querySelectorAll(".fold")].map((box) => ({
  text: box.textContent,
  lines: Math.round(box.clientHeight / parseFloat(getComputedStyle(box).lineHeight)),
}))`;

/** Texts that take more lines than a name of 63 bytes does in the narrowest column. */
const UNFOLDED = `[...document.querySelectorAll("p, small, code, td, th, dd")]
  .filter((box) => box.matches("p, small, code") || box.childElementCount === 0)
  .filter((box) => !box.querySelector(".fold, button") && !box.closest(".fold, .unseen"))
  .filter((box) => box.getBoundingClientRect().height > 8 * parseFloat(getComputedStyle(box).lineHeight))
  .map((box) => box.textContent.slice(0, 80))`;

/** Whether one sees in which part one is. */
const CURRENT_IN_SIGHT = `(({ left, right }) => left >= 0 && right <= innerWidth)(
  document.querySelector(".parts [aria-current]").getBoundingClientRect())`;

const linesSchema = z.object({ text: z.string(), lines: z.number() }).array();

/** Pixels of the verdict that are not seen. */
const HIDDEN = `(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector("h1 .fold"))`;

for (const width of [1280, 380]) {
  test(`a cause of sixty lines and the longest names keep to their place (${width} px), and all of it stands behind "more"`, async () => {
    const { url } = await standIn({ document: wordy, principal: OPERATOR, samples });
    const { page } = await openPage(browser, { width });
    await page.goto(url);
    await page.locator(".live.on").waitFor();
    await keepPicture(page, `long-messages-${width}`);
    const folded = linesSchema.parse(await page.evaluate(LINES));
    expect(folded.filter(({ lines }) => lines > 3)).toEqual([]);
    expect(folded.find(({ text }) => text.startsWith(CAUSE))?.lines).toBe(2);
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);

    await page.locator("h1").getByRole("button", { name: "more" }).click();
    await page.locator("h1").getByRole("button", { name: "less" }).waitFor();
    expect(await page.evaluate(HIDDEN)).toBe(0);
    expect(await page.locator("h1 .fold").textContent()).toContain(CAUSE);
  });

  test(`so they do in each part behind the overview (${width} px)`, async () => {
    const readings = wordyReadingsAt(Date.now());
    const { url } = await standIn({ document: wordy, principal: OPERATOR, samples, readings });
    const { page, problems } = await openPage(browser, { width });
    for (const { view } of VIEWS.filter((one) => one.view !== "")) {
      await page.goto(`${url}#/${view}`);
      await page.locator(".view .rows li, .view tbody tr, .view .lines").first().waitFor();
      await keepPicture(page, `long-messages-${view}-${width}`);
      const folded = linesSchema.parse(await page.evaluate(LINES));
      expect([view, folded.filter(({ lines }) => lines > 3)]).toEqual([view, []]);
      expect([view, await page.evaluate(UNFOLDED)]).toEqual([view, []]);
      expect([view, await page.evaluate(CURRENT_IN_SIGHT)]).toEqual([view, true]);
      expect([view, await page.evaluate("document.documentElement.scrollWidth - innerWidth")]).toEqual([
        view,
        0,
      ]);
    }
    expect(problems).toEqual([]);
  });
}
