import { type ExitStatus } from "../../errors.ts";
import { odooPg, nextStep } from "../../next-step.ts";
import { fetchFrom, type FetchReport } from "../../offsite/fetch.ts";
import { printableLine } from "../../printable.ts";
import { progressTo } from "../../progress.ts";
import { onSignals } from "../../system/process/process.ts";
import { findUser } from "../../system/machine.ts";
import { serverOwner, suggest, type Context } from "../context.ts";
import { showProgress } from "../progress.ts";
import { placesElsewhere, resticOptions } from "./copy.ts";

/** Rebuilds here what a copy elsewhere holds: the way back where the host is lost. */
export async function backupFetch(
  context: Context,
  options: { readonly from: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  const { config, machine, output } = context;
  const [elsewhere] = placesElsewhere(context, options.from);
  if (!elsewhere) return 0;
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  const show = showProgress(context);
  let report: FetchReport;
  try {
    const { user } = config.backup;
    report = await fetchFrom(
      elsewhere,
      {
        ...resticOptions(context, abort.signal),
        config,
        serverOwner: await serverOwner(context),
        backupOwner: machine.isRoot && user !== undefined ? await findUser(user) : undefined,
      },
      progressTo(show.event),
    );
  } finally {
    unhook();
    show.end();
  }
  if (options.json) output.out(JSON.stringify({ version: 1, ...report }, undefined, 2));
  else print(context, report);
  return report.cluster?.filestores.some(({ missing }) => missing.count > 0) ? 1 : 0;
}

function print(context: Context, { at, cluster, configuration }: FetchReport): void {
  const { output } = context;
  if (configuration !== null) output.err(`  The configuration at that time: ${configuration}`);
  if (!cluster) {
    output.out(`Fetched the backups as of ${at}; the copy has no WAL.`);
    output.err(
      suggest(context, nextStep`Next: ${odooPg("up")}, then restore each: ${odooPg("backup", "list")}`),
    );
    return;
  }
  output.out(`Fetched the cluster as of ${at}.`);
  if (cluster.lastChange !== null) output.err(`  The last change in it is of ${cluster.lastChange}.`);
  for (const { database, files, missing } of cluster.filestores) {
    output.err(printableLine(`  ${database}: ${files - missing.count} of ${files} attachments`));
    for (const name of missing.first) output.err(printableLine(`  - ${name} is missing`));
  }
  output.err(suggest(context, nextStep`Start it: ${odooPg("up")}`));
}
