import { STATEMENT_COUNTS } from "../../config/settings/plain.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { showSeconds, showShare } from "../../model/quantities.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { countsStatements } from "../../postgres/sql/observing/activity.ts";
import {
  countedStatements,
  ensureStatementCounts,
  statementTexts,
  type CountedStatement,
  type StatementText,
} from "../../postgres/sql/observing/statement-counts.ts";
import { suggest, type Context } from "../context.ts";
import { oneLine, printableLine } from "../../printable.ts";
import { changesSinceYesterday, lastDay, sharesOfDay } from "../../cluster/statement-history.ts";
import { readKeptStatements } from "../../observe/statement-watch.ts";
import { inPlaceOf } from "../../postgres/sql/access/stand-in.ts";
import { genericPlan, PLAN_SETTINGS } from "../../postgres/sql/observing/statement-plan.ts";
import { generatePassword, readPassword } from "../../store/secrets.ts";
import { now } from "../../system/clock.ts";
import { explainSql, type OrdinarySession } from "../../system/sql/sql.ts";
import { onPrimary } from "../source.ts";
import { showTable } from "../table.ts";
import { showApplied } from "../edit-configuration.ts";
import { writeSettings } from "./tune.ts";

/** Statements that are shown. */
const MOST = 30;

/** Maximum characters of a statement to plan, and the timeout of its plan in milliseconds. */
const WHOLE = 100_000;
const PLAN_TIMEOUT = 6000;

/** The statements that took the primary's time, the most first. @throws OdooPgError refused where nothing is counted */
export async function statementsList(
  context: Context,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output, config, layout } = context;
  const statements = await onPrimary(
    context,
    async (source) => await source.superuser.use(async (session) => await countedStatements(session, MOST)),
  );
  if (statements === undefined) throw notCounted();
  const { history } = await readKeptStatements(layout.stateDir);
  if (flags.json) {
    const at = now();
    const withDay = statements.map((one) => ({ ...one, day: sharesOfDay(history, one.id, at) }));
    const day_from = new Date(lastDay(at)[0] ?? at).toISOString();
    const document = { version: 1, cluster: config.cluster, day_from, statements: withDay };
    output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  showTable(output, ["ID", "SHARE", "CALLS", "EACH", "DATABASE", "STATEMENT"], statements.map(rowOf));
  return 0;
}

function notCounted(): OdooPgError {
  return new OdooPgError("refused", {
    message: "The servers do not count statements yet.",
    safe: "Nothing was changed.",
    next: odooPg("statements", "enable"),
  });
}

function rowOf({ id, share, calls, mean_ms, database, statement }: CountedStatement): string[] {
  return [id, showShare(share), String(calls), showMilliseconds(mean_ms), database, oneLine(statement, 200)];
}

function showMilliseconds(milliseconds: number): string {
  return milliseconds < 1000 ? `${milliseconds.toFixed(1)} ms` : showSeconds(milliseconds / 1000);
}

/** What changed since yesterday, the largest change first: compared by the same hours of the clock. */
export async function statementsChanges(
  context: Context,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output, config, layout } = context;
  const { history, texts } = await readKeptStatements(layout.stateDir);
  const { hours, changes } = changesSinceYesterday(history, now());
  const told = changes.map(({ id, change, now: is, before }) => ({
    id,
    change,
    database: texts.get(id)?.database ?? null,
    role: texts.get(id)?.role ?? null,
    statement: texts.get(id)?.statement ?? null,
    calls: is.calls,
    seconds: is.milliseconds / 1000,
    calls_before: before.calls,
    seconds_before: before.milliseconds / 1000,
  }));
  const first = history.hours[0];
  const known_since = first ? new Date(first.at).toISOString() : null;
  if (flags.json) {
    const document = { version: 1, cluster: config.cluster, hours, known_since, changes: told };
    output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  if (told.length)
    showTable(
      output,
      ["ID", "CHANGE", "CALLS", "EACH", "DATABASE", "STATEMENT"],
      told.map((one) => [
        one.id,
        one.change,
        `${one.calls_before} -> ${one.calls}`,
        `${meanOf(one.seconds_before, one.calls_before)} -> ${meanOf(one.seconds, one.calls)}`,
        one.database ?? "?",
        one.statement === null ? "its text is no longer known" : oneLine(one.statement, 200),
      ]),
    );
  output.err(
    hours > 0
      ? `${told.length === 0 ? "Nothing significant changed" : "This changed"} since yesterday, based on ${hours} of the last 24 hours.`
      : `There is nothing to compare yet: ${known_since === null ? "no hour is known" : `it is known since ${known_since}`}, and an hour is compared with the same one of the day before.`,
  );
  return 0;
}

