import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import * as z from "zod";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { CAUSE, fixturesAt, OPERATOR } from "../page/fixtures.ts";
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

/** Pixels of the verdict that are not seen. */
const HIDDEN = `(({ scrollHeight, clientHeight }) => scrollHeight - clientHeight)(document.querySelector("h1 .fold"))`;

for (const width of [1280, 390]) {
  test(`a cause of sixty lines and the longest names keep to their place (${width} px), and all of it stands behind "more"`, async () => {
    const { url } = await standIn({ document: wordy, principal: OPERATOR, samples });
    const { page } = await openPage(browser, { width });
    await page.goto(url);
    await page.locator(".live.on").waitFor();
    await keepPicture(page, `long-messages-${width}`);
    const folded = z
      .object({ text: z.string(), lines: z.number() })
      .array()
      .parse(await page.evaluate(LINES));
    expect(folded.filter(({ lines }) => lines > 3)).toEqual([]);
    expect(folded.find(({ text }) => text.startsWith(CAUSE))?.lines).toBe(2);
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);

    await page.locator("h1").getByRole("button", { name: "more" }).click();
    await page.locator("h1").getByRole("button", { name: "less" }).waitFor();
    expect(await page.evaluate(HIDDEN)).toBe(0);
    expect(await page.locator("h1 .fold").textContent()).toContain(CAUSE);
  });
}
