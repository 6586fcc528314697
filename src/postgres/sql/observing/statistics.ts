import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";

/** Counters of one row of a statistics view, by PostgreSQL's names; null where it does not count. */
const counters = z.record(z.string(), z.number().nullable());

/** What one query tells of a server for monitoring. Times are seconds since the epoch by the server's clock. */
const serverStatisticsSchema = z.object({
  version: z.string(),
  short_version: z.string(),
  started_at: z.number(),
  in_recovery: z.boolean(),
  /** Seconds since the last replayed transaction; 0 where everything received is replayed. Null before the first one. */
  lag_seconds: z.number().nullable(),
  /** Parameters that are numbers or on/off, in the server's units. */
  settings: z
    .object({
      name: z.string(),
      setting: z.string(),
      unit: z.string().nullable(),
      vartype: z.enum(["bool", "integer", "real"]),
    })
    .array(),
  databases: z
    .object({
      datid: z.number(),
      datname: z.string(),
      /** Whether sessions may come in; false for what was replaced and kept. */
      connectable: z.boolean(),
      template: z.boolean(),
      /** Transactions since the oldest row that is not frozen: at 2^31 the server stops. */
      xid_age: z.number(),
      statistics: counters,
      /** Statements that a replica cancelled. */
      conflicts: counters.nullable(),
    })
    .array(),
  activity: z
    .object({ datname: z.string(), state: z.string(), sessions: z.number(), max_tx_seconds: z.number() })
    .array(),
  /** Sessions that wait for a lock. */
  blocked: z.object({ sessions: z.number(), longest_seconds: z.number() }),
  locks: z.object({ datname: z.string(), mode: z.string(), locks: z.number() }).array(),
  bgwriter: counters,
  /** PostgreSQL 17 and later; before, it is part of bgwriter. */
  checkpointer: counters.nullable(),
  /** Buffers that others than bgwriter and checkpointer wrote, as pg_stat_io counts; before 17 part of bgwriter. */
  backend_writes: z.object({ writes: z.number(), fsyncs: z.number() }).nullable(),
  archiver: z.object({
    archived_count: z.number(),
    failed_count: z.number(),
    last_archive_age: z.number().nullable(),
  }),
  /** Position of the end of WAL, in bytes since its beginning; on a replica of what was received. */
  wal_position: z.number().nullable(),
  wal: z.object({ bytes: z.number(), segments: z.number() }),
  standbys: z
    .object({
      application_name: z.string(),
      client_addr: z.string(),
      state: z.string(),
      slot_name: z.string(),
      behind_bytes: z.number().nullable(),
    })
    .array(),
  slots: z
    .object({
      slot_name: z.string(),
      slot_type: z.string(),
      active: z.boolean(),
      kept_bytes: z.number().nullable(),
      safe_wal_size: z.number().nullable(),
      wal_status: z.string().nullable(),
    })
    .array(),
});
export type ServerStatistics = z.output<typeof serverStatisticsSchema>;

/** Columns of a view that are numbers, whatever its version has. */
const numbersOf = (view: string): string =>
  `(SELECT coalesce(json_object_agg(key, value), '{}') FROM jsonb_each(to_jsonb(${view}))
    WHERE jsonb_typeof(value) IN ('number', 'null') AND key NOT IN ('datid'))`;

const epoch = (moment: string): string => `extract(epoch FROM ${moment})::float8`;

/** The checkpointer has a view of its own since PostgreSQL 17; what backends write is in pg_stat_io since then. */
const CHECKPOINTER = `(SELECT ${numbersOf("c")} FROM pg_stat_checkpointer c)`;
const BACKEND_WRITES = `(SELECT json_build_object('writes', coalesce(sum(writes), 0), 'fsyncs', coalesce(sum(fsyncs), 0))
    FROM pg_stat_io WHERE object = 'relation' AND backend_type NOT IN ('background writer', 'checkpointer'))`;

