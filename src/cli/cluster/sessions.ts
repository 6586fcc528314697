import { nextStep, odooPg } from "../../next-step.ts";
import {
  endSession,
  endSessions,
  listSessions,
  sessionToEnd,
  type SessionSeen,
} from "../../odoo/sessions.ts";
import { showSeconds } from "../../model/quantities.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import type { Context } from "../context.ts";
import { onPrimary, recordedOnPrimary } from "../source.ts";
import { showTable } from "../table.ts";

/** Who is connected to the primary, and what they wait for. */
export async function sessionsList(
  context: Context,
  database: string | undefined,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output } = context;
  const sessions = await onPrimary(
    context,
    async (source) => await source.superuser.use((session) => listSessions(session, database)),
  );
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, sessions }, undefined, 2));
    return 0;
  }
  const waiting = (blocked: readonly number[], waits: string | null): string =>
    blocked.length ? `blocked by ${blocked.map(holder).join(", ")}` : (waits ?? "");
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
      await source.superuser.use((session) =>
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

/** Ends one session, or with `cancel` only what it runs. */
export async function sessionsEnd(
  context: Context,
  how: "cancel" | "terminate",
  word: string,
  flags: { readonly dryRun: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const { output } = context;
  const pid = /^[1-9]\d{0,8}$/.test(word) ? Number(word) : undefined;
  if (pid === undefined) {
    throw new OdooPgError("usage", {
      message: `${JSON.stringify(word)} is not the number of a session.`,
      safe: "No session was touched.",
      next: nextStep`List them: ${odooPg("sessions", "list")}`,
    });
  }
  const seen = flags.dryRun
    ? await onPrimary(
        context,
        async ({ superuser }) => await superuser.use((session) => sessionToEnd(session, pid, how)),
      )
    : await recordedOnPrimary(
        context,
        { kind: "session_ended" },
        async ({ superuser }) => await superuser.use((session) => endSession(session, pid, how)),
        (ended) => `${how === "cancel" ? "cancelled what ran in" : "ended"} session ${describe(ended)}`,
      );
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, dry_run: flags.dryRun, session: seen }, undefined, 2));
    return 0;
  }
  output.err(`  Session ${describe(seen)}`);
  output.err(`  ${seen.state ?? "?"} for ${showSeconds(seen.seconds)}: ${seen.query.slice(0, 200)}`);
  if (flags.dryRun) output.err("Dry run: nothing was changed.");
  else if (how === "cancel") output.err("What it ran is cancelled; the session stays.");
  else output.err("The session is ended; what it had not committed is undone.");
  return 0;
}

/** The session that blocks another: a prepared transaction has no process. */
function holder(pid: number): string {
  return pid === 0 ? "a prepared transaction" : String(pid);
}

function describe({ pid, database, user, application, client }: SessionSeen): string {
  const program = application === "" ? "" : ` (${application})`;
  return `${pid} of ${user} in ${database}${program} from ${client ?? "this host"}`;
}
