import { readArchive } from "../../archive/record.ts";
import { endpointHost } from "../../config/addresses.ts";
import { agentObservations, agentReport } from "../../agent/ask.ts";
import { diskUseOf } from "../../observe/disk-use.ts";
import { observationsOf } from "../../members/observations.ts";
import { readApplied, readState } from "../../store/state.ts";
import { readBackupStatus } from "../../store/backup-status.ts";
import { layoutOf, UPSTREAM, type Layout, type NodeConfig } from "../../config/layout.ts";
import type { NodeObservation } from "../../model/observation.ts";
import type { StatusDocument } from "../../cluster/documents/status.ts";
import { statusOf } from "../../cluster/status.ts";
import { withUpstream, type DiskUse } from "../../cluster/view.ts";
import type { Config } from "../../config/schema.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { now, pause, within } from "../../system/clock.ts";
import { accepts } from "../../system/network/network.ts";
import { clearScreen, type Output } from "../../system/terminal.ts";
import { odooPg } from "../../next-step.ts";
import { namedFile, type Context } from "../context.ts";
import type { SizedObservation } from "./observe-node.ts";
import { sheet } from "./sheet.ts";
import { BUILD } from "../setup/version.ts";

/**
 * Milliseconds. Everything is looked at at the same time, so the slowest of these is the most that a status takes; only
 * where the agent does not tell what it sees, a look without it comes after.
 */
const OBSERVATIONS_TIMEOUT = 300;
const AGENT_TIMEOUT = 500;
const DISK_TIMEOUT = 1000;
const ASIDE_TIMEOUT = 500;
const CONNECT_TIMEOUT = 300;

/** Milliseconds between two sheets of --watch. */
const WATCH_EVERY = 2000;

type StatusContext = Pick<Context, "config" | "configFile">;

/**
 * Prints how the cluster is. With `watch`, again and again until Ctrl-C: over the last sheet on a terminal, one sheet
 * below the other elsewhere.
 * @returns 0 ok or warning, 1 critical, 69 when nothing of the cluster answers, 130 when a watch was ended.
 * @throws OdooPgError usage for `json` with `watch`; state_dir_unusable when the state cannot be read.
 */
export async function status(
  context: StatusContext,
  options: { json?: boolean; watch?: boolean; full?: boolean },
  output: Output,
): Promise<ExitStatus> {
  if (options.watch) {
    if (!options.json) return await watch(context, output);
    throw new OdooPgError("usage", {
      message: "--json prints one document, and --watch prints again and again: use one of them.",
      next: odooPg("status", "--json"),
    });
  }
  const document = await gatherStatus(context);
  output.out(
    options.json
      ? JSON.stringify(document, undefined, 2)
      : sheet(document, { ...output, whole: options.full === true }),
  );
  return statusExit(document);
}

function statusExit(document: StatusDocument): ExitStatus {
  if (document.warnings.some(({ code }) => code === "cluster_not_running" || code === "cluster_stopped"))
    return 69;
  return document.verdict === "critical" ? 1 : 0;
}

async function watch(context: StatusContext, output: Output): Promise<ExitStatus> {
  const { onSignals } = await import("../../system/process/process.ts");
  const ended = new AbortController();
  const unhook = onSignals(["SIGINT", "SIGTERM"], () => ended.abort());
  try {
    while (!ended.signal.aborted) {
      const text = sheet(await gatherStatus(context), output);
      if (ended.signal.aborted) break;
      if (output.terminal) clearScreen();
      output.out(output.terminal ? `${text}\n\nEvery ${WATCH_EVERY / 1000} s, until Ctrl-C.` : `${text}\n`);
      // An aborted pause rejects: that is the end of the watch.
      await pause(WATCH_EVERY, ended.signal).catch(() => {});
    }
  } finally {
    unhook();
  }
  return 130;
}

/**
 * Looks at every part of the cluster at the same time. A dead or hung part costs no more than its timeout and shows as
 * such. What was applied is looked at, not what the configuration file says by now.
 * @throws OdooPgError state_dir_unusable when the state cannot be read.
 */
