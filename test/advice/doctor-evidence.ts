import {
  seen,
  type CatalogSeen,
  type DatabaseListed,
  type DatabaseSeen,
  type Evidence,
  type NodeSeen,
  type OdooDatabaseSeen,
  type RoleSeen,
  type ServerSeen,
} from "../../src/advice/doctor/evidence.ts";
import { readOdooConf } from "../../src/advice/doctor/odoo-conf.ts";
import { resolvedConfigSchema } from "../../src/config/schema.ts";

/** Hand-made evidence of a healthy cluster, for what doctor decides on it. */

export const GB = 1024 ** 3;
export const NOW = Date.UTC(2026, 10, 22, 9, 41);
const DAY_MS = 86_400_000;

/** The settings of a node that odoo-pg has made, in their own units. */
const SETTINGS = {
  archive_command: "",
  archive_mode: "off",
  autovacuum: "on",
  autovacuum_freeze_max_age: "200000000",
  autovacuum_multixact_freeze_max_age: "400000000",
  data_checksums: "on",
  fsync: "on",
  full_page_writes: "on",
  hba_file: "/state/nodes/pg1/pg_hba.conf",
  hot_standby_feedback: "on",
  idle_in_transaction_session_timeout: "3600000",
  ignore_checksum_failure: "off",
  ignore_system_indexes: "off",
  listen_addresses: "127.0.0.1",
  max_connections: "300",
  max_locks_per_transaction: "256",
  max_prepared_transactions: "0",
  max_slot_wal_keep_size: "20000",
  max_standby_streaming_delay: "30000",
  max_wal_senders: "16",
  max_worker_processes: "8",
  server_version: "17.6",
  server_version_num: "170006",
  ssl: "on",
  ssl_min_protocol_version: "TLSv1.2",
  superuser_reserved_connections: "3",
  synchronous_commit: "on",
  track_counts: "on",
  wal_segment_size: "16777216",
  zero_damaged_pages: "off",
};

export const settings = (changes: Readonly<Record<string, string>> = {}): ServerSeen["settings"] =>
  seen(
    new Map(
      Object.entries({ ...SETTINGS, ...changes }).map(([name, value]) => [name, { value, file: null }]),
    ),
  );

export function server(changes: Partial<ServerSeen> = {}): ServerSeen {
  return {
    in_recovery: false,
    settings: settings(),
    clock: seen({ ahead_seconds: 0, since_sent_seconds: null }),
    sessions: seen({ used: 20, idle: [] }),
    hba: seen([
      {
        line: 2,
        type: "local",
        databases: ["all"],
        users: ["all"],
        address: null,
        method: "scram-sha-256",
        error: null,
      },
    ]),
    slots: seen([{ name: "pg2", type: "physical", active: true, wal_status: "reserved", kept_bytes: 0 }]),
    conflicts: undefined,
    archiver: seen({
      failed_count: 0,
      last_archived_at: null,
      last_failed_at: null,
      last_failed_wal: null,
      waiting: 0,
    }),
    prepared: seen([]),
    ...changes,
  };
}

export function replica(changes: Partial<ServerSeen> = {}): ServerSeen {
  return server({
    in_recovery: true,
    slots: seen([]),
    conflicts: seen({ by_reason: { lock: 0, snapshot: 0 }, counted_seconds: 86_400 }),
    archiver: undefined,
    prepared: undefined,
    ...changes,
  });
}

export function node(name: string, changes: Partial<NodeSeen> = {}): NodeSeen {
  return {
    name,
    dataDir: `/state/nodes/${name}/data`,
    server: seen(name === "pg1" ? server() : replica()),
    disk: seen({ totalBytes: 100 * GB, freeBytes: 60 * GB }),
    certificateEnds: seen(NOW + 3000 * DAY_MS),
    ...changes,
  };
}

export function role(name: string, changes: Partial<RoleSeen> = {}): RoleSeen {
  return {
    name,
    superuser: false,
    login: true,
    createdb: false,
    reaches_postgres: true,
    password: "scram",
    ...changes,
  };
}

export function listed(name: string, changes: Partial<DatabaseListed> = {}): DatabaseListed {
  return {
    name,
    owner: "odoo",
    encoding: "UTF8",
    collation: "C",
    is_template: false,
    open: true,
    open_to_all: false,
    others: [],
    collation_version: null,
    library_version: null,
    xid_age: 1000,
    mxid_age: 10,
    checksum_failures: 0,
    ...changes,
  };
}

export function odoo(changes: Partial<OdooDatabaseSeen> = {}): OdooDatabaseSeen {
  return {
    cron_relation: 16_999,
    extensions: ["pg_trgm", "plpgsql", "unaccent"],
    unaccent_volatility: "i",
    searched: [
      { table: "sale_order", is_json: false, index: "sale_order__name_index", index_has_unaccent: true },
    ],
    foreign_objects: [],
    ...changes,
  };
}

