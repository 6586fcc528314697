import { expect, test } from "vitest";
import { hostsStatusSchema } from "../../src/hosts/documents/report.ts";
import { sayBackups } from "../../src/hosts/decisions/backups.ts";
import { hostsPage } from "../../src/hosts/render/page.ts";
import { sayKeptAside } from "../../src/hosts/render/sheet.ts";
import { hostsMetrics } from "../../src/metrics/hosts-metrics.ts";

const host = (name: string, more: object = {}) => ({
  name,
  role: "database",
  address: "10.0.0.1",
  seconds_ago: 0.4,
  report: {
    name,
    role: "database",
    address: "10.0.0.1",
    version: "0.2.0",
    clock: 0,
    store: { answers: true, votes: true, leads: false },
    sees_store: true,
    patroni: { running: true, version: "4.0.7" },
    postgres: { state: "replica", streaming: true, timeline: 3, lag_bytes: 0, version: "15.18" },
    reads: ["db2"],
    writes: "db1",
    working: null,
    ...more,
  },
});

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
    hosts: [host("db1"), host("db2")],
    ...more,
  });

test("the page says whether another host would take over, where clients are led and where backups are made", () => {
  const page = hostsPage(status(), []);
  expect(page).toContain("Failover: ready");
  expect(page).toMatch(/<td>db1<\/td><td>10\.0\.0\.1<\/td><td>database<\/td><td>replica, 0 B behind/);
  expect(page).toContain("writes to 127.0.0.1:5436 (db1) and reads from 127.0.0.1:5435 (db2)");
  expect(page).toContain("Backups: on db1, by the configuration file of that host.");
});

test("the page says why no other host would take over", () => {
  const page = hostsPage(
    status({ failover: { ready: false, obstacles: ["no_synchronous_replica"], away: ["db1"] } }),
    [],
  );
  expect(page).toContain("Failover: not ready: no replica has all that was acknowledged");
});

test("what a host says of itself is shown as words, whatever it holds", () => {
  const page = hostsPage(
    status({
      hosts: [
        host("db1"),
        host("db2", {
          working: `<script>alert(1)</script>`,
          kept_aside: [`"><img src=x onerror=alert(1)>`],
          patroni: { running: true, version: "<b>4</b>" },
        }),
      ],
    }),
    [],
  );
  expect(page).not.toMatch(/<script|<img|<b>/);
  expect(page).toContain("&lt;script&gt;");
});

test("what a host says of itself moves no cursor of a terminal", () => {
  const words = "\u001B[2J\u001B]0;gone\u0007";
  const hostile = host("db1", { kept_aside: [words], backups: { schedule: "0 3 * * *", directory: words } });
  const seen = status({ hosts: [hostile, host("db2")] });
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
  };
  const names = (leads: boolean) => hostsMetrics({ ...figures, leads }).map(({ name }) => name);
  expect(names(true)).toEqual(["odoo_pg_store_answers", "odoo_pg_failover_ready", "odoo_pg_host_answers"]);
  expect(names(false)).toEqual(["odoo_pg_store_answers"]);
});
