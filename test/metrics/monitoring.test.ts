import { existsSync, readdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { parse, stringify } from "yaml";
import { beforeAll, describe, expect, test } from "vitest";
import { METRICS } from "../../src/metrics/registry.ts";
import { ensureRoles } from "../../src/odoo/roles.ts";
import { connect } from "../../src/system/sql/sql.ts";
import { runningNode, type ThrowawayNode } from "../postgres/throwaway-node.ts";
import { atEnd } from "../support/scope.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { promtool } from "./prometheus.ts";

const folder = fileURLToPath(new URL("../../monitoring", import.meta.url));
const read = (name: string): string => readFileSync(join(folder, name), "utf8");

/** Every text of a document that stands under one of these keys. */
function textsUnder(keys: readonly string[], document: unknown): readonly string[] {
  if (Array.isArray(document)) return document.flatMap((one: unknown) => textsUnder(keys, one));
  if (typeof document !== "object" || document === null) return [];
  return Object.entries(document).flatMap(([key, value]) =>
    keys.includes(key) && typeof value === "string" ? [value] : textsUnder(keys, value),
  );
}

/** Metrics of ours that an expression reads. `up` is Prometheus' own. */
const metricsIn = (expression: string): readonly string[] =>
  expression.match(/\b(?:pg|odoo_pg|process)_[a-z0-9_]+(?![a-z0-9_]*["=~])/g) ?? [];

const known = (name: string): boolean => Object.hasOwn(METRICS, name) || name.startsWith("pg_settings_");

const rules = textsUnder(["expr"], parse(read("odoo-pg.rules.yml")));
const dashboard: unknown = JSON.parse(read("grafana-odoo-pg.json"));
const panels = textsUnder(["expr"], dashboard);

test.each([
  ["the rules file", rules],
  ["the Grafana dashboard", [...panels, ...textsUnder(["definition"], dashboard)]],
])("%s asks for metrics that there are", (_, expressions) => {
  expect(expressions.length).toBeGreaterThan(2);
  for (const expression of expressions) {
    const names = metricsIn(expression).filter((name) => name !== "pg_");
    if (!expression.startsWith("up{")) expect(names.length, expression).toBeGreaterThan(0);
    expect(names.filter((name) => !known(name))).toEqual([]);
  }
});

test("the rules file is clean for promtool, and its rules ring when they should, and only then", async () => {
  const check = await promtool(["check", "rules", join(folder, "odoo-pg.rules.yml")]);
  expect(check).toMatchObject({ exitCode: 0, all: expect.stringContaining(`${rules.length} rules found`) });
  const ran = await promtool(["test", "rules", join(folder, "odoo-pg.rules.test.yml")]);
  expect(ran).toMatchObject({ exitCode: 0, all: expect.stringContaining("SUCCESS") });
});

test("the sample configuration of Prometheus is valid, finds the rules and keeps each node's instance", async () => {
  const check = await promtool(["check", "config", join(folder, "prometheus.yml")]);
  expect(check).toMatchObject({ exitCode: 0, all: expect.stringContaining("1 rule files found") });
  expect(parse(read("prometheus.yml"))).toMatchObject({ scrape_configs: [{ honor_labels: true }] });
});

test("every expression of the dashboard is one that Prometheus understands", async () => {
  const file = join(temporaryFolder(), "panels.yml");
  const recorded = panels.map((expression, number) => ({
    record: `panel:${number}`,
    expr: expression.replaceAll("$__rate_interval", "1m"),
  }));
  writeFileSync(file, stringify({ groups: [{ name: "panels", rules: recorded }] }));
  expect(await promtool(["check", "rules", file])).toMatchObject({
    exitCode: 0,
    all: expect.stringContaining(`${panels.length} rules found`),
  });
});

/** Debian's; elsewhere it is not looked for. */
const collectd = ["/usr/sbin/collectd"].find(existsSync);

describe("the sample for collectd", () => {
  let node: ThrowawayNode;
  const sample = read("collectd.conf");
  const statements = [...sample.matchAll(/Statement "(.*)"/g)].map((match) => match[1] ?? "");

  beforeAll(async () => {
    node = await runningNode();
    await ensureRoles(await node.session(), "odoo", node.passwords);
  });

  test("uses the queries that it defines", () => {
    const defined = [...sample.matchAll(/<Query (\w+)>/g)].map((match) => match[1] ?? "");
    const used = [...sample.matchAll(/^\s+Query (\w+)$/gm)].map((match) => match[1] ?? "");
    expect(new Set(used)).toEqual(new Set(defined));
    expect(statements).toHaveLength(defined.length);
  });

  test.each(statements)("asks what role collectd may ask: %s", async (statement) => {
    const session = await connect({
      ...node.superuser,
      user: "collectd",
      password: node.passwords.collectd,
    });
    atEnd(session.close);
    const slots = await node.session();
    await slots.query(
      "SELECT pg_create_physical_replication_slot('pg9', true) WHERE NOT EXISTS (SELECT FROM pg_replication_slots)",
    );
    const rows = await session.query(statement);
    expect(rows.length).toBeGreaterThan(0);
    const query = sample.slice(0, sample.indexOf(statement)).lastIndexOf("<Query");
    const block = sample.slice(query, sample.indexOf("</Query>", query));
    const columns = [...block.matchAll(/(?:ValuesFrom|InstancesFrom) "(\w+)"/g)].map(
      (match) => match[1] ?? "",
    );
    for (const column of columns) expect(Object.keys(rows[0] ?? {})).toContain(column);
  });

  test.skipIf(collectd === undefined)(
    "is taken by collectd itself, which delivers every query's values",
    async () => {
      const port = String(node.node.port);
      const place = realpathSync(temporaryFolder());
      const passfile = join(place, "pgpass");
      writeFileSync(passfile, `127.0.0.1:*:*:collectd:${node.passwords.collectd}\n`, { mode: 0o600 });
      const file = join(place, "collectd.conf");
      writeFileSync(
        file,
        [
          'Hostname "db1"',
          "Interval 1",
          `PIDFile "${place}/pid"`,
          `BaseDir "${place}"`,
          "LoadPlugin csv",
          `<Plugin csv>\n  DataDir "${place}/csv"\n</Plugin>`,
          sample.replaceAll(/Port "\d+"/g, `Port "${port}"`),
        ].join("\n"),
      );
      const child = execa(collectd ?? "", ["-f", "-C", file], {
        env: { PGPASSFILE: passfile },
        reject: false,
        all: true,
        forceKillAfterDelay: 10_000,
      });
      atEnd(async () => {
        child.kill("SIGTERM");
        await child;
      });
      const told = (): readonly string[] =>
        ["pg1", "pg2"].flatMap((instance) => {
          const folder = join(place, "csv/db1", `postgresql-${instance}`);
          return existsSync(folder) ? readdirSync(folder).map((name) => `${instance} ${name}`) : [];
        });
      const instances = [
        "is_replica",
        "replication_lag",
        "slot_kept-pg9",
        "pg_numbackends-",
        "commit-postgres",
      ];
      await waitFor(
        "collectd to write what each query gives",
        () =>
          [...instances, "pg2 "].every((name) => told().some((one) => one.includes(name))) ||
          child.exitCode !== null,
        { timeout: 60_000 },
      );
      expect(told().join("\n")).toContain("pg2 ");
      for (const name of instances) expect(told().join("\n")).toContain(name);
    },
  );
});
