import path from "node:path";
import {
  refusesTablespaces,
  troubleBetween,
  waitingForReseed,
  type TablespaceTrouble,
} from "../model/tablespaces.ts";
import { findPostmaster, stopServer } from "../postgres/server.ts";
import { closeTablespaces, openTablespaces, tablespacesOf } from "../postgres/tablespaces.ts";
import { kindOf } from "../system/files/files.ts";
import type { NodeHandle } from "./node-handle.ts";
import { ownPrimary, primaryName, replicasOf, type Runtime } from "./runtime.ts";

/** Keeps a replica from following a path in the WAL, and lets a primary make tablespaces where that does no harm. */
export async function guardTablespaces(runtime: Runtime, handle: NodeHandle): Promise<void> {
  const { owner, installation } = runtime;
  const { dataDir } = handle.files;
  // A promotion that was cut off leaves a recorded primary that still follows.
  const follows = handle !== ownPrimary(runtime) || (await kindOf(path.join(dataDir, "standby.signal")));
  const closed =
    follows ||
    refusesTablespaces(installation.major, replicasOf(runtime).length, (await tablespacesOf(dataDir)).size);
  await (closed ? closeTablespaces(dataDir, owner) : openTablespaces(dataDir, owner));
}

/** The tablespaces of this cluster's primary for which a replica has no place of its own. */
export async function tablespaceTroubles(
  runtime: Runtime,
  handle: NodeHandle,
): Promise<readonly TablespaceTrouble[]> {
  const primary = ownPrimary(runtime);
  if (!primary || handle === primary) return [];
  const theirs = await tablespacesOf(primary.files.dataDir);
  if (theirs.size === 0) return [];
  const { dataDir } = handle.files;
  const runs = (await findPostmaster(dataDir)) !== undefined;
  return troubleBetween(theirs, await tablespacesOf(dataDir), runs);
}

/**
 * Looks whether a replica has a place of its own for each tablespace. One that has not is not started until it is made
 * anew, and one that writes into its primary's files, as before this was looked at, is stopped.
 */
export async function recordTablespaces(runtime: Runtime, handle: NodeHandle): Promise<void> {
  if (!handle.hold.isFree) return;
  const seen = await tablespaceTroubles(runtime, handle);
  const { refusedTablespace } = handle;
  const troubles =
    seen.length === 0 && refusedTablespace !== undefined
      ? [{ location: refusedTablespace, shared: false }]
      : seen;
  const known = handle.tablespaces.length > 0;
  handle.tablespaces = troubles;
  const { name } = handle.node;
  if (troubles.length === 0) {
    // The tablespace was dropped, or the replica was rebuilt.
    if (known) handle.waiting = undefined;
    return;
  }
  const { state, reason, next } = waitingForReseed(name, primaryName(runtime), troubles);
  handle.waitFor(state, reason, next);
  if (!known) runtime.log("error", `${name}: ${reason}`);
  if (!troubles.some(({ shared }) => shared) || !(await findPostmaster(handle.files.dataDir))) return;
  await handle.hold.take("stop");
  try {
    await handle.disconnect();
    // What it still holds in memory must not be written.
    await stopServer(handle.files.dataDir, name, "immediate");
  } finally {
    handle.hold.release();
  }
}