export function database(changes: Partial<DatabaseSeen> = {}): DatabaseSeen {
  return {
    odoo: seen(odoo()),
    sequences: seen([]),
    invalid_indexes: seen([]),
    duplicate_indexes: seen([]),
    tables: seen([]),
    ...changes,
  };
}

export function catalog(changes: Partial<CatalogSeen> = {}): CatalogSeen {
  return {
    node: "pg1",
    target: "pg1",
    roles: seen([
      role("collectd"),
      role("odoo", { createdb: true }),
      role("openerp", { login: false, password: "none" }),
      role("postgres", { superuser: true }),
      role("replicator"),
    ]),
    databases: seen([
      listed("odoo_template", { is_template: true, owner: "postgres" }),
      listed("postgres", { owner: "postgres", open_to_all: true }),
      listed("shop"),
    ]),
    template: seen({
      exists: true,
      is_template: true,
      extensions: ["pg_trgm", "plpgsql", "unaccent"],
      unaccent_volatility: "i",
    }),
    each: new Map([["shop", seen(database())]]),
    sessionState: undefined,
    ...changes,
  };
}

const CONF = {
  db_host: "127.0.0.1",
  db_port: "5436",
  db_user: "odoo",
  db_password: "not-to-be-shown",
  db_replica_host: "127.0.0.1",
  db_replica_port: "5435",
  db_template: "odoo_template",
  db_maxconn: "32",
  unaccent: "True",
  workers: "4",
};

/** An odoo.conf of the cluster; `undefined` takes a line out. */
export function odooConf(changes: Readonly<Record<string, string | undefined>> = {}): Evidence["odooConf"] {
  const lines = Object.entries({ ...CONF, ...changes }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name} = ${value}`],
  );
  return seen(readOdooConf("/etc/odoo/odoo.conf", ["[options]", ...lines].join("\n")));
}

export const CONFIG = resolvedConfigSchema.parse({
  cluster: "prod",
  state_dir: "/state",
  listen: ["127.0.0.1"],
});

const run = (kind: "backup" | "drill", daysAgo: number) => ({
  version: 1 as const,
  kind,
  cluster: "prod",
  host: "here",
  started_at: new Date(NOW - daysAgo * DAY_MS).toISOString(),
  finished_at: new Date(NOW - daysAgo * DAY_MS).toISOString(),
  ok: true,
  databases: [
    {
      database: "shop",
      outcome: "ok" as const,
      id: "shop_20261122_0900",
      seconds: 1,
      size_bytes: 1000,
      copied_bytes: 0,
      error: null,
      warnings: [],
    },
  ],
  removed: [],
  warnings: [],
});

/** The record of backups: one good backup, and one proof, as many days old. */
const EVENT_TRIGGER = { code: "superuser_only" as const, of: "event trigger", count: 1, objects: ["audit"] };

export function backups(
  changes: {
    backupDays?: number;
    drillDays?: number | null;
    failed?: "backup" | "drill";
    lacking?: boolean;
    lacks?: boolean;
    databases?: number;
  } = {},
): Evidence["backups"] {
  const { backupDays = 0.01, drillDays = 1, failed, lacking = false, lacks = false, databases = 1 } = changes;
  const wrong = (kind: "backup" | "drill", days: number) => {
    const good = run(kind, days);
    return {
      ...good,
      ok: failed !== kind,
      databases: good.databases.map((one) => ({
        ...one,
        ...(failed === kind ? { outcome: "failed" as const, error: "pg_dump: no" } : {}),
        ...(lacking && kind === "backup" ? { filestore_missing: true } : {}),
      })),
    };
  };
  return seen({
    launchedAt: new Date(NOW - 100 * DAY_MS).toISOString(),
    record: {
      version: 1,
      written_at: new Date(NOW).toISOString(),
      last_good_at: new Date(NOW - backupDays * DAY_MS).toISOString(),
      databases,
      without_backup: [],
      ...(lacks ? { lacking: [{ database: "shop", id: "shop_1", lacks: [EVENT_TRIGGER] }] } : {}),
      backups: 3,
      size_bytes: 3000,
      last_run: wrong("backup", backupDays),
      last_drill: drillDays === null ? null : wrong("drill", drillDays),
    },
  });
}

export function evidence(changes: Partial<Evidence> = {}): Evidence {
  return {
    now: NOW,
    config: CONFIG,
    follows: false,
    hosts: undefined,
    nodes: [node("pg1"), node("pg2")],
    authorityEnds: seen(NOW + 3000 * DAY_MS),
    catalog: seen(catalog()),
    odooConf: odooConf(),
    backups: backups(),
    backupDisk: seen({ totalBytes: 200 * GB, freeBytes: 150 * GB }),
    forecasts: seen(
      new Map([
        ["pg1", { days: 200, hours: 24, perDay: GB, databasesPerDay: GB }],
        ["pg2", null],
      ]),
    ),
    ...changes,
  };
}
