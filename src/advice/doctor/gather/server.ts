import * as z from "zod";
import { ownSession } from "../../../postgres/sql/observing/activity.ts";
import { now } from "../../../system/clock.ts";
import type { Session } from "../../../system/sql/sql.ts";
import type {
  ArchiverSeen,
  ClockSeen,
  ConflictsSeen,
  HbaRule,
  PreparedTransaction,
  ServerSeen,
  SessionsSeen,
  SettingSeen,
  SlotSeen,
} from "../evidence.ts";
import { attempt } from "./attempt.ts";

/** The evidence of one server, each part by a statement of its own. @throws SqlError when it does not answer */
export async function gatherServer(session: Session): Promise<ServerSeen> {
  const [row] = await session.query("SELECT pg_is_in_recovery() AS recovery");
  const in_recovery = row?.["recovery"] === true;
  return {
    in_recovery,
    settings: await attempt(() => settings(session)),
    clock: await attempt(() => clock(session)),
    sessions: await attempt(() => sessions(session)),
    hba: await attempt(() => hba(session)),
    slots: await attempt(() => slots(session)),
    conflicts: in_recovery ? await attempt(() => conflicts(session)) : undefined,
    archiver: in_recovery ? undefined : await attempt(() => archiver(session)),
    prepared: in_recovery ? undefined : await attempt(() => prepared(session)),
  };
}

/** The settings that doctor reads. The session that reads sets none of them for itself. */
export const ASKED_SETTINGS = [
  "archive_command",
  "archive_library",
  "archive_mode",
  "autovacuum",
  "autovacuum_freeze_max_age",
  "autovacuum_multixact_freeze_max_age",
  "data_checksums",
  "fsync",
  "full_page_writes",
  "hba_file",
  "hot_standby_feedback",
  "idle_in_transaction_session_timeout",
  "ignore_checksum_failure",
  "ignore_system_indexes",
  "listen_addresses",
  "max_connections",
  "max_locks_per_transaction",
  "max_prepared_transactions",
  "max_slot_wal_keep_size",
  "max_standby_streaming_delay",
  "max_wal_senders",
  "max_worker_processes",
  "reserved_connections",
  "server_version",
  "server_version_num",
  "ssl",
  "ssl_min_protocol_version",
  "superuser_reserved_connections",
  "synchronous_commit",
  "track_counts",
  "wal_segment_size",
  "zero_damaged_pages",
];

const settingRow = z.object({ name: z.string(), value: z.string(), file: z.string().nullable() });

async function settings(session: Session): Promise<ReadonlyMap<string, SettingSeen>> {
  // A value of the session alone, or of its role, is not what others get.
  const rows = await session.query(
    `SELECT name, CASE WHEN source IN ('session', 'client', 'user', 'database', 'database user') THEN boot_val
       ELSE setting END AS value, sourcefile AS file
     FROM pg_settings WHERE name = ANY($1::text[])`,
    [ASKED_SETTINGS],
  );
  return new Map(
    settingRow
      .array()
      .parse(rows)
      .map(({ name, value, file }) => [name, { value, file }]),
  );
}

const clockRow = z.object({ now: z.number(), sent: z.number().nullable() });

async function clock(session: Session): Promise<ClockSeen> {
  const before = now();
  const [row] = await session.query(
    `SELECT extract(epoch FROM clock_timestamp())::float8 AS now,
       (SELECT extract(epoch FROM last_msg_receipt_time - last_msg_send_time)::float8 FROM pg_stat_wal_receiver) AS sent`,
  );
  const after = now();
  const seen = clockRow.parse(row);
  const theirs = seen.now * 1000;
  const ahead = theirs > after ? theirs - after : theirs < before ? theirs - before : 0;
  return { ahead_seconds: ahead / 1000, since_sent_seconds: seen.sent };
}

const sessionsRow = z.object({
  used: z.number(),
  idle: z
    .object({
      pid: z.number(),
      database: z.string(),
      user: z.string(),
      application: z.string(),
      seconds: z.number(),
      names_cron: z.boolean(),
      row_locks: z.number().array(),
    })
    .array(),
});

