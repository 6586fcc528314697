import { agentReport } from "../agent/client.ts";
import { NodeHandle } from "../agent/node-handle.ts";
import { superuser } from "../agent/runtime.ts";
import { readPassword } from "../agent/secrets.ts";
import { readApplied, readState } from "../agent/state.ts";
import { layoutOf, nodeLayoutOf, type Layout, type NodeConfig } from "../cluster/layout.ts";
import type { NodeObservation } from "../cluster/observation.ts";
import type { StatusDocument } from "../cluster/status-document.ts";
import { statusOf } from "../cluster/status.ts";
import type { DiskUse } from "../cluster/view.ts";
import type { Config } from "../config/schema.ts";
import { OdooPgError, type ExitStatus } from "../errors.ts";
import { databaseBytes } from "../postgres/observe.ts";
import { now, pause, within } from "../system/clock.ts";
import { diskSpace } from "../system/files.ts";
import { accepts } from "../system/network.ts";
import { withSession } from "../system/sql.ts";
import { clearScreen, type Output } from "../system/terminal.ts";
import { suggest, type Context } from "./context.ts";
import { endpointHost } from "./odoo-conf.ts";
import { sheet } from "./sheet.ts";

/** Milliseconds. Everything is looked at at the same time, so the slowest of these is the most that a status takes. */
const NODE_LIMIT = 1500;
const SIZE_LIMIT = 1000;
const AGENT_LIMIT = 500;
const DISK_LIMIT = 1000;
const CONNECT_LIMIT = 300;

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
  options: { json?: boolean; watch?: boolean },
  output: Output,
): Promise<ExitStatus> {
  if (options.watch) {
    if (!options.json) return await watch(context, output);
    throw new OdooPgError("usage", {
      message: "--json prints one document, and --watch prints again and again: use one of them.",
      next: suggest(context, "status --json"),
    });
  }
  const document = await gatherStatus(context);
  output.out(options.json ? JSON.stringify(document, undefined, 2) : sheet(document, output));
  return statusExit(document);
}

export function statusExit(document: StatusDocument): ExitStatus {
  if (document.warnings.some(({ code }) => code === "cluster_not_running")) return 69;
  return document.verdict === "critical" ? 1 : 0;
}

async function watch(context: StatusContext, output: Output): Promise<ExitStatus> {
  const { onSignals } = await import("../system/process.ts");
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
 * Looks at every part of the cluster at the same time. A dead or hung part costs no more than its limit and shows as
 * such. What was applied is looked at, not what the configuration file says by now.
 * @throws OdooPgError state_dir_unusable when the state cannot be read.
 */
export async function gatherStatus(context: StatusContext): Promise<StatusDocument> {
  const layout = layoutOf(context.config.state_dir);
  const [applied, record, password] = await Promise.all([
    readApplied(layout),
    readState(layout),
    readPassword(layout, "postgres"),
  ]);
  const config = applied?.config ?? context.config;
  const primary = config.nodes.find(({ name }) => name === record?.primary);
  const host = endpointHost(config.listen);
  const answers = async (port: number): Promise<boolean> => await accepts(host, port, CONNECT_LIMIT);
  const [observations, agent, size, disks, readAnswers, writeAnswers] = await Promise.all([
    Promise.all(config.nodes.map(async (node) => await lookAt(layout, node, password))),
    agentReport(layout, AGENT_LIMIT),
    sizeOn(layout, primary, password),
    Promise.all(config.nodes.map(async (node) => await diskOf(layout, node))),
    answers(config.endpoints.read.port),
    answers(config.endpoints.write.port),
  ]);
  return statusOf({
    config,
    configChanged: applied !== undefined && comparable(applied.config) !== comparable(context.config),
    record: record && { primary: record.primary, systemIdentifier: record.system_identifier },
    observations,
    agent,
    databaseBytes: size,
    disks: new Map(disks.flatMap((disk) => (disk ? [disk] : []))),
    endpoints: { host, readAnswers, writeAnswers },
    now: now(),
    suggest: (command) => suggest(context, command),
  });
}

/** What the file alone decides. Parameters and password files may come from the environment of another `up`. */
function comparable(config: Config): string {
  const { password_files: _, postgres, ...rest } = config;
  return JSON.stringify({ ...rest, postgres: { ...postgres, parameters: {} } });
}

async function lookAt(
  layout: Layout,
  node: NodeConfig,
  password: string | undefined,
): Promise<NodeObservation> {
  const silent = (reason: string): NodeObservation => ({
    name: node.name,
    at: now(),
    answer: { kind: "none", reason, starting: false },
    lastSeen: undefined,
  });
  if (password === undefined) return silent("was never started");
  const credentials = superuser(layout, node.port, password);
  const handle = new NodeHandle(node, nodeLayoutOf(layout, node), credentials);
  try {
    return await within(NODE_LIMIT, node.name, handle.observe());
  } catch {
    return silent(`does not answer within ${NODE_LIMIT / 1000} s`);
  } finally {
    // The process ends soon: a polite end must not be waited for where the server hangs.
    void handle.disconnect().catch(() => {});
  }
}

/** Bytes of all databases; undefined where the primary does not tell in time. */
async function sizeOn(
  layout: Layout,
  primary: NodeConfig | undefined,
  password: string | undefined,
): Promise<number | undefined> {
  if (!primary || password === undefined) return undefined;
  const credentials = {
    ...superuser(layout, primary.port, password),
    applicationName: "odoo-pg status",
    connectLimit: SIZE_LIMIT,
    statementLimit: SIZE_LIMIT,
    settings: { statement_timeout: String(SIZE_LIMIT), jit: "off" },
  };
  return await within(NODE_LIMIT, primary.name, withSession(credentials, databaseBytes)).catch(
    () => undefined,
  );
}

async function diskOf(layout: Layout, node: NodeConfig): Promise<[string, DiskUse] | undefined> {
  // A network file system that hangs must not hang the status.
  const space = within(DISK_LIMIT, node.name, diskSpace(nodeLayoutOf(layout, node).dataDir));
  return await space.then(
    (disk) => [node.name, disk],
    () => undefined,
  );
}
