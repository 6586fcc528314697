import { expect, test } from "vitest";
import * as z from "zod";
import { withChanges } from "../../src/hosts/decisions/settings/configure.ts";
import { onlyChanges } from "../../src/hosts/decisions/settings/only-changes.ts";
import { configurationMark, documentSchema, type ClusterDocument } from "../../src/hosts/documents/record.ts";
import { guestViewSchema } from "../../src/hosts/documents/guest-view.ts";
import { hostReportSchema } from "../../src/hosts/documents/report.ts";
import { sayFailover } from "../../src/hosts/render/sheet.ts";
import { withoutHost } from "../../src/hosts/joining/joining.ts";
import { documentOf, shownHost } from "./standins.ts";

/**
 * The document as a later odoo-pg has it: with something of its own at every level, lists included. What this one reads of
 * it is what it knew before.
 */
function ofLater(document: ClusterDocument): Record<string, unknown> {
  const record = z.record(z.string(), z.unknown());
  const config = record.parse(document.config);
  const [endpoints, backup] = [record.parse(config["endpoints"]), record.parse(config["backup"])];
  return {
    ...document,
    quorum: { kind: "majority" },
    hosts: document.hosts.map((host) => ({ ...host, zone: `zone of ${host.name}` })),
    config: {
      ...config,
      kerberos: { realm: "EXAMPLE" },
      endpoints: { ...endpoints, write: { ...record.parse(endpoints["write"]), drain: "5s" } },
      backup: { ...backup, tape: true },
    },
  };
}

const [h1, h2, h3] = (["h1", "h2", "h3"] as const).map((name, index) => ({
  name,
  role: "database" as const,
  address: `10.0.0.${index + 1}`,
}));
if (!h1 || !h2 || !h3) throw new Error("three hosts");
const known = documentOf(h1, h2, h3);
const stored = ofLater(known);

/** What is stored after this version has changed it. */
const changed = (change: (document: ClusterDocument) => ClusterDocument, of: unknown = stored): unknown => {
  const before = documentSchema.parse(of);
  return onlyChanges(of, before, change(before));
};

test("what a later odoo-pg has written is read by what is known of it, and never refused for the rest", () => {
  expect(documentSchema.parse(stored)).toEqual(known);
  expect(configurationMark(documentSchema.parse(stored))).toBe(configurationMark(known));
});

test("a known key with a value that is none is refused, whatever else is there", () => {
  const config = { ...z.record(z.string(), z.unknown()).parse(stored["config"]), networks: "everyone" };
  const parsed = documentSchema.safeParse({ ...stored, config });
  expect(parsed.error?.issues.map(({ path }) => path.join("."))).toEqual(["config.networks"]);
});

test("who changes nothing writes what was there", () => {
  expect(changed((document) => document)).toEqual(stored);
  expect(changed((document) => structuredClone(document))).toEqual(stored);
});

test("a host that is removed goes with all that was said of it, and nothing else does", () => {
  expect(changed((document) => withoutHost(document, "h2"))).toEqual({
    ...stored,
    hosts: [
      { ...h1, zone: "zone of h1" },
      { ...h3, zone: "zone of h3" },
    ],
  });
});

test("a host that joins, and one that gets its mark, leave the others as they were", () => {
  const h4 = { name: "h4", role: "witness" as const, address: "10.0.0.4" };
  const id = "0123456789abcdef";
  const after = changed((document) => ({
    ...document,
    hosts: [...document.hosts.map((host) => (host.name === "h1" ? { ...host, id } : host)), h4],
  }));
  expect(after).toEqual({
    ...stored,
    hosts: [
      { ...h1, zone: "zone of h1", id },
      { ...h2, zone: "zone of h2" },
      { ...h3, zone: "zone of h3" },
      h4,
    ],
  });
});

test("a changed configuration keeps what is not known of it, and the settings that wait", () => {
  const after = changed((document) => ({
    ...document,
    config: withChanges(document.config, [{ path: ["networks"], value: ["10.0.0.0/8"] }]),
    shared: { ...document.shared, max_connections: "200" },
    restart: ["max_connections"],
  }));
  const config = z.record(z.string(), z.unknown()).parse(stored["config"]);
  expect(after).toEqual({
    ...stored,
    config: { ...config, networks: ["10.0.0.0/8"] },
    shared: { max_connections: "200" },
    restart: ["max_connections"],
  });
});

test("what an earlier odoo-pg did not write is not written for it, and a value that is taken away is gone", () => {
  const { restart: _restart, revoked: _revoked, ...earlier } = known;
  expect(changed((document) => withoutHost(document, "h3"), earlier)).toEqual({
    ...earlier,
    hosts: [h1, h2],
  });
  const told = { ...earlier, settings: { work_mem: "64MB", shared_buffers: "1GB" } };
  expect(changed((document) => ({ ...document, settings: { work_mem: "64MB" } }), told)).toEqual({
    ...told,
    settings: { work_mem: "64MB" },
  });
});

/** A report with all that one may say. */
const report = hostReportSchema.parse({
  ...shownHost("h1").report,
  configuration: "0123456789abcdef",
  certificate_ends: 1,
  authority_ends: 2,
  kept_aside: ["/srv/old"],
  filling_disks: [{ path: "/srv", total_bytes: 10, free_bytes: 1 }],
  backups: { schedule: "@hourly", directory: "/b", last_good_at: "2026-11-29T10:00:00.000Z" },
  machine: { memory_bytes: 1, cpus: 1, disk: "ssd" },
});

/** By which it is told whose report it is, and when it was made. */
const NEEDED = ["name", "role", "address", "version", "clock"];

test.each(Object.keys(report).filter((key) => !NEEDED.includes(key)))(
  "a report in which %s is not known is one all the same, for the rest of it",
  (key) => {
    const others = Object.fromEntries(Object.entries(report).filter(([name]) => name !== key));
    for (const value of [{ later: true }, "later", [{ later: true }], undefined]) {
      const parsed = hostReportSchema.safeParse({ ...others, [key]: value });
      expect(parsed.data).toMatchObject(others);
    }
  },
);

test("a host with endpoints alone is led by hosts of a later version that say more than it knows", () => {
  const host = { name: "h1", role: "database", address: "10.0.0.1", seconds_ago: 0 };
  const view = guestViewSchema.parse({
    document: stored,
    store_answers: true,
    leader: "h1",
    sync_leader: "h1",
    synchronous: ["h2"],
    pool_of: "h1",
    rightful: { host: "h1", milliseconds: 15_000 },
    because: "of something later",
    status: {
      version: 1,
      cluster: "odoo",
      seen_from: "h1",
      store: { answers: true, seconds_ago: 0 },
      primary: "h1",
      synchronous: ["h2"],
      paused: false,
      failover: { ready: false, obstacles: ["moon_is_full"], away: [] },
      endpoints: { write: 5436, read: 5435 },
      hosts: [{ ...host, report: { ...report, postgres: { state: "dreaming" } } }],
    },
  });
  expect(view.document).toEqual(known);
  expect(view.rightful?.host).toBe("h1");
  expect(sayFailover(view.status)).toContain("that this version of odoo-pg does not know");
  expect(view.status.hosts[0]?.report).toEqual({ ...report, postgres: null });
});