async function sessions(session: Session): Promise<SessionsSeen> {
  const [row] = await session.query(
    `SELECT json_build_object(
       'used', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
       'idle', (SELECT coalesce(json_agg(json_build_object(
           'pid', pid, 'database', coalesce(datname, ''), 'user', coalesce(usename, ''), 'application', application_name,
           'seconds', extract(epoch FROM clock_timestamp() - xact_start)::float8,
           'names_cron', query ~* '\\mir_cron\\M',
           'row_locks', ARRAY(SELECT l.relation::int8 FROM pg_locks l
             WHERE l.pid = a.pid AND l.database = a.datid AND l.mode = 'RowShareLock' AND l.relation IS NOT NULL)
         ) ORDER BY xact_start), '[]')
         FROM (SELECT * FROM pg_stat_activity
           WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND state LIKE 'idle in transaction%'
             AND xact_start IS NOT NULL AND ${ownSession()} IS NOT TRUE
           ORDER BY xact_start LIMIT 20) a)
     ) AS seen`,
  );
  return sessionsRow.parse(row?.["seen"]);
}

const hbaRow = z.object({
  line: z.number(),
  type: z.string().nullable(),
  databases: z.string().array(),
  users: z.string().array(),
  address: z.string().nullable(),
  method: z.string().nullable(),
  error: z.string().nullable(),
});

async function hba(session: Session): Promise<HbaRule[]> {
  const rows = await session.query(
    `SELECT line_number AS line, type, coalesce(database, '{}') AS databases, coalesce(user_name, '{}') AS users,
       address || coalesce('/' || netmask, '') AS address, auth_method AS method, error
     FROM pg_hba_file_rules ORDER BY line_number`,
  );
  return hbaRow.array().parse(rows);
}

const slotRow = z.object({
  name: z.string(),
  type: z.enum(["physical", "logical"]),
  active: z.boolean(),
  wal_status: z.string().nullable(),
  kept_bytes: z.number().nullable(),
});

async function slots(session: Session): Promise<SlotSeen[]> {
  const rows = await session.query(
    `SELECT slot_name AS name, slot_type AS type, active, wal_status,
       pg_wal_lsn_diff(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END,
         restart_lsn)::float8 AS kept_bytes
     FROM pg_replication_slots WHERE NOT temporary ORDER BY slot_name`,
  );
  return slotRow.array().parse(rows);
}

const conflictsRow = z.object({
  counted: z.number().nullable(),
  tablespace: z.number(),
  lock: z.number(),
  snapshot: z.number(),
  bufferpin: z.number(),
  deadlock: z.number(),
});

async function conflicts(session: Session): Promise<ConflictsSeen> {
  // Statistics that were never reset count since the data directory was made: its PG_VERSION is never written again.
  const [row] = await session.query(
    `SELECT (SELECT extract(epoch FROM now() - coalesce(min(stats_reset),
           (SELECT modification FROM pg_stat_file('PG_VERSION'))))::float8
         FROM pg_stat_database WHERE datid <> 0) AS counted,
       coalesce(sum(confl_tablespace), 0)::float8 AS tablespace, coalesce(sum(confl_lock), 0)::float8 AS lock,
       coalesce(sum(confl_snapshot), 0)::float8 AS snapshot, coalesce(sum(confl_bufferpin), 0)::float8 AS bufferpin,
       coalesce(sum(confl_deadlock), 0)::float8 AS deadlock
     FROM pg_stat_database_conflicts`,
  );
  const { counted, ...by_reason } = conflictsRow.parse(row);
  return { by_reason, counted_seconds: counted };
}

const archiverRow = z.object({
  failed_count: z.number(),
  last_archived_at: z.number().nullable(),
  last_failed_at: z.number().nullable(),
  last_failed_wal: z.string().nullable(),
  waiting: z.number(),
});

async function archiver(session: Session): Promise<ArchiverSeen> {
  const [row] = await session.query(
    `SELECT failed_count::float8, extract(epoch FROM last_archived_time)::float8 * 1000 AS last_archived_at,
       extract(epoch FROM last_failed_time)::float8 * 1000 AS last_failed_at, last_failed_wal,
       (SELECT count(*) FROM pg_ls_archive_statusdir() WHERE name LIKE '%.ready')::int AS waiting
     FROM pg_stat_archiver`,
  );
  return archiverRow.parse(row);
}

const preparedRow = z.object({
  name: z.string(),
  database: z.string(),
  owner: z.string(),
  seconds: z.number(),
});

async function prepared(session: Session): Promise<PreparedTransaction[]> {
  const rows = await session.query(
    `SELECT gid AS name, database, owner, extract(epoch FROM clock_timestamp() - prepared)::float8 AS seconds
     FROM pg_prepared_xacts ORDER BY prepared LIMIT 20`,
  );
  return preparedRow.array().parse(rows);
}
