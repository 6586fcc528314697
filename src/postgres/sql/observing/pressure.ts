import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";

const pressureRow = z.object({
  connections: z.number(),
  max_connections: z.number(),
  oldest_age: z.number(),
  oldest_database: z.string(),
  blocked: z
    .object({ pid: z.number(), database: z.string(), seconds: z.number(), by: z.string().array() })
    .nullable(),
});

/**
 * Works on PostgreSQL 13 to 18. pg_locks tells since when a session waits from version 14 on; before, the start of the
 * statement is the nearest. reserved_connections came with version 16. Locks are read only while a session waits.
 */
const PRESSURE = `
SELECT json_build_object(
  'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'max_connections', (SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)
    FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
  'oldest_age', oldest.age, 'oldest_database', oldest.datname,
  'blocked', (SELECT json_build_object('pid', waiting.pid, 'database', waiting.datname, 'seconds', waiting.seconds,
      'by', (SELECT coalesce(json_agg(format('session %s (%s%s)', pid, coalesce(nullif(application_name, ''), usename, backend_type),
          CASE WHEN state IS NULL THEN '' ELSE ', ' || state END) ORDER BY pid), '[]')
        FROM pg_stat_activity WHERE pid = ANY(pg_blocking_pids(waiting.pid))))
    FROM (SELECT pid, datname, extract(epoch FROM clock_timestamp() - coalesce(
        (SELECT min((to_jsonb(wanted)->>'waitstart')::timestamptz) FROM pg_locks wanted
         WHERE wanted.pid = waiter.pid AND NOT granted), query_start))::float8 AS seconds
      FROM pg_stat_activity waiter
      WHERE wait_event_type = 'Lock' AND backend_type = 'client backend' AND datname IS NOT NULL
      ORDER BY seconds DESC LIMIT 1) waiting)
) AS pressure
FROM (SELECT datname, greatest(age(datfrozenxid), mxid_age(datminmxid)) AS age
  FROM pg_database ORDER BY 2 DESC LIMIT 1) oldest`;

/** Connections, wraparound and the longest wait for a lock, in one cheap query. @throws SqlError */
export async function readPressure(session: Session): Promise<z.output<typeof pressureRow>> {
  const [row] = await session.query(PRESSURE);
  return pressureRow.parse(row?.["pressure"]);
}
