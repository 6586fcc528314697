import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import * as z from "zod";
import { METRICS } from "../../src/metrics/registry.ts";
import { nodeProcesses } from "../faults/node-processes.ts";
import { type ThrowawayCluster, throwawayCluster } from "../support/cluster.ts";
import { makeOdooDatabase } from "../support/odoo-database.ts";
import { freePort } from "../support/ports.ts";
import { temporaryFolder } from "../support/temporary-folder.ts";
import { waitFor } from "../support/wait.ts";
import { dashboard9628, states9628 } from "./dashboard-9628.ts";
import { parseExposition, type Series, seriesOf, valueOf } from "./exposition-text.ts";
import { promtool, startPrometheus } from "./prometheus.ts";

let cluster: ThrowawayCluster;
let address: string;

/** What `/metrics` gives, as text. */
async function scrape(): Promise<string> {
  const answer = await fetch(`http://${address}/metrics`);
  if (!answer.ok) throw new Error(`/metrics answered ${answer.status}: ${await answer.text()}`);
  expect(answer.headers.get("content-type")).toMatch(/^text\/plain; version=0\.0\.4/);
  return await answer.text();
}

/** Scrapes until what is asked for is there: sizes and Odoo's facts come with a later scrape. */
async function scrapedWhen(what: string, holds: (all: readonly Series[]) => boolean): Promise<string> {
  let text = "";
  const settled = async (): Promise<boolean> => {
    text = await scrape();
    return holds(parseExposition(text));
  };
  await waitFor(what, settled, { timeout: 60_000 });
  return text;
}

const instance = (node: number): string => `127.0.0.1:${cluster.ports.nodes[node - 1]}`;

/** Everything is told of both nodes, and of Odoo's database. */
const complete = (all: readonly Series[]): boolean =>
  [1, 2].every((node) =>
    ["pg_static", "pg_database_size_bytes"].every(
      (name) => seriesOf(all, name, { instance: instance(node) }).length > 0,
    ),
  ) &&
  seriesOf(all, "odoo_pg_odoo_info").length > 0 &&
  // Not known until HAProxy was asked, which a busy one answers at the next look.
  seriesOf(all, "odoo_pg_endpoint_waiting_clients").length > 0 &&
  // Not known until the replica has replayed a first transaction.
  seriesOf(all, "odoo_pg_node_lag_seconds").length > 0;

/** Panels of our dashboard that show something only when something was done, or is wrong. */
const EMPTY_WHEN_WELL: readonly string[] = [
  "Warnings",
  "Replicas that left the pool, by the hour",
  "Longest transaction",
];

const dashboardSchema = z.object({
  panels: z.object({ title: z.string(), targets: z.object({ expr: z.string() }).array().optional() }).array(),
});

/** The panels of our dashboard with what they ask, its variables filled in. */
function panels(): readonly { readonly title: string; readonly expressions: readonly string[] }[] {
  const file = new URL("../../monitoring/grafana-odoo-pg.json", import.meta.url);
  const { panels: all } = dashboardSchema.parse(JSON.parse(readFileSync(file, "utf8")));
  const filledIn = (expression: string): string =>
    expression.replaceAll(/\$(?:cluster|datname)\b/g, ".*").replaceAll("$__rate_interval", "1m");
  return all.flatMap(({ title, targets }) =>
    targets ? [{ title, expressions: targets.map(({ expr }) => filledIn(expr)) }] : [],
  );
}

beforeAll(async () => {
  const port = await freePort();
  address = `127.0.0.1:${port}`;
  cluster = await throwawayCluster({ config: { console: { enabled: true, port } } });
  await cluster.up();
  await cluster.healthy();
  await makeOdooDatabase({
    superuser: cluster.superuser(),
    // A name that has to be escaped.
    database: 'sales "north"\\',
    filestore: temporaryFolder(),
  });
});

