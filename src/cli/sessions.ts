import { endSessions, listSessions } from "../odoo/sessions.ts";
import { showSeconds } from "../cluster/quantities.ts";
import type { ExitStatus } from "../errors.ts";
import { withSession } from "../system/sql.ts";
import type { Context } from "./context.ts";
import { onPrimary, recordedOnPrimary } from "./source.ts";
import { showTable } from "./table.ts";

/** Who is connected to the primary, and what they wait for. */
export async function sessionsList(
  context: Context,
  database: string | undefined,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output } = context;
  const sessions = await onPrimary(
    context,
    async (source) => await withSession(source.superuser, (session) => listSessions(session, database)),
  );
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, sessions }, undefined, 2));
    return 0;
  }
  const waiting = (blocked: readonly number[], waits: string | null): string =>
    blocked.length ? `blocked by ${blocked.join(", ")}` : (waits ?? "");
  showTable(
    output,
    ["PID", "DATABASE", "USER", "APPLICATION", "CLIENT", "STATE", "FOR", "WAITS", "QUERY"],
    sessions.map((seen) => [
      String(seen.pid),
      seen.database,
      seen.user,
      seen.application,
      seen.client ?? "local",
      seen.state ?? "?",
      showSeconds(seen.seconds),
      waiting(seen.blocked_by, seen.waits_for),
      seen.query.slice(0, 60),
    ]),
  );
  return 0;
}

/** Ends the sessions in a database, or with `cancel` only what they run. */
export async function sessionsKill(
  context: Context,
  database: string,
  flags: { readonly cancel: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const ended = await recordedOnPrimary(
    context,
    { kind: "session_ended", database },
    async (source) =>
      await withSession(source.superuser, (session) =>
        endSessions(session, database, flags.cancel ? "cancel" : "terminate"),
      ),
    (count) =>
      count ? `${count} ${flags.cancel ? "queries cancelled" : "sessions ended"} in ${database}` : undefined,
  );
  if (flags.json) context.output.out(JSON.stringify({ version: 1, database, ended }, undefined, 2));
  else
    context.output.err(`${ended} ${flags.cancel ? "queries cancelled" : "sessions ended"} in "${database}".`);
  return 0;
}
