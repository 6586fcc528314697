import * as z from "zod";
import { OdooPgError } from "../errors.ts";
import type { Session } from "../system/sql.ts";

const sessionSchema = z.object({
  pid: z.number(),
  database: z.string(),
  user: z.string(),
  application: z.string(),
  /** Address of the client; null by the Unix socket. */
  client: z.string().nullable(),
  state: z.string().nullable(),
  /** Seconds in this state. */
  seconds: z.number(),
  /** What it waits for, such as `Lock:transactionid`. */
  waits_for: z.string().nullable(),
  blocked_by: z.number().array(),
  query: z.string(),
});
export type SessionSeen = z.output<typeof sessionSchema>;

/** Sessions of clients: not one's own, not replication, not what odoo-pg itself does. */
const OTHERS = `backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name NOT LIKE 'odoo-pg%'`;

/**
 * Who is connected, the longest in its state first.
 * @throws OdooPgError database_unknown: a typing error must not look like a database without sessions.
 */
export async function listSessions(session: Session, database: string | undefined): Promise<SessionSeen[]> {
  if (database !== undefined) await assertThere(session, database);
  const rows = await session.query(
    `SELECT pid, coalesce(datname, '') AS database, coalesce(usename, '') AS user, application_name AS application,
       host(client_addr) AS client, state,
       coalesce(extract(epoch FROM now() - state_change), 0)::float8 AS seconds,
       CASE WHEN state = 'active' THEN wait_event_type || ':' || wait_event END AS waits_for,
       pg_blocking_pids(pid) AS blocked_by, left(regexp_replace(query, '\\s+', ' ', 'g'), 200) AS query
     FROM pg_stat_activity WHERE ${OTHERS} AND ($1::text IS NULL OR datname = $1) ORDER BY state_change`,
    [database ?? null],
  );
  return sessionSchema.array().parse(rows);
}

async function assertThere(session: Session, database: string): Promise<void> {
  const found = await session.query("SELECT FROM pg_database WHERE datname = $1", [database]);
  if (found.length > 0) return;
  throw new OdooPgError("database_unknown", {
    message: `There is no database "${database}".`,
    safe: "No session was touched.",
    next: "Look which there are: odoo-pg db list",
  });
}

/**
 * Ends the sessions in a database, or only what they run. Those that it may not touch are left: replication, odoo-pg's.
 * @returns how many were told to
 * @throws OdooPgError database_unknown: a typing error must not look like a database without sessions.
 */
export async function endSessions(
  session: Session,
  database: string,
  how: "terminate" | "cancel",
): Promise<number> {
  await assertThere(session, database);
  const act = how === "cancel" ? "pg_cancel_backend" : "pg_terminate_backend";
  const active = how === "cancel" ? "AND state = 'active'" : "";
  const rows = await session.query(
    `SELECT ${act}(pid) AS done FROM pg_stat_activity WHERE ${OTHERS} AND datname = $1 ${active}`,
    [database],
  );
  return rows.filter((row) => row["done"] === true).length;
}
