import type { Browser, Locator } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import type { Job } from "../../../src/cluster/documents/console.ts";
import { VIEWS } from "../../../src/console/page/model/routes.ts";
import { nextStep, odooPg } from "../../../src/next-step.ts";
import { seriousFindings } from "../../support/axe.ts";
import { keepPicture, openPage, startBrowser } from "../../support/browser.ts";
import { fixturesAt, OPERATOR } from "../page/fixtures.ts";
import { readingsAt } from "../page/readings.ts";
import { standIn } from "../page/stand-in.ts";
import { DIALOGS } from "./clicked.ts";

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

const views = VIEWS.map(({ view }) => view).filter((view) => view !== "");

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

/** What is refused whatever is asked. */
const refusal = {
  status: 409,
  error: {
    code: "locked",
    message: "Another odoo-pg works on this cluster: backup create (process 4711).",
    safe: "Nothing was changed.",
    next: "Wait for it: odoo-pg status",
    next_step: nextStep`Wait for it: ${odooPg("status")}`,
  },
};

/** Says something in each field that needs it. */
async function fillIn(dialog: Locator): Promise<void> {
  for (const field of await dialog.locator("input[required]").all()) {
    if ((await field.getAttribute("type")) === "file")
      await field.setInputFiles({ name: "shop.zip", mimeType: "application/zip", buffer: Buffer.from("PK") });
    else if ((await field.inputValue()) === "") await field.fill("https://example.com/x");
  }
}

for (const { name, sight } of sights.filter((_, place) => place % 3 === 0)) {
  test(`each dialog that asks for something fits the window, axe-core finds nothing serious in it, and what is refused says why and what next (${name})`, async () => {
    const readings = readingsAt(Date.now());
    const server = await standIn({ document: fixtures.normal, principal: OPERATOR, readings });
    server.reply(() => refusal);
    const { page } = await openPage(browser, sight);
    for (const [kind, buttons] of Object.entries(DIALOGS)) {
      for (const { view, button } of buttons) {
        await page.goto(`${server.url}#/${view}`);
        await page
          .locator(view === "" ? ".databases tbody th" : ".view .rows li, .view tbody tr")
          .first()
          .waitFor();
        await page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true");
        await page.getByRole("button", { name: button, exact: true }).first().click();
        const dialog = page.getByRole("dialog");
        const lead = dialog.locator("button[type=submit]");
        await lead.waitFor();
        const picture = `dialog-${kind}-${button}-${name}`.toLowerCase().replaceAll(/\W+/g, "-");
        await keepPicture(page, picture, false);
        expect(await seriousFindings(page)).toEqual([]);
        expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(
          0,
        );
        await fillIn(dialog);
        if (kind === "choose_rename") await dialog.getByLabel("New name").fill("other");
        if (kind === "choose_refresh") await dialog.getByLabel("From").selectOption("shop");
        await lead.click();
        const alert = dialog.getByRole("alert");
        await alert.getByText(refusal.error.message).waitFor();
        await alert.getByText(refusal.error.safe).waitFor();
        await alert.getByText("odoo-pg status", { exact: true }).waitFor();
        await page.keyboard.press("Escape");
        await dialog.waitFor({ state: "detached" });
      }
    }
  });
}

const severe = { kind: "reseed", node: "pg3" } as const;
const steps: readonly { readonly step: string; readonly plan: Partial<Job>; readonly run?: Partial<Job> }[] =
  [
    {
      step: "plan",
      plan: { ended_at: "2026-11-29T10:00:00Z", exit_status: 0, lines: ["pg3 is copied again."] },
    },
    {
      step: "cannot",
      plan: {
        ended_at: "2026-11-29T10:00:00Z",
        exit_status: 1,
        lines: ["pg1 does not answer.", "Next: odoo-pg status"],
      },
    },
    {
      step: "runs",
      plan: { ended_at: "2026-11-29T10:00:00Z", exit_status: 0, lines: ["pg3 is copied again."] },
      run: { lines: ["copying"], progress: { done_bytes: 1, total_bytes: 4, left_seconds: 95 } },
    },
    {
      step: "failed",
      plan: { ended_at: "2026-11-29T10:00:00Z", exit_status: 0, lines: ["pg3 is copied again."] },
      run: {
        ended_at: "2026-11-29T10:00:00Z",
        exit_status: 1,
        lines: ["error: no room", "Next: odoo-pg status"],
      },
    },
  ];

for (const { name, sight } of sights.slice(1, 3)) {
  test(`from plan to end, axe-core finds nothing serious in any step of a dialog (${name})`, async () => {
    const { verdict } = fixtures.warned;
    const document = { ...fixtures.warned, verdict: { ...verdict, action: severe } };
    const server = await standIn({ document, principal: OPERATOR });
    const { page } = await openPage(browser, sight);
    const job = (more: Partial<Job>): Job => ({
      ...fixtures.job({ action: severe, command: "odoo-pg reseed pg3" }),
      ...more,
    });
    for (const { step, plan, run } of steps) {
      server.reply(({ path }) =>
        path === "/api/plan" ? job({ ...plan, id: `${step}-plan`, plan: true }) : job({ ...run, id: step }),
      );
      await page.goto(server.url);
      await page.getByRole("button", { name: "Rebuild pg3 …" }).click();
      const dialog = page.getByRole("dialog");
      await dialog.getByRole("log").waitFor();
      if (run) {
        await dialog.getByLabel("To go on, type pg3").fill("pg3");
        await dialog.getByRole("button", { name: "Rebuild pg3" }).click();
        await dialog.locator(".outcome").waitFor();
      }
      await keepPicture(page, `step-${step}-${name.replaceAll(/\W+/g, "-")}`, false);
      expect(await seriousFindings(page)).toEqual([]);
    }
  });
}
