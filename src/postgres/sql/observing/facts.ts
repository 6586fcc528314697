import { FORWARDED_FROM } from "../../../config/values/addresses.ts";
import { serverFactsSchema, type ServerFacts } from "../../../model/observation.ts";
import type { Session } from "../../../system/sql/sql.ts";

/**
 * Everything that status, pool membership and the agent need to know of a server, in one round trip.
 * Works on PostgreSQL 13 to 18, on a primary and on a replica.
 * The timeline of a primary is that of its current WAL file: pg_control's is older until the next checkpoint.
 */
const OBSERVE = `
SELECT json_build_object(
  'now', extract(epoch FROM clock_timestamp())::float8,
  'started_at', extract(epoch FROM pg_postmaster_start_time())::float8,
  'processes_since', (SELECT extract(epoch FROM backend_start)::float8 FROM pg_stat_activity
    WHERE backend_type = 'checkpointer'),
  'configuration_read_at', configuration.read_at,
  'version', current_setting('server_version'),
  'system_identifier', (SELECT system_identifier::text FROM pg_control_system()),
  'in_recovery', recovery.on,
  'timeline', CASE WHEN recovery.on
    THEN coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))
    ELSE ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::int END,
  'wal_segment_bytes', pg_size_bytes(current_setting('wal_segment_size')),
  'synchronous_standby_names', current_setting('synchronous_standby_names'),
  'current_lsn', CASE WHEN recovery.on THEN NULL ELSE pg_current_wal_lsn() END,
  'standbys', (SELECT coalesce(json_agg(json_build_object(
      'application_name', application_name, 'client_addr', client_addr, 'state', coalesce(state, ''),
      'sync_state', coalesce(sync_state, ''), 'sent_lsn', sent_lsn, 'flush_lsn', flush_lsn, 'replay_lsn', replay_lsn,
      'backend_start', extract(epoch FROM backend_start)::float8) ORDER BY application_name, pid), '[]')
    FROM pg_stat_replication),
  'slots', (SELECT coalesce(json_agg(json_build_object(
      'slot_name', slot_name, 'active', active, 'restart_lsn', restart_lsn, 'wal_status', wal_status) ORDER BY slot_name), '[]')
    FROM pg_replication_slots WHERE slot_type = 'physical'),
  'receive_lsn', CASE WHEN recovery.on THEN pg_last_wal_receive_lsn() END,
  'replay_lsn', CASE WHEN recovery.on THEN pg_last_wal_replay_lsn() END,
  'last_replay_at', CASE WHEN recovery.on THEN extract(epoch FROM pg_last_xact_replay_timestamp())::float8 END,
  'receiver_status', (SELECT status FROM pg_stat_wal_receiver),
  'latest_end_lsn', (SELECT latest_end_lsn FROM pg_stat_wal_receiver),
  'latest_end_at', (SELECT extract(epoch FROM latest_end_time)::float8 FROM pg_stat_wal_receiver),
  'replay_paused', CASE WHEN recovery.on THEN pg_is_wal_replay_paused() ELSE false END,
  'archiver', CASE WHEN NOT recovery.on AND current_setting('archive_mode') <> 'off' THEN (SELECT json_build_object(
      'last_archived_wal', last_archived_wal, 'last_archived_at', extract(epoch FROM last_archived_time)::float8,
      'last_failed_wal', last_failed_wal, 'last_failed_at', extract(epoch FROM last_failed_time)::float8)
    FROM pg_stat_archiver) END,
  'connections', (SELECT json_build_object(
      'used', count(*),
      -- By a Unix socket come PgBouncer's; superusers have connections of their own.
      'others', count(*) FILTER (WHERE client_addr <> '${FORWARDED_FROM}' AND NOT rolsuper),
      'most', current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0))
    FROM pg_stat_activity LEFT JOIN pg_roles ON pg_roles.oid = usesysid WHERE backend_type = 'client backend')
) AS facts,
  configuration.read_at,
  CASE WHEN configuration.read_at IS DISTINCT FROM $1
    THEN (SELECT coalesce(json_agg(name ORDER BY name), '[]') FROM pg_settings WHERE pending_restart) END AS pending_restart
FROM (SELECT pg_is_in_recovery() AS on) recovery,
  (SELECT extract(epoch FROM pg_conf_load_time())::float8 AS read_at) configuration`;

/** What a server reported about itself: as received, to be handed on as JSON, and parsed. */
export interface ServerReply {
  readonly json: object;
  readonly facts: ServerFacts;
  /** When it last read its configuration, as exactly as it reported. */
  readonly readAt: unknown;
}

/**
 * One observation by a session that observes again and again.
 * @param before what the same server told before: what waits for a restart is looked up only where the configuration
 *   was read since, because that costs more than all the rest
 * @throws SqlError when the server does not answer; ZodError when it answers something unknown.
 */
export async function readServerFacts(session: Session, before?: ServerReply): Promise<ServerReply> {
  const [row] = await session.prepared("observe", OBSERVE, [before?.readAt ?? null]);
  const waiting = row?.["pending_restart"] ?? before?.facts.pending_restart;
  const json: object = Object.assign({}, row?.["facts"], { pending_restart: waiting });
  return { json, facts: serverFactsSchema.parse(json), readAt: row?.["read_at"] };
}

/** A first observation, without an earlier one. @throws as readServerFacts */
export async function observeServer(session: Session): Promise<ServerFacts> {
  return (await readServerFacts(session)).facts;
}

const SIZE = `SELECT coalesce(sum(pg_database_size(oid)), 0)::float8 AS bytes FROM pg_database`;

/** Bytes of all databases. It reads the size of every file: for a status on request, not for each turn of the loop. */
export async function databaseBytes(session: Session): Promise<number> {
  const [row] = await session.query(SIZE);
  return Number(row?.["bytes"]);
}

// As src/backup/databases.ts: what takes connections, but templates, `postgres` and odoo-pg's own.
const NAMES = `SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate AND datconnlimit <> -2
  AND datname <> 'postgres' AND NOT starts_with(datname, 'odoo_pg_') ORDER BY datname COLLATE "C"`;

/** The databases that hold users' data. */
export async function databaseNames(session: Session): Promise<string[]> {
  const rows = await session.query(NAMES);
  return rows.map((row) => String(row["datname"]));
}

const SIZES = `SELECT datname, pg_database_size(oid)::float8 AS bytes FROM pg_database`;

/** Bytes of each database by its name. As dear as `databaseBytes`. */
export async function databaseSizes(session: Session): Promise<ReadonlyMap<string, number>> {
  const rows = await session.query(SIZES);
  return new Map(rows.map((row) => [String(row["datname"]), Number(row["bytes"])]));
}
