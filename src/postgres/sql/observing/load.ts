import * as z from "zod";
import type { Session } from "../../../system/sql/sql.ts";

const loadSchema = z.object({
  connections: z.number(),
  /** What clients that are no superuser may have. */
  max_connections: z.number(),
  /** Transactions of all databases since the counters began. */
  transactions: z.number(),
  /** Changes whenever the counters cannot be compared with those before: a reset, or another set of databases. */
  counters: z.string(),
});

/** How much a server has to do. */
export type Load = z.output<typeof loadSchema>;

/** PostgreSQL 13 to 18; reserved_connections came with version 16. Reads counters only, no file. */
const LOAD = `
SELECT json_build_object(
  'connections', (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'),
  'max_connections', (SELECT sum(CASE name WHEN 'max_connections' THEN setting::int ELSE -setting::int END)
    FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')),
  'transactions', coalesce(sum(xact_commit + xact_rollback), 0)::float8,
  'counters', concat_ws(' ', extract(epoch FROM pg_postmaster_start_time())::int8,
    extract(epoch FROM max(stats_reset))::int8, sum(datid::int8), count(*))
) AS load FROM pg_stat_database WHERE datid <> 0`;

/** @throws SqlError */
export async function readLoad(session: Session): Promise<Load> {
  const [row] = await session.query(LOAD);
  return loadSchema.parse(row?.["load"]);
}
