import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { documents } from "../../scripts/docs.ts";
import { exampleFile } from "../../src/config/documents/example.ts";
import { resolveEnvironment, resolveText } from "./sources.ts";

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");

test.each([...documents(read)])("%s is what `npm run docs` makes", (path, text) => {
  expect(read(path)).toBe(text);
});

test("the example as it stands means the same as no file", () => {
  expect(resolveText(exampleFile()).config).toEqual(resolveEnvironment({}).config);
});

test("the example with every commented setting taken into use is valid and uses every key", () => {
  const setting = /^( *)# ( *[a-z_]+:(?: \S+| \[.*\])?)$/;
  const lines = exampleFile()
    .split("\n")
    .map((line) => line.replace(setting, "$1$2"))
    // Who follows another's primary, as all settings together do, cannot have its commits wait.
    .map((line) => line.replace("consistency: read-your-writes", "consistency: bounded"));
  const { config } = resolveText(lines.join("\n"));
  expect(config.tls).toEqual({
    certificate: "/etc/odoo-pg/server.crt",
    key: "/etc/odoo-pg/server.key",
    ca: "/etc/odoo-pg/ca.crt",
  });
  expect(config.postgres).toEqual({
    version: 17,
    bin_dir: "/usr/lib/postgresql/17/bin",
    initdb_args: [],
    parameters: { log_min_duration_statement: "1s", work_mem: "32MB" },
  });
  expect(Object.keys(config.password_files)).toEqual(["odoo", "openerp", "replicator", "collectd"]);
  expect(config.backup.dir).toBe("/var/backups/odoo-pg");
});
