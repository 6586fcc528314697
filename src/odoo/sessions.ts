import { nextStep, odooPg } from "../next-step.ts";
import * as z from "zod";
import { namesThatAre } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import { ownSession } from "../postgres/sql/observing/activity.ts";
import { waitUntil } from "../system/clock.ts";
import type { Session } from "../system/sql/sql.ts";

const sessionSchema = z.object({
  pid: z.number(),
  database: z.string(),
  user: z.string(),
  application: z.string(),
  /** Address of the client; null for the Unix socket. */
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

/** Sessions of clients: not the session that asks, not replication, not odoo-pg's own. */
const OTHERS = `backend_type = 'client backend' AND pid <> pg_backend_pid() AND ${ownSession()} IS NOT TRUE`;

/**
 * Lists the sessions, the longest in its state first.
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
  const rows = await session.query(
    "SELECT datname AS name FROM pg_database WHERE NOT datistemplate ORDER BY 1",
  );
  const names = rows.map((row) => String(row["name"]));
  if (names.includes(database)) return;
  throw new OdooPgError("database_unknown", {
    message: `There is no database "${database}". ${namesThatAre(database, names)}`,
    safe: "No session was touched.",
    next: nextStep`List them: ${odooPg("db", "list")}`,
  });
}

/**
 * Ends the sessions in a database, or with `cancel` only their statements. Protected sessions are left: replication,
 * odoo-pg's.
 * @returns how many were signalled
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

/** @throws OdooPgError session_unknown where there is none; refused for what no command may touch. */
async function findSession(session: Session, pid: number): Promise<SessionSeen> {
  const found = (await listSessions(session, undefined)).find((seen) => seen.pid === pid);
  if (found) return found;
  const [other] = await session.query(
    "SELECT backend_type AS type, application_name AS application FROM pg_stat_activity WHERE pid = $1",
    [pid],
  );
  const safe = "No session was touched.";
  const next = nextStep`List them: ${odooPg("sessions", "list")}`;
  if (!other)
    throw new OdooPgError("session_unknown", { message: `There is no session ${pid}.`, safe, next });
  const what =
    other["type"] === "client backend"
      ? `odoo-pg's own (${String(other["application"])})`
      : `a process of the server (${String(other["type"])})`;
  throw new OdooPgError("refused", {
    message: `Process ${pid} is ${what}, no session of a client.`,
    safe,
    next,
  });
}

/**
 * The session of a process id, where it can be ended so.
 * @throws OdooPgError session_unknown; refused for what no command may touch, and for a cancel of a session that runs
 *   nothing.
 */
export async function sessionToEnd(
  session: Session,
  pid: number,
  how: "terminate" | "cancel",
): Promise<SessionSeen> {
  const seen = await findSession(session, pid);
  if (how === "terminate" || seen.state === "active") return seen;
  throw new OdooPgError("refused", {
    message: `Session ${pid} runs nothing now (${seen.state ?? "?"}): there is nothing to cancel.`,
    safe: "No session was touched.",
    next: nextStep`To end the session itself: ${odooPg("sessions", "terminate", String(pid))}`,
  });
}

/** Timeout for a session to end, in milliseconds. */
const END_TIMEOUT = 5000;

/**
 * Ends a session, or only its statement.
 * @returns the session as it was
 * @throws OdooPgError as `sessionToEnd`; timed_out when it does not end.
 */
export async function endSession(
  session: Session,
  pid: number,
  how: "terminate" | "cancel",
): Promise<SessionSeen> {
  const seen = await sessionToEnd(session, pid, how);
  const act = how === "cancel" ? "pg_cancel_backend" : "pg_terminate_backend";
  // Checked again: the process id may belong to another process by now.
  await session.query(`SELECT ${act}(pid) FROM pg_stat_activity WHERE ${OTHERS} AND pid = $1`, [pid]);
  if (how === "cancel") return seen;
  await waitUntil(
    async () => (await session.query("SELECT FROM pg_stat_activity WHERE pid = $1", [pid])).length === 0,
    { what: `session ${pid} to end`, timeout: END_TIMEOUT, next: odooPg("sessions", "list") },
  );
  return seen;
}