function meanOf(seconds: number, calls: number): string {
  return calls === 0 ? "-" : showMilliseconds((seconds * 1000) / calls);
}

/**
 * How the server would execute a statement. Nothing is executed, and it is planned as the role that ran it: planning
 * may call functions that others wrote.
 * @throws OdooPgError refused where nothing is counted, the statement is not known, or its role cannot be assumed
 */
export async function statementsPlan(
  context: Context,
  id: string,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output, config, layout } = context;
  const [statement, plan] = await onPrimary(context, async (source) => {
    const found = await source.superuser.use(async (session) => {
      if (!(await countedStatements(session, 1))) throw notCounted();
      return (await statementTexts(session, [id], WHOLE + 1))[0];
    });
    if (!found) {
      throw new OdooPgError("refused", {
        message: `The server knows no statement ${oneLine(id, 40)}: it forgets those that rarely run.`,
        safe: "Nothing was changed.",
        next: odooPg("statements", "list"),
      });
    }
    if (found.superuser) throw ofMighty(found);
    if (found.statement.length > WHOLE) throw tooLong(id);
    const { database, role } = found;
    const options = {
      applicationName: "odoo-pg plan",
      statementTimeout: PLAN_TIMEOUT,
      settings: PLAN_SETTINGS,
    };
    const plan = async (session: OrdinarySession): Promise<string[]> =>
      await genericPlan(session, found.statement);
    const own = role === config.odoo.role ? await readPassword(layout, "odoo") : undefined;
    const asked =
      own === undefined
        ? inPlaceOf(source.superuser, { role, database, password: generatePassword() }, plan, options)
        : source.superuser.in(database).as(role, own).use(plan, options);
    const lines = await asked.catch((error: unknown) => {
      throw explainSql(error, `The server does not plan statement ${id}`);
    });
    if (lines === undefined) throw ofMighty(found);
    return [found, lines] as const;
  });
  if (flags.json) {
    const { database, role, statement: text } = statement;
    const document = { version: 1, cluster: config.cluster, id, database, role, statement: text, plan };
    output.out(JSON.stringify(document, undefined, 2));
    return 0;
  }
  for (const line of plan) output.out(printableLine(line));
  output.err(`For any values: the server keeps "$1" in their place. Nothing was executed.`);
  return 0;
}

function ofMighty({ role, database }: StatementText): OdooPgError {
  return new OdooPgError("refused", {
    message: `The statement is of ${role === "" ? "a role that is gone" : `role ${JSON.stringify(oneLine(role, 63))}, which is a superuser or may do what one does`}: planning may call functions that others wrote, so no such role asks for a plan.`,
    safe: "Nothing was executed.",
    next: nextStep`In a session of that role in database ${JSON.stringify(oneLine(database, 63))}: EXPLAIN, and the statement.`,
  });
}

function tooLong(id: string): OdooPgError {
  return new OdooPgError("refused", {
    message: `The text of statement ${id} is longer than ${WHOLE} characters: it is not planned.`,
    safe: "Nothing was executed.",
    next: odooPg("statements", "list"),
  });
}

/**
 * Makes the servers count statements: in a cluster created without it, by a line in the configuration file, which needs
 * a restart of each server.
 */
export async function statementsEnable(
  context: Context,
  flags: { readonly dryRun: boolean },
): Promise<ExitStatus> {
  const { output, config } = context;
  const counts = await onPrimary(
    context,
    async (source) => await source.superuser.use(async (session) => await countsStatements(session)),
  );
  if (counts) {
    if (flags.dryRun)
      output.out("The servers count statements already; what shows them is made where it is missing.");
    else {
      await onPrimary(
        context,
        async (source) => await source.superuser.use(async (session) => await ensureStatementCounts(session)),
      );
      output.out("Statements are counted.");
    }
    return 0;
  }
  const loaded = (config.postgres.parameters["shared_preload_libraries"] ?? "").split(",");
  const libraries = [...loaded.map((name) => name.trim()).filter((name) => name !== ""), STATEMENT_COUNTS];
  const wanted = new Map([["shared_preload_libraries", [...new Set(libraries)].join(",")]]);
  showApplied(context, await writeSettings(context, wanted, flags.dryRun), flags.dryRun);
  const next = nextStep`Restart each server, in the order that replicas need: ${odooPg("up")}`;
  output.err(`Next: ${suggest(context, next)}`);
  return 0;
}
