import { expect, test } from "vitest";
import { serverMetrics } from "../../src/metrics/server-metrics.ts";
import { settingsMetrics } from "../../src/metrics/settings-metrics.ts";
import type { ServerStatistics } from "../../src/postgres/sql/observing/statistics.ts";

const statistics: ServerStatistics = {
  version: "PostgreSQL 17.6",
  short_version: "17.6",
  started_at: 1_700_000_000,
  in_recovery: false,
  lag_seconds: 0,
  settings: [],
  databases: [
    {
      datid: 5,
      datname: "postgres",
      connectable: true,
      template: false,
      xid_age: 700,
      statistics: { numbackends: 3, checksum_failures: null },
      conflicts: null,
    },
    {
      datid: 1,
      datname: "kept",
      connectable: false,
      template: false,
      xid_age: 700,
      statistics: { numbackends: 0 },
      conflicts: null,
    },
  ],
  activity: [{ datname: "postgres", state: "fastpath function call", sessions: 2, max_tx_seconds: 1.5 }],
  blocked: { sessions: 0, longest_seconds: 0 },
  locks: [],
  bgwriter: { buffers_clean: 1, maxwritten_clean: 2, buffers_alloc: 3 },
  checkpointer: {
    num_timed: 4,
    num_requested: 5,
    write_time: 6,
    sync_time: 7,
    buffers_written: 8,
  },
  backend_writes: { writes: 9, fsyncs: 10 },
  archiver: { archived_count: 0, failed_count: 0, last_archive_age: null },
  wal_position: 100,
  wal: { bytes: 16, segments: 1 },
  standbys: [],
  slots: [],
};

function values(changes: Partial<ServerStatistics>): ReadonlyMap<string, number> {
  return new Map(
    serverMetrics({ ...statistics, ...changes }, undefined, {}).map(({ name, labels, value }) => [
      `${name}${labels["datname"] === undefined ? "" : ` ${labels["datname"]}`}${labels["state"] === undefined ? "" : ` ${labels["state"]}`}`,
      value,
    ]),
  );
}

const writers = {
  checkpoints_timed: 4,
  checkpoints_req: 5,
  checkpoint_write_time: 6,
  checkpoint_sync_time: 7,
  buffers_checkpoint: 8,
  buffers_clean: 1,
  maxwritten_clean: 2,
  buffers_alloc: 3,
  buffers_backend: 9,
  buffers_backend_fsync: 10,
};

test.each([
  ["PostgreSQL 17, where they are in three views", {}],
  [
    "PostgreSQL 16 and before, where they are in one",
    { bgwriter: writers, checkpointer: null, backend_writes: null },
  ],
])("the names of pg_stat_bgwriter are those of %s", (_, changes) => {
  const found = values(changes);
  for (const [name, value] of Object.entries(writers))
    expect([name, found.get(`pg_stat_bgwriter_${name}_total`)]).toEqual([name, value]);
});

test("a state that somebody is in is told although dashboards do not know it, and what is null is not told", () => {
  const found = values({});
  expect(found.get("pg_stat_activity_count postgres fastpath function call")).toBe(2);
  expect(found.get("pg_stat_activity_count postgres active")).toBe(0);
  expect(found.has("pg_stat_activity_count kept active")).toBe(false);
  expect(found.get("pg_stat_database_numbackends kept")).toBe(0);
  expect(found.has("pg_stat_database_checksum_failures postgres")).toBe(false);
  expect(found.has("pg_stat_archiver_last_archive_age")).toBe(false);
});

test("parameters are converted to seconds and bytes; -1 stays, on and off are 1 and 0", () => {
  const setting = (name: string, setting: string, unit: string | null = null) => ({
    name,
    setting,
    unit,
    vartype: setting === "on" || setting === "off" ? ("bool" as const) : ("integer" as const),
  });
  const { metrics, samples } = settingsMetrics(
    [
      setting("shared_buffers", "16384", "8kB"),
      setting("wal_segment_size", "16777216", "B"),
      setting("max_wal_size", "1024", "MB"),
      setting("deadlock_timeout", "1000", "ms"),
      setting("archive_timeout", "5", "min"),
      setting("statement_timeout", "-1", "ms"),
      setting("max_connections", "100"),
      setting("fsync", "on"),
      setting("jit", "off"),
      setting("pg_stat_statements.max", "5000"),
      setting("tcp_keepalives_count", "9"),
    ],
    { instance: "a" },
  );
  expect(samples.map(({ name, value }) => [name, value])).toEqual([
    ["pg_settings_shared_buffers_bytes", 134_217_728],
    ["pg_settings_wal_segment_size_bytes", 16_777_216],
    ["pg_settings_max_wal_size_bytes", 1_073_741_824],
    ["pg_settings_deadlock_timeout_seconds", 1],
    ["pg_settings_archive_timeout_seconds", 300],
    ["pg_settings_statement_timeout_seconds", -1],
    ["pg_settings_max_connections", 100],
    ["pg_settings_fsync", 1],
    ["pg_settings_jit", 0],
    ["pg_settings_pg_stat_statements_max", 5000],
    ["pg_settings_tcp_keepalives_count", 9],
  ]);
  expect(metrics.get("pg_settings_tcp_keepalives_count")?.type).toBe("untyped");
});
