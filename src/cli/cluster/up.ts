import path from "node:path";
import { Agent } from "../../agent/agent.ts";
import { ensureAgent, orderEvenIfItLeft } from "../../agent/control/client.ts";
import { progressTo } from "../../progress.ts";
import { takePossession } from "../../store/possession.ts";
import type { ApplyRequest } from "../../cluster/documents/agent-report.ts";
import { isAnyPooled } from "../../config/pooling.ts";
import { findHaproxy } from "../../endpoints/haproxy.ts";
import { findPgbouncer } from "../../endpoints/pgbouncer/program.ts";
import { OdooPgError, toOdooPgError, type ExitStatus } from "../../errors.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { hostsDryRun, hostsUp } from "../hosts/up.ts";
import { findInstallation } from "../../postgres/installation.ts";
import { requireOwnHosts } from "../../services/own-hosts.ts";
import { isBelievable } from "../../system/files/files.ts";
import { openLog, type Log } from "../../system/log.ts";
import { requester } from "../../system/machine.ts";
import { onSignals } from "../../system/process/process.ts";
import {
  givenPasswords,
  loadContext,
  programSearch,
  refuseForeignConfig,
  serverOwner,
  suggest,
  type Context,
} from "../context.ts";
import { noteFormerNames } from "../former-names.ts";
import { noteAttachments } from "../odoo/attachments.ts";
import { printOdooLines } from "../odoo/odoo-conf.ts";
import { showProgress } from "../progress.ts";
import { odooPg } from "../../next-step.ts";
import { readApplied } from "../../store/state.ts";
import { status } from "./status.ts";
import { agentStart, agentOptions } from "../agent-start.ts";
import { upPlan, type UpStep } from "./up-plan.ts";

/** Additions of a container to an agent in the foreground. */
export interface Foreground {
  /** Receives the agent's log lines; default: its own log and standard error. */
  readonly log?: Log;
  /** Called when the cluster is up for the first time; when it fails, everything is stopped again. */
  readonly afterUp?: (log: Log) => Promise<void>;
}

/**
 * Brings this host's part of the cluster to the wanted state, through the agent, and prints status and Odoo's lines.
 */
export async function up(
  context: Context,
  options: { foreground?: boolean | Foreground; dryRun?: boolean },
): Promise<ExitStatus> {
  if (options.dryRun) return await dryRun(context);
  if (await readHostRecord(context.layout))
    return await hostsUp(context, { foreground: options.foreground === true });
  noteFormerNames(context);
  await requireOwnHosts(context.config);
  const request = await applyRequest(context);
  const start = { ...(await agentStart(context)), inAgent: context.output.tell !== undefined };
  // Anything missing is reported before anything is created.
  const tools = programSearch(context);
  await Promise.all([
    findInstallation(context.config.postgres, tools),
    findHaproxy(context.config.haproxy.program, tools),
    ...(isAnyPooled(context.config) ? [findPgbouncer(context.config.pgbouncer.program, tools)] : []),
  ]);
  if (options.foreground)
    return await stayInForeground(context, request, options.foreground === true ? {} : options.foreground);
  // A state directory of odoo-pg up to 0.1 is root's only after the first up; a directory that cannot be read blocks
  // nothing.
  const isOurs = await isBelievable(context.layout.appliedFile);
  const steps = isOurs ? await upPlan(context).catch(() => []) : [];
  // Steps that end sessions are announced before they happen.
  tell(
    context,
    steps.filter(({ restarts }) => restarts),
  );
  const launched = !isOurs || (await readApplied(context.layout)) !== undefined;
  await ensureAgent(start);
  const show = showProgress(context);
  const abort = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => abort.abort());
  try {
    await orderEvenIfItLeft(start, "/apply", request, show.event, abort.signal);
  } finally {
    unhook();
    show.end();
  }
  const result = await status(context, {}, context.output);
  // Where another cluster has the primary, it has the roles, too.
  if (context.config.upstream) return result;
  context.output.out("");
  if (launched) context.output.out(`The lines for odoo.conf: ${suggest(context, odooPg("odoo-conf"))}`);
  else {
    await printOdooLines(context);
    await noteAttachments(context, true);
  }
  return result;
}

/** Prints what an `up` would do to the servers. */
async function dryRun(context: Context): Promise<ExitStatus> {
  if (await readHostRecord(context.layout)) return await hostsDryRun(context);
  await requireOwnHosts(context.config);
  const steps = await upPlan(context);
  tell(context, steps);
  context.output.err(steps.length ? "Dry run: nothing was changed." : "The servers need no change.");
  return 0;
}

function tell({ output }: Context, steps: readonly UpStep[]): void {
  for (const { node, text } of steps) output.err(`  ${node.padEnd(8)} will ${text}`);
}

async function applyRequest({ config, configFile, invocation, secrets }: Context): Promise<ApplyRequest> {
  return {
    config,
    passwords: await givenPasswords(secrets),
    config_file: configFile === undefined ? null : path.resolve(invocation.cwd, configFile),
  };
}

/** The same agent as a child of systemd or of a container: a termination signal stops the servers too. */
async function stayInForeground(
  context: Context,
  request: ApplyRequest,
  options: Foreground,
): Promise<ExitStatus> {
  const owner = await serverOwner(context);
  const log = options.log ?? openLog(context.layout.agentLog, owner, true);
  const agent = new Agent(agentOptions(context, { stateDir: context.layout.stateDir, owner, log }));
  const progress = progressTo((event) => {
    if (event.kind === "step") log("info", `${event.node ?? ""} ${event.text}`.trim());
    if (event.kind === "note") log("info", event.text);
  });
  await takePossession(context.layout, owner, context.config);
  await agent.open();
  let failure: OdooPgError | undefined;
  const unhook = onSignals(["SIGTERM", "SIGINT"], () => {
    agent.down(progress, requester()).catch((error: unknown) => log("error", toOdooPgError(error).message));
  });
  const unhookReload = onSignals(["SIGHUP"], () => {
    const apply = async (): Promise<void> => {
      const fresh = await loadContext(context.invocation, context.output, context.configFile);
      await refuseForeignConfig(fresh);
      await requireOwnHosts(fresh.config);
      await agent.apply(await applyRequest(fresh), progress, requester());
    };
    apply().catch((error: unknown) => log("error", toOdooPgError(error).message));
  });
  const running = agent.run();
  try {
    await agent.apply(request, progress, requester());
  } catch (error) {
    failure = toOdooPgError(error);
    // A failed replica does not end what runs; a cluster that never came up exits with its error.
    if (!(await agent.report()).keeping) agent.stop();
  }
  if (!failure || (await agent.report()).keeping) {
    await options.afterUp?.(log).catch(async (error: unknown) => {
      failure = toOdooPgError(error);
      await agent.down(progress, requester());
    });
  }
  await running;
  unhook();
  unhookReload();
  if (failure && !(await agent.report()).keeping) throw failure;
  return 0;
}
