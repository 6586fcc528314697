import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium, type Browser, type Page } from "playwright-core";
import { findBrowser } from "../../scripts/setup/missing-programs.mjs";
import { atEnd } from "./scope.ts";

/** @throws Error that says what to install */
function chromiumHere(): string {
  const found = findBrowser();
  if (found === undefined)
    throw new Error(
      "Tests of the console's page need Chromium. On Debian and Ubuntu: sudo apt-get install -y chromium",
    );
  return found;
}

/** A headless Chromium, closed when the present test (or, in beforeAll, the test file) ends. */
export async function startBrowser(): Promise<Browser> {
  const browser = await chromium.launch({
    executablePath: chromiumHere(),
    // Chromium's own sandbox refuses to run as root.
    args: process.getuid?.() === 0 ? ["--no-sandbox"] : [],
  });
  atEnd(() => browser.close());
  return browser;
}

export interface Sight {
  readonly width?: number;
  readonly height?: number;
  readonly dark?: boolean;
}

export interface SeenPage {
  readonly page: Page;
  /** What went wrong in the page: exceptions, and whatever it wrote to its console as an error. */
  readonly problems: readonly string[];
  /** Addresses that the page asked for. */
  readonly requests: readonly string[];
}

/** A page of its own, without cookies, on which nothing is loaded yet. */
export async function openPage(browser: Browser, sight: Sight = {}): Promise<SeenPage> {
  const context = await browser.newContext({
    viewport: { width: sight.width ?? 1280, height: sight.height ?? 900 },
    colorScheme: sight.dark === true ? "dark" : "light",
    deviceScaleFactor: (sight.width ?? 1280) < 600 ? 2 : 1,
    locale: "en-GB",
    ignoreHTTPSErrors: true,
  });
  atEnd(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const problems: string[] = [];
  const requests: string[] = [];
  page.on("pageerror", (error) => problems.push(error.stack ?? error.message));
  page.on("console", (message) => {
    if (message.type() === "error") problems.push(message.text());
  });
  page.on("request", (request) => requests.push(request.url()));
  return { page, problems, requests };
}

/** Keeps what a page looks like as test-output/console/NAME.png. */
export async function keepPicture(page: Page, name: string, whole = true): Promise<void> {
  const folder = join(import.meta.dirname, "../../test-output/console");
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`), fullPage: whole, animations: "disabled" });
}
