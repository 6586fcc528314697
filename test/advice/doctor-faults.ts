import {
  seen,
  unseen,
  type Evidence,
  type HostsSeen,
  type ServerSeen,
} from "../../src/advice/doctor/evidence.ts";
import { warning } from "../../src/model/warnings.ts";
import { odooPg } from "../../src/next-step.ts";
import type { FindingCode, WarningCode } from "../../src/model/troubles/troubles.ts";
import {
  backups,
  catalog,
  CONFIG,
  database,
  evidence,
  GB,
  listed,
  node,
  NOW,
  odoo,
  odooConf,
  replica,
  role,
  server,
  settings,
} from "./doctor-evidence.ts";

export const DAY = 86_400;

export const withPrimary = (changes: Partial<ServerSeen>): Evidence =>
  evidence({ nodes: [node("pg1", { server: seen(server(changes)) }), node("pg2")] });
const withReplica = (changes: Partial<ServerSeen>): Evidence =>
  evidence({ nodes: [node("pg1"), node("pg2", { server: seen(replica(changes)) })] });
const setting = (name: string, value: string): Evidence =>
  withPrimary({ settings: settings({ [name]: value }) });
export const withCatalog = (changes: Parameters<typeof catalog>[0]): Evidence =>
  evidence({ catalog: seen(catalog(changes)) });
const inShop = (changes: Parameters<typeof database>[0]): Evidence =>
  withCatalog({ each: new Map([["shop", seen(database(changes))]]) });
const shopListed = (changes: Parameters<typeof listed>[1]): Evidence =>
  withCatalog({ databases: seen([listed("shop", changes)]) });
export const withRole = (changed: ReturnType<typeof role>): Evidence =>
  withCatalog({
    roles: seen([
      ...[role("odoo", { createdb: true }), role("postgres", { superuser: true })].filter(
        ({ name }) => name !== changed.name,
      ),
      changed,
    ]),
  });
const hba = (
  type: string,
  user: string,
  address: string | null,
  method: string,
  error: string | null = null,
) =>
  withPrimary({
    hba: seen([{ line: 7, type, databases: ["all"], users: [user], address, method, error }]),
  });
export const idle = (
  seconds: number,
  changes: { names_cron?: boolean; row_locks?: number[] } = {},
): Evidence =>
  withPrimary({
    sessions: seen({
      used: 3,
      idle: [
        {
          pid: 4711,
          database: "shop",
          user: "odoo",
          application: "odoo-17",
          seconds,
          names_cron: false,
          row_locks: [],
          ...changes,
        },
      ],
    }),
  });
/** Three hosts, as that of the primary sees them. */
export const overHosts = (hosts: Partial<HostsSeen> = {}, changes: Partial<Evidence> = {}): Evidence =>
  evidence({
    config: { ...CONFIG, nodes: ["h1", "h2", "h3"].map((name) => ({ name, host: "127.0.0.1", port: 5433 })) },
    nodes: [
      node("h1", {
        server: seen(
          server({
            slots: seen([
              { name: "h2", type: "physical", active: true, wal_status: "reserved", kept_bytes: 0 },
              { name: "h3", type: "physical", active: false, wal_status: "extended", kept_bytes: 0 },
            ]),
          }),
        ),
      }),
    ],
    hosts: {
      own: "h1",
      primary: "h1",
      others: [
        { name: "h2", hasDatabase: true, answers: true, version: "17.6", aheadSeconds: 0.1 },
        { name: "h3", hasDatabase: true, answers: false, version: undefined, aheadSeconds: undefined },
      ],
      warnings: [],
      backedUp: undefined,
      silence: undefined,
      ...hosts,
    },
    ...changes,
  });
const betweenHosts = (code: WarningCode): Evidence =>
  overHosts({ warnings: [warning(code, { message: "So it is.", next: odooPg("status") })] });
const slot = (changes: Partial<{ name: string; active: boolean; wal_status: string; kept_bytes: number }>) =>
  withPrimary({
    slots: seen([
      { name: "pg2", type: "physical", active: true, wal_status: "reserved", kept_bytes: 0, ...changes },
    ]),
  });

