import { describe, expect, test } from "vitest";
import type { BackupStatus } from "../../src/model/backups/backup-report.ts";
import { statusOf } from "../../src/cluster/status.ts";
import { keptMetrics, statusMetrics } from "../../src/metrics/cluster-metrics.ts";
import { odooMetrics } from "../../src/metrics/odoo-metrics.ts";
import type { OdooFacts } from "../../src/odoo/facts.ts";
import { agentOf, cluster, NOW, primaryFacts, seen, silent } from "../support/observations.ts";

type Changes = Parameters<typeof cluster>[0];

/** The value of each series, by `name label=value …` without the cluster. */
function told(
  changes: Changes = {},
  poolLeaves: ReadonlyMap<string, number> = new Map(),
): Map<string, number> {
  const input = cluster(changes);
  const figures = {
    config: input.config,
    status: statusOf(input),
    backups: input.backups?.record,
    disks: new Map(
      input.config.nodes.flatMap(({ name, host, port }) => {
        const disk = input.disks.get(name);
        return disk ? [[`${host}:${port}`, disk] as const] : [];
      }),
    ),
    poolLeaves,
  };
  const samples = [...statusMetrics(figures, {}), ...keptMetrics(figures, {}, NOW)];
  return new Map(
    samples.map(({ name, labels, value }) => [
      [name, ...Object.entries(labels).map(([label, word]) => `${label}=${word}`)].join(" "),
      value,
    ]),
  );
}

const hoursAgo = (hours: number): string => new Date(NOW - hours * 3_600_000).toISOString();

const run = (kind: "backup" | "drill", ok: boolean, hours: number) => ({
  version: 1 as const,
  kind,
  cluster: "prod",
  host: "db1",
  started_at: hoursAgo(hours + 1),
  finished_at: hoursAgo(hours),
  ok,
  databases: [],
  removed: [],
  warnings: [],
});

const record: BackupStatus = {
  version: 1,
  written_at: hoursAgo(1),
  last_good_at: hoursAgo(2),
  databases: 12,
  without_backup: ["new"],
  backups: 40,
  size_bytes: 9_400_000_000,
  last_run: run("backup", false, 1),
  last_drill: run("drill", true, 48),
};

describe("backups", () => {
  test("are told with their age, the bound of it, and what was proven", () => {
    const found = told({ backups: { record, launchedAt: hoursAgo(1000) } });
    expect(found.get("odoo_pg_backup_age_seconds")).toBe(7200);
    expect(found.get("odoo_pg_backup_last_good_timestamp_seconds")).toBe(NOW / 1000 - 7200);
    expect(found.get("odoo_pg_backup_max_age_seconds")).toBe(26 * 3600);
    expect(found.get("odoo_pg_backup_last_run_ok")).toBe(0);
    expect(found.get("odoo_pg_backup_databases")).toBe(12);
    expect(found.get("odoo_pg_backup_databases_without")).toBe(1);
    expect(found.get("odoo_pg_backup_size_bytes")).toBe(9_400_000_000);
    expect(found.get("odoo_pg_drill_last_ok")).toBe(1);
    expect(found.get("odoo_pg_drill_age_seconds")).toBe(48 * 3600);
    expect(found.get("odoo_pg_drill_max_age_seconds")).toBe(8 * 86_400);
  });

  test("are proven for each database, and those that never were are counted", () => {
    const proofs = [
      { database: "crm", since: hoursAgo(99), proven: { at: hoursAgo(48), id: "crm_1" }, failed: null },
      {
        database: "shop",
        since: hoursAgo(99),
        proven: null,
        failed: { at: hoursAgo(1), id: "shop_1", error: "no" },
      },
      { database: "new", since: hoursAgo(1), proven: null, failed: null },
    ];
    const found = told({ backups: { record: { ...record, proofs }, launchedAt: hoursAgo(1000) } });
    expect(found.get("odoo_pg_database_proven_age_seconds datname=crm")).toBe(48 * 3600);
    expect(found.get("odoo_pg_database_drill_ok datname=crm")).toBe(1);
    expect(found.get("odoo_pg_database_drill_ok datname=shop")).toBe(0);
    expect(found.has("odoo_pg_database_drill_ok datname=new")).toBe(false);
    expect(found.get("odoo_pg_drill_databases_without")).toBe(2);
    expect(found.get("odoo_pg_drill_last_ok")).toBe(0);
  });

  test("have no age while a database has none: 0 would look fresh", () => {
    const found = told({ backups: { record: { ...record, last_good_at: null }, launchedAt: hoursAgo(1) } });
    expect(found.has("odoo_pg_backup_age_seconds")).toBe(false);
    expect(told().has("odoo_pg_backup_last_run_ok")).toBe(false);
  });
});

