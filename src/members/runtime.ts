import { nextStep, odooPg } from "../next-step.ts";
import path from "node:path";
import {
  foreignSlotName,
  nodeLayoutOf,
  slotName,
  UPSTREAM,
  type Layout,
  type NodeConfig,
} from "../config/layout.ts";
import type { PrimaryMark } from "../cluster/pool.ts";
import type { StartInput } from "../cluster/start.ts";
import type { Config } from "../config/schema.ts";
import { namesThatAre } from "../config/suggestion.ts";
import { OdooPgError } from "../errors.ts";
import type { RolePasswords } from "../odoo/roles.ts";
import type { Settings } from "../config/settings/table.ts";
import { keptSettings } from "../store/kept-settings.ts";
import { librariesOf, type Installation } from "../postgres/installation.ts";
import type { MachineFacts } from "../postgres/render.ts";
import type { StartOptions } from "../postgres/server.ts";
import { Superuser } from "../postgres/sql/access/superuser.ts";
import { diskSpace, type Owner } from "../system/files/files.ts";
import type { Log } from "../system/log.ts";
import type { Machine } from "../system/machine.ts";
import type { Holds } from "./holds.ts";
import { NodeHandle } from "./node-handle.ts";
import type { ForeignPrimary } from "./foreign-primary.ts";
import { readState, writeState, type ClusterState, type HistoryEntry } from "../store/state.ts";

/** What the agent and its operations share about the cluster of this host. */
export interface Runtime {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  readonly machine: Machine;
  readonly log: Log;
  config: Config;
  /** The file that it was applied from; undefined where there was none. */
  configFile: string | undefined;
  installation: Installation;
  passwords: RolePasswords;
  /** The cluster's record; changed by `changeState` alone. */
  readonly state: ClusterState;
  /** PostgreSQL settings that were chosen when the cluster was made. */
  kept: Settings;
  readonly nodes: Map<string, NodeHandle>;
  /** The primary that odoo-pg does not run, while the cluster follows one. */
  upstream: ForeignPrimary | undefined;
  /** Past positions of the primary's end of WAL, by which it is told how late a replica is. */
  marks: PrimaryMark[];
  /** Replicas that an operation keeps out of the pool. */
  readonly held: Holds;
  /** What was last tried and found to start: nodes share their parameters, so one trial counts for all. */
  startable: string | undefined;
  /** Has the agent observe the servers soon: something has happened. */
  readonly wake: () => void;
  /** What takes a node's WAL into the repository; undefined while nothing does. */
  archiveCommand?: ((node: NodeConfig) => string) | undefined;
  /** Ends copies that may take hours when the cluster is to go down. */
  interruption: AbortController;
}

export function handleOf(runtime: Runtime, name: string): NodeHandle {
  const handle = runtime.nodes.get(name);
  if (handle) return handle;
  throw new OdooPgError("node_unknown", {
    message: `No node is named "${name}". ${namesThatAre(name, [...runtime.nodes.keys()])}`,
    safe: "Nothing was changed.",
    next: nextStep`Run the same command with one of these names. To see them: ${odooPg("status")}`,
  });
}

/** Who is primary: a node of this host, or the one that somebody else runs. */
export function primaryOf(runtime: Runtime): NodeHandle | ForeignPrimary {
  return runtime.upstream ?? handleOf(runtime, primaryName(runtime));
}

/** Its name, as it stands in the cluster's record. */
export function primaryName(runtime: Pick<Runtime, "state">): string {
  return runtime.state.primary;
}

/**
 * The primary where this host runs it. Where several hosts have one cluster, each takes its own server for it, and whether
 * that leads is what the server says (`in_recovery`).
 */
export function ownPrimary(runtime: Runtime): NodeHandle | undefined {
  return runtime.upstream ? undefined : handleOf(runtime, primaryName(runtime));
}

/** The same where there must be one. @throws OdooPgError refused where somebody else runs it */
export function requireOwnPrimary(runtime: Runtime): NodeHandle {
  const primary = primaryOf(runtime);
  if (primary instanceof NodeHandle) return primary;
  const { host, port } = primary.node;
  throw new OdooPgError("refused", {
    message: `The primary ${host}:${port} is not run by odoo-pg: nothing is changed on it.`,
    next: "Do it on that host.",
  });
}

export function replicasOf(runtime: Runtime): NodeHandle[] {
  return [...runtime.nodes.values()].filter(({ node }) => node.name !== primaryName(runtime));
}

/** Any node, where one counts for all. */
export function firstOf(runtime: Runtime): NodeHandle {
  const [first] = runtime.nodes.values();
  if (first) return first;
  throw new OdooPgError("config_invalid", { message: "nodes: at least one node is needed." });
}