/** For each finding, evidence in which it is, and nothing else. */
export const FAULTS: Readonly<Record<FindingCode, Evidence>> = {
  store_without_majority: betweenHosts("store_without_majority"),
  failover_not_ready: betweenHosts("failover_not_ready"),
  host_away: betweenHosts("host_away"),
  host_authority_ends: betweenHosts("host_authority_ends"),
  host_certificate_ends: betweenHosts("host_certificate_ends"),
  odoo_replica_port_missing: evidence({ odooConf: odooConf({ db_replica_port: undefined }) }),
  odoo_replica_unused: evidence({
    odooConf: odooConf({ db_replica_host: undefined, db_replica_port: "False" }),
  }),
  odoo_write_endpoint_bypassed: evidence({ odooConf: odooConf({ db_port: "5433" }) }),
  odoo_read_endpoint_bypassed: evidence({ odooConf: odooConf({ db_replica_port: "5434" }) }),
  odoo_template_other: evidence({ odooConf: odooConf({ db_template: undefined }) }),
  odoo_role_unknown: evidence({ odooConf: odooConf({ db_user: "oddo" }) }),
  odoo_tls_off: evidence({ odooConf: odooConf({ db_sslmode: "disable", db_host: "db.example.com" }) }),
  odoo_connections_exceed: evidence({ odooConf: odooConf({ db_maxconn: "64" }) }),
  connections_nearly_used: withPrimary({ sessions: seen({ used: 260, idle: [] }) }),
  pooling_ends_session_state: evidence({
    catalog: seen(catalog({ sessionState: seen([{ database: "shop", what: "LISTEN", calls: 3 }]) })),
  }),
  idle_timeout_below_cron: evidence({ odooConf: odooConf({ limit_time_real_cron: "7200" }) }),
  odoo_role_superuser: withRole(role("odoo", { createdb: true, superuser: true })),
  more_superusers: withRole(role("boss", { superuser: true })),
  odoo_role_cut_off: withRole(role("odoo", { createdb: true, reaches_postgres: false })),
  password_md5: withRole(role("odoo", { createdb: true, password: "md5" })),
  template_unfit: withCatalog({
    template: seen({ exists: true, is_template: true, extensions: ["unaccent"], unaccent_volatility: "s" }),
  }),
  database_owner_wrong: shopListed({ owner: "collectd" }),
  template_owner_wrong: withCatalog({
    databases: seen([listed("odoo_template", { is_template: true, owner: "openerp" })]),
  }),
  database_open: shopListed({ open_to_all: true }),
  others_in_database: shopListed({ others: ["bert"] }),
  objects_owner_wrong: inShop({
    odoo: seen(odoo({ foreign_objects: [{ owner: "postgres", objects: 3, example: "res_users" }] })),
  }),
  database_collation: shopListed({ collation: "en_US.UTF-8" }),
  collation_version_changed: shopListed({ collation_version: "2.31", library_version: "2.36" }),
  extension_missing: inShop({ odoo: seen(odoo({ extensions: ["plpgsql"], unaccent_volatility: null })) }),
  unaccent_not_immutable: inShop({ odoo: seen(odoo({ unaccent_volatility: "s" })) }),
  unaccent_index_missing: inShop({
    odoo: seen(
      odoo({ searched: [{ table: "sale_order", is_json: false, index: null, index_has_unaccent: false }] }),
    ),
  }),
  replica_settings_below: withReplica({ settings: settings({ max_worker_processes: "4" }) }),
  standby_feedback_off: withReplica({ settings: settings({ hot_standby_feedback: "off" }) }),
  standby_delay_unfit: withReplica({ settings: settings({ max_standby_streaming_delay: "-1" }) }),
  slot_without_cap: setting("max_slot_wal_keep_size", "-1"),
  slot_keeps_wal: slot({ kept_bytes: 12 * GB }),
  slot_unused: slot({ name: "old_replica", active: false }),
  slot_lost: slot({ wal_status: "lost", active: false }),
  replica_conflicts: withReplica({
    conflicts: seen({ by_reason: { lock: 2, snapshot: 9 }, counted_seconds: 3 * DAY }),
  }),
  backups_off: evidence({ config: { ...CONFIG, backup: { ...CONFIG.backup, enabled: false } } }),
  backup_failed: evidence({ backups: backups({ failed: "backup" }) }),
  backup_filter_matches_nothing: evidence({
    backups: backups({ databases: 0 }),
    config: { ...CONFIG, backup: { ...CONFIG.backup, only_filter: "^prod$" } },
  }),
  backup_incomplete: evidence({ backups: backups({ lacking: true }) }),
  backup_too_old: evidence({ backups: backups({ backupDays: 3 }) }),
  never_drilled: evidence({
    backups: backups({ drillDays: null }),
    config: { ...CONFIG, backup: { ...CONFIG.backup, max_drill_age_days: 200 } },
  }),
  drill_too_old: evidence({ backups: backups({ drillDays: 30 }) }),
  drill_failed: evidence({ backups: backups({ failed: "drill" }) }),
  not_restorable: evidence({ backups: backups({ lacks: true }) }),
  archiver_failing: withPrimary({
    settings: settings({ archive_mode: "on", archive_command: "cp %p /mnt/%f" }),
    archiver: seen({
      failed_count: 7,
      last_archived_at: NOW - 9000,
      last_failed_at: NOW - 1000,
      last_failed_wal: "000000010000000000000007",
      waiting: 3,
    }),
  }),
  archiver_late: withPrimary({
    settings: settings({ archive_mode: "on", archive_command: "cp %p /mnt/%f" }),
    archiver: seen({
      failed_count: 0,
      last_archived_at: NOW,
      last_failed_at: null,
      last_failed_wal: null,
      waiting: 33,
    }),
  }),
  disk_nearly_full: evidence({ backupDisk: seen({ totalBytes: 200 * GB, freeBytes: 9 * GB }) }),
  disk_filling: evidence({
    nodes: [node("pg1", { disk: seen({ totalBytes: 100 * GB, freeBytes: 14 * GB }) }), node("pg2")],
  }),
  disk_days_left: evidence({
    forecasts: seen(
      new Map([
        ["pg1", null],
        ["pg2", { days: 6.3, hours: 18, perDay: 2 * GB, databasesPerDay: GB / 2 }],
      ]),
    ),
  }),
  checksums_off: setting("data_checksums", "off"),
  checksum_failures: shopListed({ checksum_failures: 2 }),
  damage_ignored: setting("zero_damaged_pages", "on"),
  wraparound_approaching: shopListed({ xid_age: 450_000_000 }),
  wraparound_near: shopListed({ mxid_age: 1_700_000_000 }),
  autovacuum_off: setting("autovacuum", "off"),
  tables_not_vacuumed: inShop({
    tables: seen([
      { name: "bus_bus", live: 100, dead: 5000, vacuumed_seconds: null, autovacuum_off: true },
      { name: "res_country", live: 100, dead: 5000, vacuumed_seconds: null, autovacuum_off: false },
    ]),
  }),
  sequence_half_used: inShop({
    sequences: seen([
      { name: "bus_bus_id_seq", column: "bus_bus.id", last: 1_200_000_000, most: 2_147_483_647 },
      { name: "sale_order_id_seq", column: "sale_order.id", last: 1_000_000_000, most: 2_147_483_647 },
    ]),
  }),
  index_invalid: inShop({
    invalid_indexes: seen([{ name: "sale_order_name_idx", table: "sale_order", bytes: 8192 }]),
  }),
  index_duplicate: inShop({
    duplicate_indexes: seen([{ name: "b_idx", table: "sale_order", bytes: 8192, same_as: "a_idx" }]),
  }),
  idle_in_transaction: idle(400),
  prepared_transaction_left: withPrimary({
    prepared: seen([{ name: "4711_eA==_MQ==", database: "shop", owner: "odoo", seconds: 90 }]),
  }),
  cron_in_transaction: idle(4000, { row_locks: [16_999] }),
  fsync_off: setting("fsync", "off"),
  full_page_writes_off: setting("full_page_writes", "off"),
  commits_not_flushed: setting("synchronous_commit", "off"),
  hba_trust: hba("local", "all", null, "trust"),
  hba_weak_password: hba("hostssl", "odoo", "10.0.0.0/255.255.255.0", "md5"),
  hba_without_tls: hba("host", "odoo", "10.0.0.0/255.255.255.0", "scram-sha-256"),
  hba_superuser_remote: hba("hostssl", "all", "10.0.0.0/255.255.255.0", "scram-sha-256"),
  hba_error: hba(
    "host",
    "all",
    "127.0.0.1/255.255.255.255",
    "scram",
    'invalid authentication method "scram"',
  ),
  tls_off: withPrimary({ settings: settings({ ssl: "off", listen_addresses: "127.0.0.1,10.0.0.11" }) }),
  tls_old_protocol: setting("ssl_min_protocol_version", "TLSv1"),
  certificate_expiring: evidence({
    nodes: [node("pg1"), node("pg2", { certificateEnds: seen(NOW + 20 * DAY * 1000) })],
  }),
  certificate_expired: evidence({
    nodes: [node("pg1"), node("pg2", { certificateEnds: seen(NOW - 1000) })],
  }),
  major_version_ends_soon: evidence({ now: Date.UTC(2029, 8, 1), backups: unseen("not now") }),
  major_version_ended: evidence({ now: Date.UTC(2029, 10, 9), backups: unseen("not now") }),
  node_versions_differ: withReplica({ settings: settings({ server_version: "17.5 (Debian 17.5-1)" }) }),
  clock_skew: withReplica({ clock: seen({ ahead_seconds: -3.5, since_sent_seconds: 0 }) }),
};
