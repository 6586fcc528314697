import { changedSettings, type ChangedSetting } from "../../cluster/settings-diff.ts";
import { nodeLayoutOf, type NodeConfig } from "../../config/layout.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { renderPostgresqlConf } from "../../postgres/render.ts";
import { settingsNeedingRestart } from "../../postgres/sql/operations.ts";
import { Superuser } from "../../postgres/sql/access/superuser.ts";
import { keptSettings } from "../../store/kept-settings.ts";
import { readApplied, readState } from "../../store/state.ts";
import { diskSpace, kindOf, readTextIfAny } from "../../system/files/files.ts";
import { readTextOfOthers } from "../../system/files/held/by-path.ts";
import type { Context } from "../context.ts";

/** The effect that an `up` would have on one node. */
export interface UpStep {
  readonly node: string;
  readonly text: string;
  /** Whether sessions on the node end. */
  readonly restarts: boolean;
}

/** Timeout for the server to say which settings need a restart, in milliseconds. */
const ASK_TIMEOUT = 2000;

/** Values longer than this are not shown. */
const SHORT = 40;

/** The effects of an `up`, node by node, as far as they can be told beforehand. Changes nothing. */
export async function upPlan(context: Context): Promise<UpStep[]> {
  const { config, layout } = context;
  const [applied, state] = await Promise.all([readApplied(layout), readState(layout)]);
  const primary = state?.primary ?? config.nodes[0]?.name;
  const steps = await Promise.all(
    config.nodes.map(async (node) => await ofNode(context, node, node.name === primary)),
  );
  const known = config.nodes.map(({ name }) => name);
  const removed = (applied?.config.nodes ?? []).filter(({ name }) => !known.includes(name));
  return [
    ...steps.flat(),
    ...removed.map(({ name }) => ({
      node: name,
      text: "stop; it is no longer in the configuration, and its data is kept aside",
      restarts: true,
    })),
  ];
}

async function ofNode(context: Context, node: NodeConfig, isPrimary: boolean): Promise<UpStep[]> {
  const files = nodeLayoutOf(context.layout, node);
  const step = (text: string, restarts = false): UpStep[] => [{ node: node.name, text, restarts }];
  if (!(await kindOf(files.dataDir)))
    return step(
      isPrimary ? "create the database cluster (initdb), and start" : "copy from the primary, and start",
    );
  if (!(await findPostmaster(files.dataDir))) return step("start");
  const changed = await changedOf(context, node);
  if (changed.length === 0) return [];
  const needing = new Set(await askWhichRestart(context, node, changed));
  const later = changed.filter(({ name }) => needing.has(name));
  const now = changed.filter(({ name }) => !needing.has(name));
  return [
    ...(now.length ? step(`reload: ${now.map(said).join(", ")}`) : []),
    ...(later.length ? step(`restart, which ends its sessions: ${later.map(said).join(", ")}`, true) : []),
  ];
}

function said({ name, before, after }: ChangedSetting): string {
  const short = (value: string | undefined): string =>
    value === undefined ? "(default)" : value.length > SHORT ? "…" : value;
  return `${name} ${short(before)} → ${short(after)}`;
}

/** The settings of a running node that its file would change. */
async function changedOf(context: Context, node: NodeConfig): Promise<ChangedSetting[]> {
  const { config, layout, machine } = context;
  const files = nodeLayoutOf(layout, node);
  const present = await readTextIfAny(files.configFile);
  if (present === undefined) return [];
  const version = Number((await readTextOfOthers(`${files.dataDir}/PG_VERSION`)) ?? Number.NaN);
  const major = Number.isNaN(version) ? undefined : version;
  const state = await readState(layout);
  const wanted = renderPostgresqlConf({
    config,
    layout,
    node,
    files,
    facts: { ...machine, diskBytes: (await diskSpace(files.dataDir)).totalBytes, major },
    kept: await keptSettings(context, state, major),
    upstream: undefined,
    floor: {},
  });
  return changedSettings(present, wanted).filter(
    ({ name }) =>
      !FOLLOWING.includes(name) && (name !== "archive_command" || !config.backup.any_second.enabled),
  );
}

/**
 * The source of a replica's streaming follows the primary, not the configuration. The same is true of the archive
 * command for any second: the agent sets it once the repository takes WAL.
 */
const FOLLOWING = ["primary_conninfo", "primary_slot_name"];

async function askWhichRestart(
  { layout }: Context,
  node: NodeConfig,
  changed: readonly ChangedSetting[],
): Promise<string[]> {
  const session = await Superuser.of(layout, node).session({
    applicationName: "odoo-pg up",
    connectTimeout: ASK_TIMEOUT,
    statementTimeout: ASK_TIMEOUT,
  });
  try {
    return await settingsNeedingRestart(
      session,
      changed.map(({ name }) => name),
    );
  } finally {
    await session.close();
  }
}
