import { LONG_TRANSACTION, type ActiveSession } from "../../postgres/sql/observing/activity.ts";
import type { Blocking, LongTransaction } from "../../cluster/documents/console.ts";
import { lastingFor } from "./durations.ts";

/** The name of a table of a database; undefined where it is unknown. */
export type TableNames = (database: string, oid: number) => string | undefined;

const SHOWN = 20;

/** The sessions that block others, in plain words, the longest wait first. Of a chain, the session at its end. */
export function blockingOf(sessions: readonly ActiveSession[], tableName: TableNames): Blocking[] {
  const waiters = new Map(
    sessions.filter(({ blocked_by }) => blocked_by.length).map((session) => [session.pid, session]),
  );
  const waitingFor = new Map<number, ActiveSession[]>();
  for (const waiter of waiters.values()) {
    for (const end of endsOf(waiter.pid, waiters)) {
      const others = waitingFor.get(end);
      if (others) others.push(waiter);
      else waitingFor.set(end, [waiter]);
    }
  }
  const found = [...waitingFor].map(([blocker, waiting]): Blocking => {
    const seconds = Math.max(...waiting.map(({ wanted }) => wanted?.seconds ?? 0));
    const session = sessions.find(({ pid }) => pid === blocker);
    const count = `${waiting.length} other${waiting.length === 1 ? "" : "s"}`;
    return {
      blocker,
      waiting: waiting.map(({ pid }) => pid).sort((a, b) => a - b),
      seconds: Math.round(seconds),
      sentence: `${whoIs(blocker, session)} keeps ${count} waiting for ${thingsOf(waiting, tableName)}`,
    };
  });
  return found.sort((a, b) => b.seconds - a.seconds || a.blocker - b.blocker).slice(0, SHOWN);
}

/**
 * The sessions at the ends of the chains that begin at a waiting session. Sessions in a deadlock have no end until
 * PostgreSQL resolves it: there it is the one with the lowest number.
 */
function endsOf(pid: number, waiters: ReadonlyMap<number, ActiveSession>): Set<number> {
  const ends = new Set<number>();
  const seen = new Set<number>([pid]);
  const next = [pid];
  for (let at = next.pop(); at !== undefined; at = next.pop()) {
    for (const other of waiters.get(at)?.blocked_by ?? []) {
      if (seen.has(other)) continue;
      seen.add(other);
      if (waiters.has(other)) next.push(other);
      else ends.add(other);
    }
  }
  if (ends.size > 0) return ends;
  const first = Math.min(...seen);
  return first === pid ? new Set() : new Set([first]);
}

function whoIs(pid: number, session: ActiveSession | undefined): string {
  if (pid === 0) return "A prepared transaction";
  if (!session) return `Process ${pid}`;
  const { user, backend_type, state, state_seconds, database } = session;
  const isClient = backend_type === "client backend";
  const name = (isClient ? user : backend_type) || "Somebody";
  const what = state === "active" ? "running a statement" : state;
  const lasting = what === "" || state_seconds === null ? what : `${what} for ${lastingFor(state_seconds)}`;
  const details = [`pid ${pid}`, lasting, database === "" ? "" : `database ${database}`];
  return `${name} (${details.filter((detail) => detail !== "").join(", ")})`;
}

/** `a row of res_partner`, `the table sale_order and a row of res_partner`. */
function thingsOf(waiting: readonly ActiveSession[], tableName: TableNames): string {
  const things = [...new Set(waiting.map((waiter) => thingOf(waiter, tableName)))].sort();
  if (things.length > 2) return `${things.slice(0, 2).join(", ")} and more`;
  return things.join(" and ");
}

function thingOf({ wanted, database }: ActiveSession, tableName: TableNames): string {
  if (!wanted) return "a lock";
  const table = wanted.relation === null ? undefined : tableName(database, wanted.relation);
  switch (wanted.kind) {
    case "transactionid":
    case "tuple":
      return table === undefined ? "a row" : `a row of ${table}`;
    case "relation":
      return table === undefined ? "a table" : `the table ${table}`;
    case "advisory":
      return "an advisory lock";
    case "virtualxid":
      return "the end of a transaction";
    default:
      return table === undefined ? "a lock" : `a lock on ${table}`;
  }
}

/** Long transactions of clients, the longest first. Those of odoo-pg itself are left out. */
export function longTransactionsOf(sessions: readonly ActiveSession[]): LongTransaction[] {
  return sessions
    .filter(
      ({ backend_type, application, transaction_seconds }) =>
        backend_type === "client backend" &&
        !application.startsWith("odoo-pg") &&
        (transaction_seconds ?? 0) >= LONG_TRANSACTION,
    )
    .sort((a, b) => (b.transaction_seconds ?? 0) - (a.transaction_seconds ?? 0))
    .slice(0, SHOWN)
    .map((session) => ({
      pid: session.pid,
      database: session.database,
      user: session.user,
      application: session.application,
      state: session.state,
      seconds: Math.round(session.transaction_seconds ?? 0),
      scheduled_action: holdsScheduledAction(session),
      statement: session.query,
    }));
}

/**
 * Whether a session holds the row of a scheduled action. Odoo locks it with one cursor, which then stays in its
 * transaction while the action runs with another one: its last statement was on ir_cron. Source: Odoo 13 to 19,
 * odoo/addons/base/models/ir_cron.py.
 */
export function holdsScheduledAction({ state, query }: Pick<ActiveSession, "state" | "query">): boolean {
  return state.startsWith("idle in transaction") && /\bir_cron(_trigger)?\b/.test(query);
}