/** Handles for the configured nodes: kept where a node is still reached in the same way, else created again. */
export async function syncHandles(runtime: Runtime): Promise<void> {
  const wanted = new Map(runtime.config.nodes.map((node) => [node.name, node]));
  for (const [name, handle] of runtime.nodes) {
    const node = wanted.get(name);
    if (node && JSON.stringify(node) === JSON.stringify(handle.node)) continue;
    // This handle is no longer used: a start in progress would go on unseen.
    await handle.hold.take("remove");
    await handle.disconnect();
    runtime.nodes.delete(name);
  }
  const ordered = [...wanted.values()].map((node): [string, NodeHandle] => [
    node.name,
    runtime.nodes.get(node.name) ?? newHandle(runtime.layout, node),
  ]);
  runtime.nodes.clear();
  for (const [name, handle] of ordered) {
    handle.onLost = runtime.wake;
    runtime.nodes.set(name, handle);
  }
}

/** A node of this host, observed as the superuser. */
export function newHandle(layout: Layout, node: NodeConfig): NodeHandle {
  return new NodeHandle(node, nodeLayoutOf(layout, node), Superuser.of(layout, node));
}

/** A server may replay its WAL for long after a crash: milliseconds until a wait for it is given up. It goes on by itself. */
const START_TIMEOUT = 600_000;

/** How a node's server is started. */
export function startOptions(runtime: Runtime, handle: NodeHandle): StartOptions {
  const { installation, owner, config } = runtime;
  const warm = runtime.upstream !== undefined && config.upstream?.hot_standby === false;
  return { installation, files: handle.files, owner, node: handle.node.name, warm, timeout: START_TIMEOUT };
}

/** The slot by which a node follows its primary. */
export function followedSlot(runtime: Runtime, handle: NodeHandle): string {
  const { name } = handle.node;
  return runtime.upstream ? foreignSlotName(runtime.config.cluster, name) : slotName(name);
}

/** The address at which other nodes reach a node. */
export function addressOf(node: NodeConfig): { host: string; port: number } {
  return { host: node.host, port: node.port };
}

/** What rendering needs to know of the machine for one node. */
export async function factsFor(runtime: Runtime, handle: NodeHandle): Promise<MachineFacts> {
  const { hasLoopbackNetwork, platform } = runtime.machine;
  const { major } = runtime.installation;
  const disk = await diskSpace(path.dirname(handle.files.dataDir));
  return { hasLoopbackNetwork, platform, major, diskBytes: disk.totalBytes };
}

/** The cluster's record, or the one of a cluster that is about to be launched. */
export async function loadState(layout: Layout, config: Config): Promise<ClusterState> {
  const known = await readState(layout);
  if (known) return known;
  const first = config.upstream ? { name: UPSTREAM } : config.nodes[0];
  if (!first) throw new OdooPgError("config_invalid", { message: "nodes: at least one node is needed." });
  return {
    format: 1,
    cluster: config.cluster,
    system_identifier: null,
    primary: first.name,
    history: [],
    removed: [],
  };
}

/** The one way to change the cluster's record: it is on disk before anyone acts on it. */
export async function changeState(
  runtime: Runtime,
  changes: Partial<Omit<ClusterState, "format" | "cluster">>,
): Promise<void> {
  const state = { ...runtime.state, ...changes };
  await writeState(runtime.layout, state);
  Object.assign(runtime, { state } satisfies Pick<Runtime, "state">);
}

/** Records what is chosen for the cluster. */
export async function keepSettings(runtime: Runtime): Promise<void> {
  const { state, installation } = runtime;
  runtime.kept = await keptSettings(runtime, state, installation.major, await librariesOf(installation));
  const made = state.system_identifier !== null;
  const consistency = made ? state.consistency : runtime.config.endpoints.read.consistency;
  if (JSON.stringify(state.settings) === JSON.stringify(runtime.kept) && state.consistency === consistency)
    return;
  await changeState(runtime, { settings: runtime.kept, ...(consistency ? { consistency } : {}) });
}

export async function recordHistory(runtime: Runtime, entry: HistoryEntry): Promise<void> {
  await changeState(runtime, { history: [...runtime.state.history, entry].slice(-200) });
}

/** What the cluster's record says, for the decision how a node starts. */
export function recordedFor(
  runtime: Runtime,
): Pick<StartInput, "primary" | "cluster" | "systemIdentifier" | "foreign"> {
  return {
    primary: primaryName(runtime),
    cluster: runtime.config.cluster,
    systemIdentifier: runtime.state.system_identifier ?? undefined,
    foreign: runtime.upstream !== undefined,
  };
}