function statisticsQuery(major: number): string {
  const split = major >= 17;
  return `
SELECT json_build_object(
  'version', version(), 'short_version', split_part(current_setting('server_version'), ' ', 1),
  'started_at', ${epoch("pg_postmaster_start_time()")},
  'in_recovery', recovery.on,
  'lag_seconds', CASE WHEN NOT recovery.on OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
    ELSE greatest(0, ${epoch("clock_timestamp() - pg_last_xact_replay_timestamp()")}) END,
  'settings', (SELECT json_agg(json_build_object('name', name, 'setting', setting, 'unit', unit, 'vartype', vartype) ORDER BY name)
    FROM pg_settings WHERE vartype IN ('bool', 'integer', 'real')),
  'databases', (SELECT coalesce(json_agg(json_build_object('datid', b.oid::int8, 'datname', b.datname, 'connectable', b.datallowconn,
      'template', b.datistemplate, 'xid_age', greatest(age(b.datfrozenxid), mxid_age(b.datminmxid)),
      'statistics', ${numbersOf("d")},
      'conflicts', CASE WHEN recovery.on THEN (SELECT ${numbersOf("c")} FROM pg_stat_database_conflicts c WHERE c.datid = b.oid) END
      ) ORDER BY b.datname), '[]')
    FROM pg_database b JOIN pg_stat_database d ON d.datid = b.oid),
  'activity', (SELECT coalesce(json_agg(a), '[]') FROM (
    SELECT datname, coalesce(state, 'disabled') AS state, count(*) AS sessions,
      coalesce(max(greatest(${epoch("clock_timestamp() - xact_start")}, 0)), 0) AS max_tx_seconds
    FROM pg_stat_activity WHERE datname IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend' GROUP BY 1, 2) a),
  'blocked', (SELECT json_build_object('sessions', count(*),
      'longest_seconds', coalesce(max(greatest(${epoch("clock_timestamp() - query_start")}, 0)), 0))
    FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'client backend'),
  'locks', (SELECT coalesce(json_agg(l), '[]') FROM (
    SELECT b.datname, lower(mode) AS mode, count(*) AS locks FROM pg_locks JOIN pg_database b ON b.oid = pg_locks.database
    WHERE pid IS DISTINCT FROM pg_backend_pid() GROUP BY 1, 2) l),
  'bgwriter', (SELECT ${numbersOf("w")} FROM pg_stat_bgwriter w),
  'checkpointer', ${split ? CHECKPOINTER : "NULL"},
  'backend_writes', ${split ? BACKEND_WRITES : "NULL"},
  'archiver', (SELECT json_build_object('archived_count', archived_count, 'failed_count', failed_count,
      'last_archive_age', ${epoch("clock_timestamp() - last_archived_time")}) FROM pg_stat_archiver),
  'wal_position', pg_wal_lsn_diff(recovery.position, '0/0'),
  'wal', (SELECT json_build_object('bytes', coalesce(sum(size), 0), 'segments', count(*)) FROM pg_ls_waldir()),
  'standbys', (SELECT coalesce(json_agg(json_build_object('application_name', application_name,
      'client_addr', coalesce(host(client_addr), ''), 'state', coalesce(state, ''), 'slot_name', coalesce(slot_name, ''),
      'behind_bytes', pg_wal_lsn_diff(recovery.position, replay_lsn)) ORDER BY application_name, s.pid), '[]')
    FROM pg_stat_replication s LEFT JOIN pg_replication_slots ON active_pid = s.pid),
  'slots', (SELECT coalesce(json_agg(json_build_object('slot_name', slot_name, 'slot_type', slot_type, 'active', active,
      'kept_bytes', pg_wal_lsn_diff(recovery.position, restart_lsn), 'safe_wal_size', safe_wal_size, 'wal_status', wal_status)
      ORDER BY slot_name), '[]') FROM pg_replication_slots)
) AS statistics
FROM (SELECT pg_is_in_recovery() AS on,
  CASE WHEN pg_is_in_recovery() THEN pg_last_wal_receive_lsn() ELSE pg_current_wal_lsn() END AS position) recovery`;
}

/**
 * Everything that monitoring wants to know of a server, in one round trip; no database is looked into. Works on
 * PostgreSQL 13 to 18, on a primary and on a replica.
 * @throws SqlError when the server does not answer; ZodError when it answers something unknown.
 */
export async function readStatistics(session: Session, major: number): Promise<ServerStatistics> {
  const [row] = await session.query(statisticsQuery(major));
  return serverStatisticsSchema.parse(row?.["statistics"]);
}