describe("/metrics of a running cluster", () => {
  let text: string;
  let all: readonly Series[];

  beforeAll(async () => {
    text = await scrapedWhen("everything to be told", complete);
    all = parseExposition(text);
  });

  test("is clean for promtool check metrics", async () => {
    expect(await promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, all: "" });
  });

  test("names each series once", () => {
    const keys = all.map(({ name, labels }) => `${name} ${JSON.stringify(labels)}`);
    expect(keys.length).toBeGreaterThan(500);
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([]);
  });

  test.each(Object.entries(dashboard9628))(
    "has %s as Grafana's dashboard 9628 asks for it, of every node",
    (name, labels) => {
      for (const node of [1, 2]) {
        const found = seriesOf(all, name, { instance: instance(node) });
        expect(found.length).toBeGreaterThan(0);
        for (const series of found) for (const label of labels) expect(series.labels).toHaveProperty(label);
      }
    },
  );

  test("tells sessions of every state and locks of every mode, also where there are none", () => {
    for (const state of states9628)
      expect(
        seriesOf(all, "pg_stat_activity_count", { datname: "postgres", state, instance: instance(1) }),
      ).toHaveLength(1);
    const mode = "accessexclusivelock";
    expect(valueOf(all, "pg_locks_count", { datname: "postgres", mode, instance: instance(1) })).toBe(0);
  });

  test("tells primary and replica apart", () => {
    expect(valueOf(all, "pg_replication_is_replica", { instance: instance(1) })).toBe(0);
    expect(valueOf(all, "pg_replication_is_replica", { instance: instance(2) })).toBe(1);
    expect(valueOf(all, "odoo_pg_node_primary", { node: "pg1", instance: instance(1) })).toBe(1);
    expect(valueOf(all, "odoo_pg_node_in_pool", { node: "pg2" })).toBe(1);
    expect(valueOf(all, "pg_replication_slots_active", { slot_type: "physical" })).toBe(1);
    expect(
      seriesOf(all, "pg_stat_replication_pg_wal_lsn_diff", { application_name: "pg2", state: "streaming" }),
    ).toHaveLength(1);
    expect(
      seriesOf(all, "pg_stat_database_conflicts_confl_snapshot", { instance: instance(1) }),
    ).toHaveLength(0);
    expect(
      seriesOf(all, "pg_stat_database_conflicts_confl_snapshot", {
        instance: instance(2),
        datname: "postgres",
      }),
    ).toHaveLength(1);
  });

  test("tells how reads are protected, and how the backups are", () => {
    expect(
      seriesOf(all, "odoo_pg_read_consistency", { consistency: "bounded", cluster: "test" }),
    ).toHaveLength(1);
    expect(valueOf(all, "odoo_pg_read_max_lag_bytes")).toBe(16 * 1024 * 1024);
    expect(valueOf(all, "odoo_pg_pool_size")).toBe(1);
    expect(valueOf(all, "odoo_pg_status", { verdict: "ok" })).toBe(1);
    expect(valueOf(all, "odoo_pg_warnings", { code: "pool_empty", severity: "warning" })).toBe(0);
    expect(valueOf(all, "odoo_pg_backup_enabled")).toBe(0);
    expect(seriesOf(all, "odoo_pg_backup_age_seconds")).toEqual([]);
  });

  test("tells of an Odoo database, whatever its name", () => {
    const datname = 'sales "north"\\';
    expect(seriesOf(all, "odoo_pg_odoo_info", { datname, odoo_version: "19.0" })).toHaveLength(1);
    expect(valueOf(all, "odoo_pg_odoo_attachments", { datname })).toBe(22);
    const table = { datname, relname: "ir_attachment", schemaname: "public", instance: instance(1) };
    expect(seriesOf(all, "pg_stat_user_tables_n_live_tup", table)).toHaveLength(1);
    expect(seriesOf(all, "odoo_pg_odoo_info", { datname: "postgres" })).toEqual([]);
  });

  test("declares nothing that it never tells", () => {
    const absent = Object.keys(METRICS).filter((name) => seriesOf(all, name).length === 0);
    // Those that hang on what this cluster does not have: checksums, archiving, backups, mail, bus, queue_job …
    expect(absent.toSorted()).toEqual([
      "odoo_pg_attachments_kept_age_seconds",
      "odoo_pg_backup_age_seconds",
      "odoo_pg_backup_databases",
      "odoo_pg_backup_databases_without",
      "odoo_pg_backup_last_good_timestamp_seconds",
      "odoo_pg_backup_last_run_ok",
      "odoo_pg_backup_last_run_timestamp_seconds",
      "odoo_pg_backup_max_age_seconds",
      "odoo_pg_backup_size_bytes",
      "odoo_pg_base_backups",
      "odoo_pg_copy_age_seconds",
      "odoo_pg_copy_ok",
      "odoo_pg_copy_timestamp_seconds",
      "odoo_pg_database_drill_ok",
      "odoo_pg_database_proven_age_seconds",
      "odoo_pg_database_proven_timestamp_seconds",
      "odoo_pg_drill_age_seconds",
      "odoo_pg_drill_databases_without",
      "odoo_pg_drill_last_ok",
      "odoo_pg_drill_last_timestamp_seconds",
      "odoo_pg_drill_max_age_seconds",
      "odoo_pg_failover_ready",
      "odoo_pg_host_answers",
      "odoo_pg_odoo_bus_oldest_seconds",
      "odoo_pg_odoo_bus_rows",
      "odoo_pg_odoo_failed_actions",
      "odoo_pg_odoo_late_actions",
      "odoo_pg_odoo_mail_failed",
      "odoo_pg_odoo_mail_oldest_seconds",
      "odoo_pg_odoo_mail_outgoing",
      "odoo_pg_odoo_oldest_late_seconds",
      "odoo_pg_odoo_queue_jobs",
      "odoo_pg_pooler_clients",
      "odoo_pg_pooler_server_sessions",
      "odoo_pg_pooler_up",
      "odoo_pg_read_max_commit_wait_seconds",
      "odoo_pg_read_max_lag_seconds",
      "odoo_pg_second_drill_ok",
      "odoo_pg_second_proven_age_seconds",
      "odoo_pg_second_proven_duration_seconds",
      "odoo_pg_second_proven_timestamp_seconds",
      "odoo_pg_store_answers",
      "odoo_pg_window_archiving",
      "odoo_pg_window_begin_timestamp_seconds",
      "odoo_pg_window_copy_age_seconds",
      "odoo_pg_window_end_age_seconds",
      "odoo_pg_window_end_timestamp_seconds",
      "odoo_pg_window_gaps",
    ]);
  });
});

