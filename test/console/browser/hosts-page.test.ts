import { randomUUID } from "node:crypto";
import { mkdirSync } from "node:fs";
import type { Browser } from "playwright-core";
import { beforeAll, expect, test } from "vitest";
import { layoutOf } from "../../../src/config/layout.ts";
import { configSchema } from "../../../src/config/schema.ts";
import { OdooPgError } from "../../../src/errors.ts";
import { hostConsole } from "../../../src/hosts/agent/host-console.ts";
import type { Outcome } from "../../../src/hosts/agent/host.ts";
import type { HostOrder } from "../../../src/hosts/documents/orders.ts";
import { hostsStatusSchema, type HostsStatus } from "../../../src/hosts/documents/report.ts";
import { odooPg } from "../../../src/next-step.ts";
import { openPage, startBrowser, type Sight } from "../../support/browser.ts";
import { freePort } from "../../support/ports.ts";
import { atEnd } from "../../support/scope.ts";
import { temporaryFolder } from "../../support/temporary-folder.ts";
import { lookedAt, press } from "./hand.ts";
import { shownHost } from "../../hosts/standins.ts";

// The console of one of several hosts, as its agent serves it; the hosts themselves are stood in for.

let browser: Browser;
beforeAll(async () => {
  browser = await startBrowser();
});

const host = (name: string) =>
  shownHost(name, {
    reads: ["db2", "db3"],
    kept_aside: ["/var/lib/odoo-pg/aside/data-20261129"],
    filling_disks: [{ path: "/srv/data", total_bytes: 1_000_000_000, free_bytes: 20_000_000 }],
  });

const three: HostsStatus = hostsStatusSchema.parse({
  version: 1,
  cluster: "odoo",
  seen_from: "db2",
  store: { answers: true, seconds_ago: 0 },
  primary: "db1",
  synchronous: ["db2", "db3"],
  paused: false,
  failover: { ready: true, obstacles: [], away: ["db3"] },
  endpoints: { write: 5436, read: 5435 },
  hosts: [host("db1"), host("db2"), { ...host("db3"), seconds_ago: 70 }],
});

async function hosts() {
  const port = await freePort();
  const folder = temporaryFolder();
  mkdirSync(layoutOf(folder).secretsDir);
  const orders: HostOrder[] = [];
  let status = three;
  let carryOut: (order: HostOrder) => Promise<Outcome> = async () => await Promise.reject(new Error("?"));
  const server = hostConsole({
    options: {
      layout: layoutOf(folder),
      machine: { hostname: "db2" },
      program: [process.execPath, "none"],
      version: "0.2.0",
      log: () => {},
    },
    runtime: () => undefined,
    ownStatus: {
      disk: async () => await Promise.reject(new Error("no server")),
      backups: async () => await Promise.reject(new Error("no server")),
    },
    judged: async () => await Promise.reject(new Error("no server")),
    hosts: async () => await Promise.resolve(status),
    carryOut: async (order) => {
      orders.push(order);
      return await carryOut(order);
    },
  });
  atEnd(async () => await server.close());
  const cluster = `t${randomUUID().slice(0, 8)}`;
  await server.apply({
    ...configSchema.parse({ cluster, console: { port } }),
    state_dir: folder,
    listen: ["127.0.0.1"],
  });
  return {
    url: `http://127.0.0.1:${port}/`,
    orders,
    link: () => server.newLink().link,
    be: (changes: Partial<HostsStatus>) => {
      status = { ...status, ...changes };
    },
    answer: (how: typeof carryOut) => {
      carryOut = how;
    },
  };
}

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
