import { expect, test } from "vitest";
import { hostsStatusSchema } from "../../src/hosts/documents/report.ts";
import { sayBackups } from "../../src/hosts/decisions/backups.ts";
import { pageOrderOf, pageOrders } from "../../src/hosts/decisions/page-order.ts";
import { hostsPage, type Desk } from "../../src/hosts/render/page.ts";
import { sayFillingDisks, sayKeptAside, sayRemoved, sayStrange } from "../../src/hosts/render/sheet.ts";
import { printCommand } from "../../src/next-step.ts";
import { hostsMetrics } from "../../src/metrics/hosts-metrics.ts";
import { shownHost } from "./standins.ts";

const status = (more: object = {}) =>
  hostsStatusSchema.parse({
    version: 1,
    cluster: "odoo",
    seen_from: "db2",
    store: { answers: true, seconds_ago: 0 },
    primary: "db1",
    synchronous: ["db2"],
    paused: false,
    failover: { ready: true, obstacles: [], away: [] },
    endpoints: { write: 5436, read: 5435 },
    hosts: [shownHost("db1"), shownHost("db2")],
    ...more,
  });

const called = "odoo-pg";
const viewer: Desk = { called, token: undefined, offers: [], asked: undefined, last: undefined };

test("the page says whether another host would take over, where clients are led and where backups are made", () => {
  const page = hostsPage(status(), [], viewer);
  expect(page).toContain("Failover: ready");
  expect(page).toMatch(/<td>db1<\/td><td>10\.0\.0\.1<\/td><td>database<\/td><td>replica, 0 B behind/);
  expect(page).toContain("writes to 127.0.0.1:5436 (db1) and reads from 127.0.0.1:5435 (db2)");
  expect(page).toContain("Backups: on db1, by the configuration file of that host.");
  expect(page).toContain("An operator who has signed in (odoo-pg console) can do some of it from here.");
});

test("the page says why no other host would take over", () => {
  const page = hostsPage(
    status({ failover: { ready: false, obstacles: ["no_synchronous_replica"], away: ["db1"] } }),
    [],
    viewer,
  );
  expect(page).toContain("Failover: not ready: no replica has all that was acknowledged");
});

test("what a host says of itself is shown as words, whatever it holds", () => {
  const page = hostsPage(
    status({
      hosts: [
        shownHost("db1"),
        shownHost("db2", {
          working: `<script>alert(1)</script>`,
          kept_aside: [`"><img src=x onerror=alert(1)>`],
          patroni: { running: true, version: "<b>4</b>" },
        }),
      ],
    }),
    [],
    viewer,
  );
  expect(page).not.toMatch(/<script|<img|<b>/);
  expect(page).toContain("&lt;script&gt;");
});

test("what a host says of itself moves no cursor of a terminal", () => {
  const words = "\u001B[2J\u001B]0;gone\u0007";
  const hostile = shownHost("db1", {
    kept_aside: [words],
    backups: { schedule: "0 3 * * *", directory: words },
  });
  const seen = status({ hosts: [hostile, shownHost("db2")] });
  for (const line of [sayBackups(seen), ...sayKeptAside(seen)]) {
    expect(line).toContain("gone");
    expect(line).not.toMatch(/\p{Cc}/u);
  }
});

test("what is of all hosts is told by the primary's alone", () => {
  const figures = {
    cluster: "odoo",
    storeAnswers: true,
    failoverReady: true,
    hosts: [{ name: "db1", role: "database", answers: true }],
    copies: [{ name: "db2", age: 12 }],
  };
  const names = (leads: boolean) => hostsMetrics({ ...figures, leads }).map(({ name }) => name);
  expect(names(true)).toEqual([
    "odoo_pg_store_answers",
    "odoo_pg_failover_ready",
    "odoo_pg_host_answers",
    "odoo_pg_window_copy_age_seconds",
  ]);
  expect(names(false)).toEqual(["odoo_pg_store_answers"]);
});

const NOW = Date.UTC(2026, 10, 29);
const offersOf = (more: object = {}): string[] =>
  pageOrders(status(more), NOW).map(({ command }) => printCommand(command));

test("the page offers what can be done now, from its own host", () => {
  expect(offersOf()).toEqual(["odoo-pg switchover --to db2", "odoo-pg pause --for 30m", "odoo-pg reseed"]);
  expect(offersOf({ paused: true })).toContain("odoo-pg resume");
  // The primary's data is copied from nowhere, and to one that lacks something nobody hands over.
  expect(offersOf({ seen_from: "db1", synchronous: [] })).toEqual(["odoo-pg pause --for 30m"]);
  expect(offersOf({ store: { answers: false, seconds_ago: 9 } })).toEqual([]);
});

