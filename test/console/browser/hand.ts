import type { Browser, Locator, Page } from "playwright-core";
import { expect } from "vitest";
import * as z from "zod";
import { seriousFindings } from "../../support/axe.ts";
import { keepPicture, openPage, type SeenPage, type Sight } from "../../support/browser.ts";
import type { ThrowawayCluster } from "../../support/cluster.ts";

const SIZES = { wide: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } } as const;

/** Tabs after which what is looked for has no place in their order. */
const MOST_TABS = 150;

const kindSchema = z.object({ kind: z.string() });

/** Somebody at the console of a real cluster, by mouse or by keys. */
export interface Hand {
  /** The console, signed in by the link that `odoo-pg console` prints. @param view such as `backups` */
  readonly signedIn: (view?: string, sight?: Sight) => Promise<SeenPage>;
  /**
   * Goes through the dialog that is open: plan, start, end. Of the plan there is a picture at both widths, and nothing
   * is wrong with it; of the end one.
   * @param name what the button says
   */
  readonly carryOut: (page: Page, name: string | RegExp, how?: Carrying) => Promise<void>;
  /** Kinds of actions that were carried out to a good end. */
  readonly done: ReadonlySet<string>;
}

interface Carrying {
  readonly by?: "mouse" | "keys";
  /** What has to be typed before. */
  readonly word?: string;
  /** Milliseconds. */
  readonly timeout?: number;
}

export function handAt(browser: () => Browser, cluster: () => ThrowawayCluster): Hand {
  const done = new Set<string>();
  const planned = new WeakMap<Page, string>();
  return {
    done,
    async signedIn(view = "", sight = {}) {
      const { link } = z.object({ link: z.string() }).parse(await cluster().json(["console"]));
      const seen = await openPage(browser(), sight);
      const { page } = seen;
      page.on("request", (request) => {
        if (request.url().endsWith("/api/plan"))
          planned.set(page, kindSchema.parse(request.postDataJSON()).kind);
      });
      await page.goto(link);
      await page.locator(".live.on").waitFor();
      if (view !== "") await page.goto(new URL(`/#/${view}`, link).href);
      return seen;
    },
    async carryOut(page, name, { by = "mouse", word, timeout = 120_000 } = {}) {
      const dialog = page.getByRole("dialog");
      await dialog.getByText("What it will do:").waitFor({ timeout });
      await dialog.getByRole("log", { name: "Plan" }).waitFor();
      const kind = planned.get(page) ?? "?";
      const begin = dialog.getByRole("button", { name });
      if (word !== undefined) {
        expect(await begin.isDisabled()).toBe(true);
        const field = dialog.getByLabel(`To go on, type ${word}`);
        if (by === "keys") await tabTo(page, field);
        else await field.click();
        await page.keyboard.type(word);
      }
      await lookedAt(page, `action-${kind}-plan`);
      if (by === "keys") await press(page, begin);
      else await begin.click();
      await dialog.getByText(/^(?:Done in \d+ s|It ended with)/).waitFor({ timeout });
      await keepPicture(page, `action-${kind}-end`, false);
      const told = await dialog.textContent();
      expect(told).toMatch(/Done in \d+ s\./);
      done.add(kind);
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
    },
  };
}

/** What is on the page is whole at both widths, of which pictures are kept, and axe-core finds nothing serious. */
export async function lookedAt(page: Page, name: string): Promise<void> {
  const before = page.viewportSize();
  for (const [width, size] of Object.entries(SIZES)) {
    await page.setViewportSize(size);
    await keepPicture(page, `${name}-${width}`, false);
    expect(await page.evaluate("document.documentElement.scrollWidth - innerWidth")).toBeLessThanOrEqual(0);
  }
  expect(await seriousFindings(page)).toEqual([]);
  if (before) await page.setViewportSize(before);
}

/** Goes there by the Tab key alone. @throws Error where no tab leads there */
export async function tabTo(page: Page, target: Locator): Promise<void> {
  const focused = target.and(page.locator(":focus"));
  for (let tabs = 0; tabs < MOST_TABS; tabs += 1) {
    if ((await focused.count()) > 0) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`no tab leads to ${String(target)}`);
}

/** Goes to a button by the Tab key, and presses Enter. */
export async function press(page: Page, button: Locator): Promise<void> {
  await button.waitFor();
  await tabTo(page, button);
  await page.keyboard.press("Enter");
}