test("every code of a warning is told, those that are on with how often, beside the verdict", () => {
  const found = told({ observations: [seen("pg1", primaryFacts()), silent("pg2", "not_running")] });
  expect(found.get("odoo_pg_warnings code=primary_down severity=critical")).toBe(0);
  const on = [...found].filter(([name, value]) => name.startsWith("odoo_pg_warnings ") && value > 0);
  expect(on.length).toBeGreaterThan(0);
  expect(found.get("odoo_pg_status verdict=warning")).toBe(1);
  expect(found.get("odoo_pg_status verdict=ok")).toBe(0);
});

test("how reads are protected is told with the bounds that count in that consistency", () => {
  const bounded = told({ maxLagSeconds: 10 }, new Map([["pg2", 3]]));
  expect(bounded.get("odoo_pg_read_consistency consistency=bounded")).toBe(1);
  expect(bounded.get("odoo_pg_read_max_lag_seconds")).toBe(10);
  expect(bounded.has("odoo_pg_read_max_commit_wait_seconds")).toBe(false);
  expect(bounded.get("odoo_pg_pool_leaves_total node=pg2")).toBe(3);
  const own = told({ consistency: "read-your-writes", agent: agentOf(["pg1", "pg2"], { pool: [] }) });
  expect(own.get("odoo_pg_read_max_commit_wait_seconds")).toBe(3);
  expect(own.get("odoo_pg_pool_size")).toBe(0);
});

test("without a primary the write endpoint is told as down, whatever its port answers", () => {
  const found = told({ observations: [silent("pg1", "not_running")] });
  expect(found.get("odoo_pg_write_endpoint_up")).toBe(0);
  expect(found.has("odoo_pg_node_lag_bytes instance=127.0.0.1:5434 node=pg2")).toBe(false);
});

test("an Odoo database is told with what it has, and nothing is made up of what it has not", () => {
  const facts: OdooFacts = {
    odoo_version: "16.0",
    late_actions: 1,
    oldest_late_seconds: 700,
    failed_actions: null,
    mail_outgoing: 0,
    mail_failed: 2,
    mail_oldest_seconds: 0,
    bus_rows: 3,
    bus_oldest_seconds: 60,
    attachments: 4,
    attachment_bytes: 500,
    attachments_in_filestore_bytes: 400,
    modules_in_transition: 0,
    queue_jobs: { failed: 7 },
    hot_tables: [{ table: "bus_bus", live_rows: 3, dead_rows: 9 }],
  };
  const known = new Map([
    ["shop", { at: NOW - 5000, facts }],
    ["other", { at: NOW, facts: undefined }],
  ]);
  const samples = odooMetrics(known, { cluster: { cluster: "prod" }, node: { instance: "a" } }, NOW);
  const value = (name: string): number | undefined => samples.find((one) => one.name === name)?.value;
  expect(value("odoo_pg_odoo_facts_age_seconds")).toBe(5);
  expect(value("odoo_pg_odoo_oldest_late_seconds")).toBe(700);
  expect(value("odoo_pg_odoo_failed_actions")).toBeUndefined();
  expect(samples.find(({ name }) => name === "odoo_pg_odoo_queue_jobs")).toMatchObject({
    labels: { state: "failed", datname: "shop" },
    value: 7,
  });
  expect(samples.find(({ name }) => name === "pg_stat_user_tables_n_dead_tup")).toEqual({
    name: "pg_stat_user_tables_n_dead_tup",
    labels: { instance: "a", datname: "shop", schemaname: "public", relname: "bus_bus" },
    value: 9,
  });
  expect(samples.filter(({ labels }) => labels["datname"] === "other")).toEqual([]);
});