test("a form names what is offered now, and nothing else", () => {
  const named = (form: Record<string, string>): unknown => pageOrderOf(form, status(), NOW)?.order;
  expect(named({ order: "switchover", to: "db2", token: "x" })).toEqual({
    order: "switchover",
    to: "db2",
    dry_run: false,
  });
  expect(named({ order: "switchover", to: "db1" })).toBeUndefined();
  expect(named({ order: "switchover" })).toBeUndefined();
  expect(named({ order: "pause" })).toEqual({ order: "pause", until: NOW + 30 * 60_000 });
  for (const order of ["failover", "leave", "remove", "force_new_cluster", "configure", "down"])
    expect(named({ order }), order).toBeUndefined();
});

test("what is to be done is asked once more, with the operator's token, and the page stays", () => {
  const offers = pageOrders(status(), NOW);
  const asked = pageOrderOf({ order: "switchover", to: "db2" }, status(), NOW);
  const page = hostsPage(status(), [], { called, token: "secret", offers, asked, last: undefined });
  expect(page).toContain('<form method="post" action="/order">');
  expect(page).toContain('name="token" value="secret"');
  expect(page).not.toContain("http-equiv");
  const seen = hostsPage(status(), [], { ...viewer, offers, asked });
  expect(seen).not.toMatch(/<form|order=/);
  // It moves by itself for who asks for that, and never while somebody is asked.
  expect(seen).not.toContain("http-equiv");
  expect(hostsPage(status(), [], { ...viewer, watching: true })).toContain("http-equiv");
  expect(
    hostsPage(status(), [], { called, token: "secret", offers, asked, last: undefined, watching: true }),
  ).not.toContain("http-equiv");
  const last = { command: "odoo-pg pause", by: "operator", state: "failed", words: "<b>no</b>" } as const;
  expect(hostsPage(status(), [], { ...viewer, last })).toContain("&lt;b&gt;no");
});

test("a disk that fills up is told by the host that it is of, on the sheet and on the page", () => {
  const filling_disks = [{ path: "/srv/data<i>\u001B[2J", total_bytes: 1_000_000_000, free_bytes: 0 }];
  const full = status({ hosts: [shownHost("db1"), shownHost("db2", { filling_disks })] });
  const [line, ...more] = sayFillingDisks(full);
  expect(more).toEqual([]);
  expect(line).toMatch(/^db2: the disk of \/srv\/data<i>.* is 100 % full, 0 B left$/);
  expect(line).not.toContain("\u001B");
  expect(hostsPage(full, [], viewer)).toMatch(
    /<li>db2: the disk of .*&lt;i&gt;.* is 100 % full, 0 B left\. Make room there\.<\/li>/,
  );
  expect(sayFillingDisks(status())).toEqual([]);
});

test("a host that is none any more says by whose order, and how it comes back", () => {
  const at = Date.UTC(2026, 10, 29, 16, 20, 7);
  const said = (removed: object): string => sayRemoved(status({ removed })).join();
  expect(said({ how: "ordered", at, by: "db1" })).toBe(
    "db2 is no longer one of the cluster's hosts: it was removed by an order on db1 at 2026-11-29 16:20:07 UTC. Its server is stopped, its data stays. To come back: odoo-pg leave here, then odoo-pg join",
  );
  expect(said({ how: "ordered", at, by: null })).toContain("it was removed at 2026-11-29 16:20:07 UTC");
  expect(said({ how: "store" })).toContain("somebody took it out in the store, with the key of a host");
  expect(said({ how: "unknown" })).toContain("none of the others says by whose order");
  expect(sayRemoved(status())).toEqual([]);
  expect(hostsPage(status({ removed: { how: "store" } }), [], viewer)).toContain("<li>db2 is no longer one");
});

test("what somebody has written into the store is told, and moves no cursor of a terminal", () => {
  expect(sayStrange(status())).toEqual([]);
  const [revoked, document, ...more] = sayStrange(
    status({ revoked_by_nobody: ["1a", "2b"], document_problem: "hosts: \u001B[2J" }),
  );
  expect(more).toEqual([]);
  expect(revoked).toContain("(1a, 2b). They stay good");
  expect(document).toContain("cannot be read (hosts: ");
  expect(document).not.toContain("\u001B");
});
