import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { OdooPgError } from "../../../src/errors.ts";
import { odooPg } from "../../../src/next-step.ts";
import { openPage, startBrowser, type Sight } from "../../support/browser.ts";
import { lookedAt, press } from "./hand.ts";
import { hosts } from "./hosts.ts";

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

const sights: readonly { readonly name: string; readonly sight: Sight }[] = [
  { name: "light", sight: {} },
  { name: "dark", sight: { dark: true } },
];

for (const { name, sight } of sights) {
  test(`the page of several hosts and its sign-in fit every window, and axe-core finds nothing serious (${name})`, async () => {
    const { url, link, answer } = await hosts();
    answer(async () => await Promise.resolve({ done: "db2 is the primary.", changed: true }));
    const { page, problems } = await openPage(browser, sight);
    await page.goto(`${url}sign-in`);
    await lookedAt(page, `hosts-sign-in-${name}`);
    await page.getByLabel("Password").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("alert").getByText("This is not the password of that role.").waitFor();
    await lookedAt(page, `hosts-sign-in-wrong-${name}`);
    await page.goto(url);
    await lookedAt(page, `hosts-viewer-${name}`);
    await page.goto(link());
    await lookedAt(page, `hosts-operator-${name}`);
    await page.getByRole("link", { name: "odoo-pg reseed" }).click();
    await lookedAt(page, `hosts-confirm-${name}`);
    await page.getByRole("link", { name: "Leave it" }).click();
    await page.getByRole("link", { name: "every 5 seconds" }).click();
    await page.getByRole("link", { name: "Leave it still" }).click();
    await page.getByText("From here").waitFor();
    // The wrong password is the one thing that the browser calls an error.
    expect(problems.filter((problem) => !problem.includes("401"))).toEqual([]);
  });
}

const orders = [
  { order: "switchover", button: "odoo-pg switchover --to db3", paused: false, by: "mouse" },
  { order: "pause", button: "odoo-pg pause --for 30m", paused: false, by: "keys" },
  { order: "resume", button: "odoo-pg resume", paused: true, by: "mouse" },
  { order: "reseed", button: "odoo-pg reseed", paused: false, by: "keys" },
] as const;

for (const { order, button, paused, by } of orders) {
  test(`${order}: what will happen is said first, then it is done (by ${by}), and what came of it is told`, async () => {
    const several = await hosts();
    several.be({ paused });
    several.answer(async () => await Promise.resolve({ done: `It was done: ${order}.`, changed: true }));
    const { page, problems } = await openPage(browser, by === "keys" ? { width: 390, height: 844 } : {});
    await page.goto(several.link());
    const link = page.getByRole("link", { name: button, exact: true });
    if (by === "keys") await press(page, link);
    else await link.click();
    const yes = page.getByRole("button", { name: "Do it" });
    await yes.waitFor();
    expect(several.orders).toEqual([]);
    if (by === "keys") await press(page, yes);
    else await yes.click();
    await page
      .getByRole("status")
      .getByText(/: (?:under way|done)/)
      .waitFor();
    await page.getByRole("link", { name: "Look again" }).click();
    await page.getByRole("status").getByText(`done. It was done: ${order}.`).waitFor();
    await lookedAt(page, `hosts-${order}-done`);
    expect(several.orders.map((one) => one.order)).toEqual([order]);
    expect(problems).toEqual([]);
  });
}

test("what fails, what is not offered any more and what comes twice is told as a page, with what to do next", async () => {
  const several = await hosts();
  const { page } = await openPage(browser);
  await page.goto(several.link());
  several.answer(
    async () =>
      await Promise.reject(
        new OdooPgError("refused", {
          message: "db3 lacks 3 MB.",
          safe: "Nothing was changed.",
          next: odooPg("status"),
        }),
      ),
  );
  const switchOver = page.getByRole("link", { name: "odoo-pg switchover --to db3" });
  await switchOver.click();
  await page.getByRole("button", { name: "Do it" }).click();
  await page
    .getByRole("status")
    .getByText("failed. db3 lacks 3 MB. Nothing was changed. Next: odoo-pg status")
    .waitFor();
  await lookedAt(page, "hosts-failed");

  // Somebody was faster.
  await switchOver.click();
  several.be({ primary: "db3" });
  await page.getByRole("button", { name: "Do it" }).click();
  const alert = page.getByRole("alert");
  await alert.getByText(/That is no longer offered.*Nothing was changed\./).waitFor();
  await lookedAt(page, "hosts-refused");
  await alert.getByRole("link", { name: "Load the page again" }).click();
  await page.getByText("From here").waitFor();
  await page.goto(`${several.url}?order=resume`);
  await alert.getByText("That is no longer offered").waitFor();

  let end = (): void => {};
  several.answer(
    async () =>
      await new Promise((resolve) => {
        end = () => resolve({ done: "Paused.", changed: true });
      }),
  );
  for (const _ of [1, 2]) {
    await page.goto(`${several.url}?order=pause`);
    await page.getByRole("button", { name: "Do it" }).click();
  }
  await alert.getByText(/pause --for 30m is under way\..*Wait for its end\./).waitFor();
  end();
  await page.goto(several.url);
  await page.getByRole("status").getByText("done. Paused.").waitFor();

  // A token of before the agent was started again.
  await page.goto(`${several.url}?order=pause`);
  await page.evaluate("document.querySelector('[name=token]').value = 'old'");
  await page.getByRole("button", { name: "Do it" }).click();
  await alert.getByText("The page's token is missing or old.").waitFor();
});
