import { expect, test } from "vitest";
import * as z from "zod";
import { withChanges } from "../../src/hosts/decisions/configure.ts";
import { onlyChanges } from "../../src/hosts/decisions/only-changes.ts";
import { configurationMark, documentSchema, type ClusterDocument } from "../../src/hosts/documents/record.ts";
import { withoutHost } from "../../src/hosts/joining/joining.ts";
import { documentOf } from "./standins.ts";

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