async function gatherStatus(context: StatusContext): Promise<StatusDocument> {
  const layout = layoutOf(context.config.state_dir);
  const asked = agentObservations(layout, OBSERVATIONS_TIMEOUT);
  const reported = agentReport(layout, AGENT_TIMEOUT);
  const [applied, record, backups, archive] = await Promise.all([
    readApplied(layout),
    readState(layout),
    readBackupStatus(layout.stateDir),
    readArchive(layout),
  ]);
  const own = applied?.config ?? context.config;
  const followed = record?.primary === UPSTREAM ? own.upstream : undefined;
  const config = followed ? withUpstream(own, followed) : own;
  const host = endpointHost(config.listen);
  const answers = async (port: number): Promise<boolean> => await accepts(host, port, CONNECT_TIMEOUT);
  const [upstream, observed, agent, disks, readAnswers, writeAnswers] = await Promise.all([
    followed && observeUpstream(layout, followed),
    observesAt(layout, own.nodes, record?.primary, asked),
    reported,
    Promise.all(own.nodes.map(async (node) => await diskOf(layout, node))),
    answers(config.endpoints.read.port),
    answers(config.endpoints.write.port),
  ]);
  return statusOf({
    config,
    configChanged: applied !== undefined && comparable(applied.config) !== comparable(context.config),
    record: record && {
      primary: record.primary,
      systemIdentifier: record.system_identifier,
      stopped: record.stopped,
    },
    observations: [...(upstream ? [upstream] : []), ...observed.map(({ observation }) => observation)],
    agent,
    otherAgent: agent && agent.build !== BUILD ? agent.version : undefined,
    databaseBytes: observed.find(({ size }) => size !== undefined)?.size,
    databases: observed.find(({ databases }) => databases !== undefined)?.databases,
    disks: new Map(disks.flatMap((disk) => (disk ? [disk] : []))),
    endpoints: { host, readAnswers, writeAnswers },
    backups: { ...backups, launchedAt: record?.history[0]?.at },
    archive,
    now: now(),
    configFile: namedFile(context),
  });
}

/** What the file alone decides. Parameters and password files may come from the environment of another `up`. */
function comparable(config: Config): string {
  const { password_files: _, postgres, upstream, ...rest } = config;
  return JSON.stringify({
    ...rest,
    postgres: { ...postgres, parameters: {} },
    upstream: upstream && { ...upstream, password_file: undefined },
  });
}

async function observeUpstream(
  layout: Layout,
  upstream: NonNullable<Config["upstream"]>,
): Promise<NodeObservation> {
  const { ForeignPrimary } = await import("../../members/foreign-primary.ts");
  const { readPassword } = await import("../../store/secrets.ts");
  const primary = new ForeignPrimary(upstream, (await readPassword(layout, "upstream")) ?? "");
  return await primary.observe();
}

/** What the agent sees now; what it does not tell of is looked at without it. */
async function observesAt(
  layout: Layout,
  nodes: readonly NodeConfig[],
  primary: string | undefined,
  asked: ReturnType<typeof agentObservations>,
): Promise<SizedObservation[]> {
  const observed = await asked;
  const seen = new Map(
    observed && observationsOf(observed).map((observation) => [observation.name, observation]),
  );
  return await Promise.all(
    nodes.map(async ({ name, ...node }) => {
      const observation = seen.get(name);
      const isPrimary = name === primary;
      if (!observation)
        return await (await import("./observe-node.ts")).observeNode(layout, { name, ...node }, isPrimary);
      const answers = isPrimary && observation.answer.kind === "facts";
      return {
        observation,
        size: (answers && observed?.database_bytes) || undefined,
        databases: (answers && observed?.databases) || undefined,
      };
    }),
  );
}

async function diskOf(layout: Layout, node: NodeConfig): Promise<[string, DiskUse] | undefined> {
  // A network file system that hangs must not hang the status.
  const space = within(DISK_TIMEOUT, node.name, diskUseOf(layout, node, ASIDE_TIMEOUT));
  return await space.then(
    (disk) => [node.name, disk],
    () => undefined,
  );
}
