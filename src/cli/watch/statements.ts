import { STATEMENT_COUNTS } from "../../config/settings/plain.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { showSeconds, showShare } from "../../model/quantities.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import { countsStatements } from "../../postgres/sql/activity.ts";
import {
  countedStatements,
  ensureStatementCounts,
  type CountedStatement,
} from "../../postgres/sql/statement-counts.ts";
import { suggest, type Context } from "../context.ts";
import { onPrimary } from "../source.ts";
import { showTable } from "../table.ts";
import { showApplied } from "../edit-configuration.ts";
import { writeSettings } from "./tune.ts";

/** Statements that are shown. */
const MOST = 30;

/** What took the time of the primary, the most first. @throws OdooPgError refused where nothing is counted */
export async function statementsList(
  context: Context,
  flags: { readonly json: boolean },
): Promise<ExitStatus> {
  const { output, config } = context;
  const statements = await onPrimary(
    context,
    async (source) => await source.superuser.use(async (session) => await countedStatements(session, MOST)),
  );
  if (statements === undefined)
    throw new OdooPgError("refused", {
      message: "The servers do not count statements yet.",
      safe: "Nothing was changed.",
      next: odooPg("statements", "enable"),
    });
  if (flags.json) {
    output.out(JSON.stringify({ version: 1, cluster: config.cluster, statements }, undefined, 2));
    return 0;
  }
  showTable(output, ["SHARE", "CALLS", "EACH", "DATABASE", "STATEMENT"], statements.map(rowOf));
  return 0;
}

function rowOf({ share, calls, mean_ms, database, statement }: CountedStatement): string[] {
  const each = mean_ms < 1000 ? `${mean_ms.toFixed(1)} ms` : showSeconds(mean_ms / 1000);
  return [showShare(share), String(calls), each, database, statement.slice(0, 200)];
}

/**
 * Has the servers count statements: in a cluster that was made without it, by a line in the configuration file, which
 * takes a restart of each server.
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
  const next = nextStep`${odooPg("up")}   (restarts each server, in the order that replicas need)`;
  output.err(`Next: ${suggest(context, next)}`);
  return 0;
}