test("a real Prometheus scrapes it twice and answers questions, each node by its own instance", async () => {
  const prometheus = await startPrometheus({
    global: { scrape_interval: "1s", scrape_timeout: "1s" },
    scrape_configs: [{ job_name: "odoo-pg", honor_labels: true, static_configs: [{ targets: [address] }] }],
  });
  await waitFor("two scrapes", async () =>
    (await prometheus.query("count_over_time(pg_up[1m])")).some(({ value }) => value >= 2),
  );
  const up = await prometheus.query("pg_up");
  expect(Object.fromEntries(up.map(({ metric, value }) => [metric["instance"], value]))).toEqual({
    [instance(1)]: 1,
    [instance(2)]: 1,
  });
  expect(await prometheus.query('up{job="odoo-pg"} == 1')).toHaveLength(1);
  const hits = await prometheus.query(
    `pg_stat_database_blks_hit{instance="${instance(1)}", datname=~"postgres"} / (pg_stat_database_blks_read{instance="${instance(1)}", datname=~"postgres"} + pg_stat_database_blks_hit{instance="${instance(1)}", datname=~"postgres"})`,
  );
  expect(hits).toHaveLength(1);
  expect(hits[0]?.value).toBeGreaterThan(0);

  // Grafana fills in its variables, and asks Prometheus the same.
  const told = await scrape();
  for (const { title, expressions } of panels()) {
    const names = expressions.flatMap((expression) => expression.match(/\b(?:odoo_pg|pg)_\w+/g) ?? []);
    const isTold = (name: string): boolean => told.includes(`\n${name}{`) || told.includes(`\n${name} `);
    const unknown = names.filter((name) => !Object.hasOwn(METRICS, name) && !isTold(name));
    expect([title, unknown]).toEqual([title, []]);
    const answers = await Promise.all(expressions.map((expression) => prometheus.query(expression)));
    if (names.every(isTold) && !EMPTY_WHEN_WELL.includes(title))
      expect([title, answers.flat().length > 0]).toEqual([title, true]);
  }
});

test("a server that hangs is told as down, and the others are told as ever; back again it is told as before", async () => {
  const replica = nodeProcesses(cluster, "pg2");
  replica.freeze();
  const text = await scrapedWhen(
    "pg2 to be told as down",
    (all) => valueOf(all, "pg_up", { instance: instance(2) }) === 0,
  );
  const all = parseExposition(text);
  expect(valueOf(all, "pg_up", { instance: instance(1) })).toBe(1);
  expect(seriesOf(all, "pg_static").map(({ labels }) => labels["instance"])).toEqual([instance(1)]);
  expect(await promtool(["check", "metrics"], text)).toEqual({ exitCode: 0, all: "" });
  await scrapedWhen(
    "the pool to be told as left",
    (now) =>
      seriesOf(now, "odoo_pg_pool_leaves_total", { node: "pg2" }).some(({ value }) => value >= 1) &&
      // Another test may have counted a leave before.
      valueOf(now, "odoo_pg_pool_size") === 0,
  );
  replica.thaw();
  await scrapedWhen("pg2 to be told again", complete);
});
