import { expect, test } from "vitest";
import { resolvedConfigSchema, type Config } from "../../src/config/schema.ts";
import { refuseChanges } from "../../src/hosts/decisions/configure.ts";
import { isOfOneHost, withOwnPart } from "../../src/hosts/decisions/own-part.ts";

const configured = (more: object): Config =>
  resolvedConfigSchema.parse({ state_dir: "/var/lib/odoo-pg/odoo", listen: ["127.0.0.1"], ...more });

/** What root would run, read or write by it. */
const store = configured({
  postgres: { bin_dir: "/tmp/bin", parameters: { work_mem: "64MB" } },
  haproxy: { program: "/tmp/haproxy" },
  pgbouncer: { program: "/tmp/pgbouncer" },
  odoo: { role: "erp", filestore: "/etc", addons_path: ["/root"] },
  backup: { dir: "/etc/backups", user: "nobody", on_success: ["/tmp/run"], on_failure: ["/tmp/run"] },
  alarms: { command: ["/tmp/page"] },
});

test("what root runs, reads and writes on a host is never said by the store", () => {
  const own = configured({ backup: { dir: "/mnt/backups" }, odoo: { filestore: "/srv/filestore" } });
  const applied = withOwnPart(store, own);
  expect(applied.backup).toEqual(own.backup);
  expect(applied.alarms).toEqual(own.alarms);
  expect(applied.odoo).toEqual({ ...own.odoo, role: "erp" });
  expect(JSON.stringify(applied)).not.toMatch(/\/tmp|\/etc|\/root|nobody/);
  expect(applied.postgres.parameters).toEqual({ work_mem: "64MB" });
});

test("a host without a file of its own has all of it by default", () => {
  expect(JSON.stringify(withOwnPart(store, undefined))).not.toMatch(/\/tmp|\/etc|\/root|nobody/);
});

test("no order changes it on other hosts", () => {
  for (const path of [
    ["backup", "on_success"],
    ["alarms", "command"],
    ["postgres", "bin_dir"],
    ["haproxy", "program"],
  ]) {
    expect(isOfOneHost(path)).toBe(true);
    expect(refuseChanges([{ path, value: ["/tmp/run"] }])).toContain("is of each host");
  }
  expect(isOfOneHost(["postgres", "parameters", "work_mem"])).toBe(false);
});
