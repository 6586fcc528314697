import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";

const sessionRow = z.object({
  pid: z.number(),
  database: z.string(),
  user: z.string(),
  application: z.string(),
  backend_type: z.string(),
  /** active, idle in transaction …; empty for a process of the server. */
  state: z.string(),
  /** Since its transaction began; null outside of one. */
  transaction_seconds: z.number().nullable(),
  /** In this state; for an active session, since its statement began. */
  state_seconds: z.number().nullable(),
  /** The statement that it runs or ran last, at most 500 characters. */
  query: z.string(),
  /** Whom it waits for; 0 stands for a prepared transaction. */
  blocked_by: z.number().array(),
  /** What it waits for; null when it waits for no lock. */
  wanted: z
    .object({
      /** relation, tuple, transactionid … as in pg_locks. */
      kind: z.string(),
      /** Its table by OID, where one is known. */
      relation: z.number().nullable(),
      seconds: z.number(),
    })
    .nullable(),
});
export type ActiveSession = z.output<typeof sessionRow>;

const activitySchema = z.object({
  connections: z.number(),
  /** What clients that are no superuser may have. */
  max_connections: z.number(),
  /** Databases that can be connected to, without templates. */
  databases: z.string().array(),
  sessions: sessionRow.array(),
});
/** What goes on in a server now. */
export type ServerActivity = z.output<typeof activitySchema>;

/**
 * The condition by which a session is odoo-pg's own. Every client calls itself what it likes: only who logs in as one of the
 * cluster's own roles, or as one that was made for a piece of work, is believed.
 */
export const ownSession = (application = "application_name", user = "usename"): string =>
  `(${application} LIKE 'odoo-pg%' AND (${user} IN ('postgres', 'replicator', 'collectd') OR ${user} LIKE 'odoo\\_pg\\_%'))`;

/** Seconds from which on a transaction is long. */
export const LONG_TRANSACTION = 30;

/**
 * Works on PostgreSQL 13 to 18. Locks are read only while a session waits. pg_locks tells since when from
 * version 14 on; before, the start of the statement is the nearest. A row is waited for by waiting for the transaction
 * that changed it: then the table is that of the tuple lock that the first in the queue holds.
 */
const ACTIVITY = `
WITH activity AS MATERIALIZED (
  SELECT pid, coalesce(datname, '') AS database, coalesce(usename, '') AS "user", application_name AS application,
    coalesce(backend_type, '') AS backend_type, coalesce(state, '') AS state,
    wait_event_type IS NOT DISTINCT FROM 'Lock' AS waiting, query_start, query,
    extract(epoch FROM clock_timestamp() - xact_start)::float8 AS transaction_seconds,
    extract(epoch FROM clock_timestamp() - CASE state WHEN 'active' THEN query_start ELSE state_change END)::float8 AS state_seconds
  FROM pg_stat_activity WHERE pid <> pg_backend_pid()
), waiters AS MATERIALIZED (
  SELECT pid, pg_blocking_pids(pid) AS blocked_by FROM activity WHERE waiting ORDER BY query_start LIMIT 200
), locks AS MATERIALIZED (
  SELECT pid, locktype, relation, granted, (to_jsonb(pg_locks)->>'waitstart')::timestamptz AS since
  FROM pg_locks WHERE (SELECT count(*) FROM waiters) > 0
), involved AS (
  SELECT pid FROM waiters UNION SELECT unnest(blocked_by) FROM waiters
)
SELECT json_build_object(
  'connections', (SELECT count(*) FROM activity WHERE backend_type = 'client backend') + 1,
  'max_connections', (SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)
    FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
  'databases', (SELECT coalesce(json_agg(datname ORDER BY datname), '[]')
    FROM pg_database WHERE datallowconn AND NOT datistemplate),
  'sessions', (SELECT coalesce(json_agg(json_build_object(
      'pid', pid, 'database', database, 'user', "user", 'application', application, 'backend_type', backend_type,
      'state', state, 'transaction_seconds', transaction_seconds, 'state_seconds', state_seconds,
      'query', regexp_replace(left(query, 500), '\\s+', ' ', 'g'), 'blocked_by', coalesce(blocked_by, '{}'),
      'wanted', (SELECT json_build_object('kind', locktype, 'relation', coalesce(relation,
          (SELECT min(held.relation::int8) FROM locks held WHERE held.pid = locks.pid AND held.granted AND held.locktype = 'tuple')::oid)::int8,
          'seconds', greatest(extract(epoch FROM clock_timestamp() - coalesce(since, query_start)), 0)::float8)
        FROM locks WHERE locks.pid = shown.pid AND NOT granted LIMIT 1))), '[]')
    FROM (SELECT activity.*, waiters.blocked_by FROM activity LEFT JOIN waiters USING (pid)
      WHERE pid IN (SELECT pid FROM involved) OR (transaction_seconds >= ${LONG_TRANSACTION}
        AND backend_type = 'client backend' AND ${ownSession("application", '"user"')} IS NOT TRUE)
      ORDER BY transaction_seconds DESC NULLS LAST LIMIT 300) shown)
) AS activity`;

/** @throws SqlError */
export async function readActivity(session: Session): Promise<ServerActivity> {
  const [row] = await session.query(ACTIVITY);
  return activitySchema.parse(row?.["activity"]);
}

/** The name of a table in the database of the session; undefined where there is none of this OID. @throws SqlError */
export async function tableName(session: Session, oid: number): Promise<string | undefined> {
  const [row] = await session.query("SELECT relname FROM pg_catalog.pg_class WHERE oid = $1", [oid]);
  return row ? String(row["relname"]) : undefined;
}

const statementRow = z.object({
  database: z.string(),
  statement: z.string(),
  calls: z.number(),
  mean_ms: z.number(),
  total_seconds: z.number(),
});
export type StatementRow = z.output<typeof statementRow>;

/** Whether the server has loaded pg_stat_statements: without that, its view in a database tells nothing. */
export async function countsStatements(session: Session): Promise<boolean> {
  const [row] = await session.query(
    // A setting of a library that is not loaded is not listed there.
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_settings
       WHERE name OPERATOR(pg_catalog.=) 'pg_stat_statements.max') AS loaded`,
  );
  return row?.["loaded"] === true;
}

/**
 * The statements that took the most time, of all databases. Undefined where pg_stat_statements is not in the database of
 * the session. Its columns are those of PostgreSQL 13 and later.
 * @throws SqlError, such as when it is installed but not loaded
 */
export async function slowestStatements(
  session: Session,
  count: number,
): Promise<StatementRow[] | undefined> {
  const [place] = await session.query(
    `SELECT quote_ident(nspname) AS schema FROM pg_catalog.pg_extension JOIN pg_catalog.pg_namespace n ON n.oid = extnamespace
     WHERE extname = 'pg_stat_statements'`,
  );
  if (!place) return undefined;
  const rows = await session.query(
    `SELECT datname AS database, regexp_replace(left(query, 500), '\\s+', ' ', 'g') AS statement, calls::float8 AS calls,
       mean_exec_time AS mean_ms, total_exec_time / 1000 AS total_seconds
     FROM ${String(place["schema"])}.pg_stat_statements JOIN pg_catalog.pg_database d ON d.oid = dbid
     WHERE query IS NOT NULL ORDER BY total_exec_time DESC LIMIT $1`,
    [count],
  );
  return statementRow.array().parse(rows);
}
