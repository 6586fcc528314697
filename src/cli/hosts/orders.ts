import { ensureAgent } from "../../agent/control/client.ts";
import { OdooPgError, type ExitStatus } from "../../errors.ts";
import { orderHosts } from "../../hosts/ask-agent.ts";
import { readHostRecord } from "../../hosts/documents/record.ts";
import { nextStep, odooPg } from "../../next-step.ts";
import type { HostOrder } from "../../hosts/documents/orders.ts";
import { lockHolder } from "../../store/lock.ts";
import { readApplied } from "../../store/state.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { suggest, type Context } from "../context.ts";
import { up } from "../cluster/up.ts";
import { agentStart } from "../agent-start.ts";

/** Gives an order to the cluster's hosts, and prints the result. */
async function order(
  context: Context,
  wanted: HostOrder,
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const { layout, output } = context;
  const outcome = await orderHosts(layout, wanted);
  if (options.json) {
    output.out(JSON.stringify({ version: 1, ...outcome }, undefined, 2));
    return 0;
  }
  outcome.plan?.forEach((step, index) => output.err(`plan ${index + 1}. ${step}`));
  output.err(outcome.done);
  if (outcome.changed && outcome.undo) output.err(`To undo: ${suggest(context, outcome.undo)}`);
  return 0;
}

/** Makes another host the primary, as planned. */
export async function hostsSwitchover(
  context: Context,
  options: { readonly to: string | undefined; readonly dryRun: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const { to, dryRun, json } = options;
  return await order(context, { order: "switchover", to: to ?? null, dry_run: dryRun }, { json });
}

/** Makes a host the primary by force. */
export async function failover(
  context: Context,
  to: string | undefined,
  options: {
    readonly allowDataLoss: boolean;
    readonly confirm: string | undefined;
    readonly dryRun: boolean;
    readonly json: boolean;
  },
): Promise<ExitStatus> {
  const { allowDataLoss, confirm, dryRun, json } = options;
  if (to === undefined) {
    throw new OdooPgError("usage", {
      message: "Which host is to be the primary?",
      safe: "Nothing was changed.",
      next: nextStep`See which there are (${odooPg("status")}), then: ${odooPg("failover", "--help")}`,
    });
  }
  return await order(
    context,
    { order: "failover", to, allow_data_loss: allowDataLoss, confirm: confirm ?? null, dry_run: dryRun },
    { json },
  );
}

/** @param host whose server is restarted; undefined: all, one by one */
export async function restart(
  context: Context,
  host: string | undefined,
  options: { readonly dryRun: boolean; readonly json: boolean },
): Promise<ExitStatus> {
  const { dryRun, json } = options;
  return await order(context, { order: "restart", host: host ?? null, dry_run: dryRun }, { json });
}

/** This host's part of the cluster is stopped. */
export async function hostsDown(context: Context): Promise<ExitStatus> {
  await ensureAgent(await agentStart(context));
  const status = await order(context, { order: "down" }, { json: false });
  await agentGone(context);
  context.output.err(`Start it again: ${suggest(context, odooPg("up"))}`);
  return status;
}

/** Maximum milliseconds of a pause: a longer one would be forgotten. */
const LONGEST = 24 * 3_600_000;

/** @param text such as `30m` or `2h` */
export async function pause(
  context: Context,
  text: string,
  options: { readonly json: boolean },
): Promise<ExitStatus> {
  const [, count, unit] = /^(\d{1,4})([mh])$/.exec(text) ?? [];
  const span = Number(count) * (unit === "h" ? 3_600_000 : 60_000);
  if (!(span > 0 && span <= LONGEST)) {
    throw new OdooPgError("usage", {
      message: `--for ${text}: that is not a time from 1m to 24h.`,
      safe: "Nothing was changed.",
      next: "Write it as 30m or 2h.",
    });
  }
  return await order(context, { order: "pause", until: now() + span }, options);
}

export async function resume(context: Context, options: { readonly json: boolean }): Promise<ExitStatus> {
  return await order(context, { order: "resume" }, options);
}

/** Rebuilds this host's data from the primary; the old data is kept. */
export async function hostsReseed(
  context: Context,
  node: string | undefined,
  options: { readonly json: boolean; readonly dryRun: boolean },
): Promise<ExitStatus> {
  const name = (await readHostRecord(context.layout))?.name ?? "";
  if (node !== undefined && node !== name) {
    throw new OdooPgError("refused", {
      message: `This host is ${name}: its data is rebuilt here, that of ${node} there.`,
      safe: "Nothing was changed.",
      next: `Run the same command on ${node}.`,
    });
  }
  const { dryRun } = options;
  if (!dryRun) context.output.err("The primary is copied; follow it: odoo-pg status --watch");
  return await order(context, { order: "reseed", dry_run: dryRun }, options);
}

/** This host leaves the cluster. */
export async function leave(context: Context, options: { readonly json: boolean }): Promise<ExitStatus> {
  return await order(context, { order: "leave" }, options);
}

/** Removes a host that is lost for good; its name is typed twice. */
export async function removeHost(
  context: Context,
  host: string,
  options: { readonly confirm: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  if (options.confirm !== host) {
    throw new OdooPgError("confirmation_missing", {
      message: `${host} would no longer be one of the cluster's hosts, and would lose its vote.`,
      safe: "Nothing was changed.",
      next: odooPg("ha", "remove", host, "--confirm", host),
    });
  }
  return await order(context, { order: "remove", host }, options);
}

/** Turns several hosts into one again, this one; its cluster continues under an agent of one host. */
export async function disband(context: Context, confirm: string | undefined): Promise<ExitStatus> {
  const { layout, output } = context;
  const status = await order(context, { order: "disband", confirm: confirm ?? null }, { json: false });
  await agentGone(context);
  const applied = await readApplied(layout);
  if (applied) await up({ ...context, config: applied.config }, {});
  output.err(
    "Compare that file with your own configuration file, and put it in its place: it says which server this host has.",
  );
  return status;
}

/** Lets this host decide alone, where the majority is lost for good. */
export async function forceNewCluster(
  context: Context,
  options: { readonly confirm: string | undefined; readonly json: boolean },
): Promise<ExitStatus> {
  return await order(context, { order: "force_new_cluster", confirm: options.confirm ?? null }, options);
}

async function agentGone({ layout }: Context): Promise<void> {
  await waitUntil(async () => (await lockHolder(layout.lockFile)) === undefined, {
    what: "the agent to leave",
    timeout: 10_000,
  });
}
