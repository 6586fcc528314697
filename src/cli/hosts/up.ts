import { findPgbackrest } from "../../archive/program.ts";
import type { Config } from "../../config/schema.ts";
import { readApplied } from "../../store/state.ts";
import { ensureAgent } from "../../agent/control/client.ts";
import type { ExitStatus } from "../../errors.ts";
import { HostAgent } from "../../hosts/agent/host-agent.ts";
import { hostsStatus, orderHosts, requireHostsStatus } from "../../hosts/ask-agent.ts";
import { changesBetween, showPath } from "../../hosts/decisions/settings/configure.ts";
import { isOfOneHost } from "../../hosts/decisions/settings/own-part.ts";
import { keepFileConfig, readFileConfig, readHostRecord } from "../../hosts/documents/record.ts";
import { odooPg } from "../../next-step.ts";
import { takePossession } from "../../store/possession.ts";
import { waitUntil } from "../../system/clock.ts";
import { openLog } from "../../system/log.ts";
import { onSignals } from "../../system/process/process.ts";
import { loadContext, serverOwner, type Context, programSearch } from "../context.ts";
import { requireFitForHosts } from "./fit.ts";
import { agentStart, agentOptions } from "../agent-start.ts";
import { hostsSheet } from "./status.ts";

/**
 * Timeout for the cluster to have a primary, as this host sees it, in milliseconds: another host may be about to take
 * over.
 */
const PRIMARY_TIMEOUT = 60_000;

/** Prints what `up` would change on all hosts. */
export async function hostsDryRun(context: Context): Promise<ExitStatus> {
  await requireHostsStatus(context.layout);
  await applyFile(context, true);
  context.output.err("Dry run: nothing was changed.");
  return 0;
}

/**
 * Changes to this host's configuration file since it was last applied are meant for all hosts. What else the file says,
 * or leaves out, changes nothing: the other hosts' files differ.
 */
async function applyFile(context: Context, dryRun: boolean): Promise<void> {
  const { layout, output } = context;
  const { config } = await loadContext(context.invocation, output, context.configFile);
  const known = await readFileConfig(layout);
  const all = known ? changesBetween(known, config) : [];
  const changes = all.filter(({ path }) => !isOfOneHost(path));
  const own = all.filter(({ path }) => isOfOneHost(path));
  if (own.length) requireFitForHosts(config, odooPg("up"));
  await requirePgbackrest(context, config);
  if (own.length)
    output.err(
      `${dryRun ? "Would be taken up" : "Taken up"} on this host: ${own.map(({ path }) => showPath(path)).join(", ")}`,
    );
  if (changes.length && !dryRun)
    output.err(`Applying on all hosts: ${changes.map(({ path }) => showPath(path)).join(", ")}`);
  const outcome = await orderHosts(layout, { order: "configure", changes, dry_run: dryRun });
  if (outcome.done !== "") output.err(outcome.done);
  else if (dryRun && !own.length) output.err("Nothing to change.");
  if (!dryRun) await keepFileConfig(layout, config);
}

/** @throws OdooPgError pgbackrest_missing where this host is to keep a repository of any second */
async function requirePgbackrest(context: Context, config: Config): Promise<void> {
  const { layout } = context;
  const isDatabase = (await readHostRecord(layout))?.role === "database";
  const major = (await readApplied(layout))?.major;
  if (!isDatabase || major === undefined || !config.backup.any_second.enabled) return;
  await findPgbackrest(major, programSearch(context));
}

/**
 * `up` on one of several hosts: makes sure that its agent runs, which keeps etcd, Patroni and the endpoints running, and
 * applies the changes in its configuration file. In the foreground it is the agent itself; when it ends, nothing else
 * does.
 */
export async function hostsUp(
  context: Context,
  options: { readonly foreground: boolean },
): Promise<ExitStatus> {
  const { layout } = context;
  if (!options.foreground) {
    await ensureAgent(await agentStart(context));
    const hasPrimary = async (): Promise<boolean> =>
      ((await hostsStatus(layout, 2000))?.primary ?? null) !== null;
    // The present state is shown in any case.
    const found = await waitUntil(hasPrimary, {
      what: "a primary",
      timeout: PRIMARY_TIMEOUT,
      interval: 200,
    }).catch(() => false);
    // A host with only the endpoints has no say in the configuration.
    const role = (await readHostRecord(layout))?.role;
    if (found && role !== "endpoints") await applyFile(context, false);
    return await hostsSheet(context, { json: false });
  }
  const owner = await serverOwner(context);
  await takePossession(layout, owner, context.config);
  const log = openLog(layout.agentLog, owner, true);
  const given = agentOptions(context, { stateDir: layout.stateDir, owner, log });
  const agent = await HostAgent.load({ ...given, layout });
  const unhook = onSignals(["SIGTERM", "SIGINT", "SIGHUP"], () => void agent.end());
  await agent.open();
  await agent.run();
  unhook();
  return 0;
}
