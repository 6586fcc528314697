import { nextStep, odooPg } from "../../next-step.ts";
import { agentReport } from "../../agent/control/ask.ts";
import { ensureAgent, orderEvenIfItLeft } from "../../agent/control/client.ts";
import { lockHolder } from "../../store/lock.ts";
import { takePossession } from "../../store/possession.ts";
import { readApplied, readState } from "../../store/state.ts";
import { backupPlaceOf } from "../../backup/place.ts";
import { nodeLayoutOf } from "../../config/layout.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { waitUntil } from "../../system/clock.ts";
import { isBelievable, kindOf } from "../../system/files/files.ts";
import { removeIn } from "../../system/files/held/by-path.ts";
import { hostsDown } from "../hosts/orders.ts";
import { serverOwner, suggest, type Context } from "../context.ts";
import { showProgress } from "../progress.ts";
import { agentStart } from "../agent-start.ts";
import { BUILD } from "../setup/version.ts";

/** Stops endpoints and servers in an order that loses nothing. The data stays. */
export async function down(context: Context): Promise<ExitStatus> {
  const { layout, output } = context;
  if (await readHostRecord(layout)) return await hostsDown(context);
  // Without an agent one is started: the same code always carries out the order, under the same lock.
  const start = await agentStart(context);
  if (!(await isBelievable(layout.appliedFile))) await ensureAgent(start);
  const applied = await readApplied(layout);
  const running = await agentReport(layout, 1000);
  if (!applied && (!running || running.ending)) {
    output.err(`Cluster ${context.config.cluster} was never started in ${layout.stateDir}: nothing to stop.`);
    return 0;
  }
  if (applied && applied.config.cluster !== context.config.cluster) {
    throw new OdooPgError("refused", {
      message: `${layout.stateDir} holds cluster "${applied.config.cluster}", but the configuration is for "${context.config.cluster}".`,
      safe: "Nothing was stopped.",
      next: `Name the configuration of "${applied.config.cluster}" with --config FILE, or set "cluster" in it to that name.`,
    });
  }
  if (running?.build !== BUILD || running.ending) await ensureAgent(start);
  const show = showProgress(context);
  try {
    await orderEvenIfItLeft(start, "/down", {}, show.event);
  } finally {
    show.end();
  }
  await waitUntil(async () => (await lockHolder(layout.lockFile)) === undefined, {
    what: "the agent to leave",
    timeout: 10_000,
  });
  output.err(`Cluster ${context.config.cluster} is stopped; its data stays in ${layout.stateDir}.`);
  output.err(`Start it again: ${suggest(context, odooPg("up"))}`);
  return 0;
}

/** Removes everything that a stopped cluster left in its state directory, data included. The name must be typed. */
export async function destroy(context: Context, options: { confirm?: string }): Promise<ExitStatus> {
  const { layout, output } = context;
  const owner = await serverOwner(context);
  if ((await lockHolder(layout.lockFile)) === undefined) await takePossession(layout, owner, context.config);
  const applied = await readApplied(layout);
  const state = await readState(layout);
  const name = applied?.config.cluster ?? state?.cluster;
  if (name === undefined) {
    throw new OdooPgError("refused", {
      message: `${layout.stateDir} ${(await kindOf(layout.stateDir)) ? "is not a state directory of odoo-pg" : "does not exist"}.`,
      safe: "Nothing was removed.",
      next: "Name the right configuration with --config FILE.",
    });
  }
  if (options.confirm !== name) {
    throw new OdooPgError("confirmation_missing", {
      message: `This removes cluster "${name}" with all its data in ${layout.stateDir}; attachments and backups stay${options.confirm === undefined ? "" : `; "${options.confirm}" is not its name`}.`,
      safe: "Nothing was removed.",
      next: odooPg("destroy", "--confirm", name),
    });
  }
  const nodes = new Map(
    [...context.config.nodes, ...(applied?.config.nodes ?? [])].map((node) => [node.name, node]),
  );
  const holder = await lockHolder(layout.lockFile);
  let live: string | undefined = holder === undefined ? undefined : `the agent (process ${holder})`;
  for (const node of nodes.values()) {
    const server = await findPostmaster(nodeLayoutOf(layout, node).dataDir);
    if (server) live ??= `node ${node.name} (process ${server.pid})`;
  }
  if (live !== undefined) {
    throw new OdooPgError("still_running", {
      message: `Cluster "${name}" is running: ${live}.`,
      safe: "Nothing was removed.",
      next: nextStep`${odooPg("down")}, then run the same command again.`,
    });
  }
  for (const node of nodes.values()) {
    // A data directory elsewhere is removed only when it was this cluster's own: named by what was applied.
    if (node.data_dir !== undefined && applied?.config.nodes.some((own) => own.data_dir === node.data_dir)) {
      await removeIn(node.data_dir);
    }
  }
  await removeIn(layout.stateDir);
  output.err(`Cluster ${name} and its data are removed.`);
  const { filestore } = (applied?.config ?? context.config).odoo;
  if (filestore !== undefined) output.err(`Odoo's attachments stay in ${filestore}.`);
  const { dir } = backupPlaceOf(applied?.config ?? context.config);
  if ((await kindOf(dir)) === "directory")
    output.err(`Its backups stay in ${dir}: remove them by hand when you are sure.`);
  return 0;
}
