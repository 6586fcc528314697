import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { copySlotName, slotName } from "../../config/layout.ts";
import { factsOf } from "../../model/observation.ts";
import { OdooPgError } from "../../errors.ts";
import { freshDirectory } from "../../postgres/initialise.ts";
import { programOf } from "../../postgres/installation.ts";
import { checkpoint, dropSlot, ensureSlot, replaceSlot } from "../../postgres/sql/operations.ts";
import { forgetOwnSettings } from "../../postgres/sql/altered-settings.ts";
import { endOrphans } from "../../postgres/orphans.ts";
import { findPostmaster, startServer, stopServer } from "../../postgres/server.ts";
import {
  closeTablespaces,
  openTablespaces,
  ownPlacesOf,
  partFromOriginal,
  removePlaceOf,
  tablespacesOf,
} from "../../postgres/tablespaces.ts";
import { now, pause, waitUntil } from "../../system/clock.ts";
import {
  diskSpace,
  isMountPoint,
  kindOf,
  readTextIfAny,
  temporaryDirectory,
  writeFileAtomic,
} from "../../system/files/files.ts";
import { bytesBelow, removeIn, renameIn } from "../../system/files/folder.ts";
import { runOrFail } from "../../system/process/process.ts";
import { becomeStandby } from "./change-primary.ts";
import { startingFloor, writeNodeFiles } from "../../services/configure.ts";
import { copyOfPrimary } from "../../services/copy-of-primary.ts";
import type { Progress } from "../../progress.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import type { PoolKeeper } from "../../services/read-pool.ts";
import { stamp } from "../../model/time-stamp.ts";
import type { Outcome } from "../../cluster/documents/agent-report.ts";
import {
  followedSlot,
  handleOf,
  primaryOf,
  recordHistory,
  replicasOf,
  type Runtime,
  startOptions,
} from "../../members/runtime.ts";

/** Tries of a base backup before the reseed gives up, and milliseconds between them. */
const TRIES = 3;
const BETWEEN_TRIES = 2000;

/** Makes a replica anew from the primary. Its old data is kept aside until somebody removes it. */
export async function reseed(
  runtime: Runtime,
  pool: PoolKeeper,
  request: { node: string; discardOld: boolean; dryRun: boolean },
  progress: Progress,
): Promise<Outcome> {
  if (request.node === "") throw whichReplica(runtime);
  const handle = await requireReplica(runtime, request.node);
  const outcome: Outcome = {
    steps: [
      ...(runtime.upstream ? [`stop ${request.node}`] : []),
      `copy ${runtime.state.primary} beside the old data${runtime.upstream ? "" : ", which serves on meanwhile"}`,
      `${runtime.upstream ? "" : `stop ${request.node}, `}rename the old data aside and put the copy in its place`,
      `start ${request.node} and wait until it streams`,
      ...(request.discardOld ? ["remove the old data"] : []),
    ],
    undo: request.discardOld
      ? ["none: the old data is removed"]
      : nextStep`${odooPg("down")}, then rename the directory that is kept aside back`,
    dry_run: request.dryRun,
  };
  outcome.steps.forEach((step, index) => progress.note(`plan ${index + 1}. ${step}`));
  if (request.dryRun) return outcome;
  await requireRoom(primaryOf(runtime), handle);
  const { upstream } = runtime;
  const replace = async (make: () => Promise<string>): Promise<void> =>
    await renew(runtime, pool, handle, "reseed", request.discardOld, progress, make);
  if (upstream) {
    // Somebody else's primary has one slot for this node, and the old data holds it as long as it streams.
    await replace(async () => {
      await upstream.ensureSlot(runtime.config.cluster, request.node);
      return await copyFromPrimary(runtime, handle, progress);
    });
    return outcome;
  }
  const fresh = await copyFromPrimary(runtime, handle, progress);
  await replace(async () => {
    await primaryOf(runtime).use(
      async (session) => await replaceSlot(session, slotName(request.node), copySlotName(request.node)),
    );
    return fresh;
  });
  return outcome;
}

/** Makes an old primary a replica of the present one, by pg_rewind on a copy: the original stays whole. */
export async function rejoin(
  runtime: Runtime,
  pool: PoolKeeper,
  request: { node: string; reseed: boolean; discardOld: boolean; dryRun: boolean },
  progress: Progress,
): Promise<Outcome> {
  if (request.reseed) return await reseed(runtime, pool, request, progress);
  const handle = await requireReplica(runtime, request.node);
  const observed = factsOf(await handle.observe());
  if (observed?.in_recovery && observed.receiver_status === "streaming") {
    progress.note(`${request.node} streams from ${runtime.state.primary} already: nothing is to be done.`);
    return { steps: [], undo: ["nothing was changed"], dry_run: request.dryRun };
  }
  const outcome: Outcome = {
    steps: [
      `keep ${request.node} stopped and copy its data`,
      `pg_rewind on the copy: bring it back to where ${runtime.state.primary} went another way`,
      `rename the old data aside and put the copy in its place`,
      `start ${request.node} as a replica and wait until it streams`,
      ...(request.discardOld ? ["remove the old data"] : []),
    ],
    undo: [`the old data is kept beside the new; what ${request.node} wrote alone is in it`],
    dry_run: request.dryRun,
  };
  outcome.steps.forEach((step, index) => progress.note(`plan ${index + 1}. ${step}`));
  if (request.dryRun) return outcome;
  await requireRoom(handle, handle);
  await renew(runtime, pool, handle, "rejoin", request.discardOld, progress, async () => {
    await renewSlot(runtime, handle);
    return await rewindCopy(runtime, handle, progress);
  });
  return outcome;
}

function whichReplica(runtime: Runtime): OdooPgError {
  const names = replicasOf(runtime).map(({ node }) => node.name);
  const [first] = names;
  return new OdooPgError("usage", {
    message: `Which node is to be made anew? ${first === undefined ? "There is no replica." : `The replicas are: ${names.join(", ")}.`}`,
    safe: "Nothing was changed.",
    next: first === undefined ? odooPg("status") : odooPg("reseed", first),
  });
}

/** @throws OdooPgError refused for the primary, primary_unreachable when there is nobody to copy from. */
async function requireReplica(runtime: Runtime, name: string): Promise<NodeHandle> {
  const handle = handleOf(runtime, name);
  const primary = primaryOf(runtime);
  if (handle === primary) {
    throw new OdooPgError("refused", {
      message: `${name} is the primary: it has nobody to be made from.`,
      safe: "Nothing was changed.",
      next: nextStep`To make another node primary first: ${odooPg("switchover")}`,
    });
  }
  const facts = factsOf(await primary.observe());
  if (facts && !facts.in_recovery) return handle;
  throw new OdooPgError("primary_unreachable", {
    message: `The primary ${primary.node.name} does not answer, so ${name} cannot be made from it.`,
    safe: `The data of ${name} is untouched.`,
    next: odooPg("status"),
  });
}

/** @throws OdooPgError refused, disk_full: before anything is stopped or copied. */
async function requireRoom(source: NodeHandle, target: NodeHandle): Promise<void> {
  const { dataDir } = target.files;
  if ((await kindOf(dataDir)) === "directory" && (await isMountPoint(dataDir))) {
    throw new OdooPgError("refused", {
      message: `${dataDir} is a mount point: it cannot be renamed to keep it while the copy takes its place.`,
      safe: "Nothing was changed.",
      next: "Mount the volume one directory higher, so that the data directory is an ordinary one in it.",
    });
  }
  const needed = await bytesWithTablespaces(source.files.dataDir);
  const { freeBytes } = await diskSpace(path.dirname(target.files.dataDir));
  if (freeBytes > needed * 1.05) return;
  const mb = (bytes: number): number => Math.ceil(bytes / 1024 / 1024);
  throw new OdooPgError("disk_full", {
    message: `The copy needs ${mb(needed * 1.05)} MB in ${path.dirname(target.files.dataDir)}, and there are ${mb(freeBytes)} MB: the old data is kept until the new streams.`,
    safe: "Nothing was changed.",
    next: "Make room (old copies end in .aside-TIME), then run the same command again.",
  });
}

async function bytesWithTablespaces(dataDir: string): Promise<number> {
  const places = [dataDir, ...(await tablespacesOf(dataDir)).values()];
  const each = await Promise.all(places.map(bytesBelow));
  return each.reduce((all, bytes) => all + bytes, 0);
}

/** The node's own slot on the primary. One that was lost never comes back to life: it is made anew. */
async function renewSlot(runtime: Runtime, handle: NodeHandle): Promise<void> {
  const slot = slotName(handle.node.name);
  if (runtime.upstream) return await runtime.upstream.ensureSlot(runtime.config.cluster, handle.node.name);
  const primary = primaryOf(runtime);
  await primary.use(async (session) => {
    const found = factsOf(primary.observation)?.slots.find((one) => one.slot_name === slot);
    if (found?.wal_status === "lost") await dropSlot(session, slot);
    await ensureSlot(session, slot);
  });
}

/** The frame of reseed and rejoin: stop, take the new directory, swap by renaming, start, prove, then tidy up. */
async function renew(
  runtime: Runtime,
  pool: PoolKeeper,
  handle: NodeHandle,
  kind: "reseed" | "rejoin",
  discardOld: boolean,
  progress: Progress,
  make: () => Promise<string>,
): Promise<void> {
  const { files, node } = handle;
  const primary = primaryOf(runtime);
  await handle.take(kind);
  runtime.held.add(node.name);
  try {
    // Out of the read endpoint before it stops. A HAProxy that does not answer now keeps nobody from mending a node.
    await pool
      .step()
      .catch((error: unknown) => runtime.log("warn", `${kind} of ${node.name}: ${String(error)}`));
    await handle.disconnect();
    if (await findPostmaster(files.dataDir)) {
      progress.step(node.name, "stop");
      await stopServer(files.dataDir, node.name, "fast").catch(
        async () => await stopServer(files.dataDir, node.name, "immediate"),
      );
    }
    // What outlived a killed postmaster may still write into data that is about to be copied or put aside.
    await endOrphans(files.dataDir, node.name);
    const fresh = await make();
    let aside: string | undefined;
    if ((await kindOf(files.dataDir)) !== undefined) {
      aside = `${files.dataDir}.aside-${stamp(now())}`;
      // Whoever removes it needs no right that its owner has not.
      await openTablespaces(files.dataDir, runtime.owner);
      await renameIn(files.dataDir, aside);
      progress.note(`the old data of ${node.name} is kept in ${aside}`);
    }
    await renameIn(fresh, files.dataDir);
    await becomeStandby(runtime, handle);
    await writeNodeFiles(runtime, handle, await startingFloor(runtime, handle));
    handle.waiting = undefined;
    handle.tablespaces = [];
    handle.refusedTablespace = undefined;
    progress.step(node.name, "start");
    await startServer(startOptions(runtime, handle));
    await waitUntil(async () => factsOf(await handle.observe())?.receiver_status === "streaming", {
      what: `${node.name} to stream from ${primary.node.name}`,
      limit: 60_000,
      next: odooPg("logs", node.name),
    });
    if (discardOld && aside !== undefined) {
      progress.step(node.name, "remove the old data");
      for (const place of await ownPlacesOf(files, aside)) await removeIn(place);
      await removeIn(aside);
    }
    await recordHistory(runtime, {
      at: new Date(now()).toISOString(),
      kind,
      from: primary.node.name,
      to: node.name,
      why: "asked for",
      timeline: factsOf(primary.observation)?.timeline ?? null,
      writes_paused_ms: null,
    });
  } finally {
    handle.operation = undefined;
    runtime.held.delete(node.name);
  }
}

/**
 * A base backup beside the old data. Its slot is not the replica's own, which the old data streams through: a copy moves
 * its slot forward.
 */
async function copyFromPrimary(runtime: Runtime, handle: NodeHandle, progress: Progress): Promise<string> {
  const primary = primaryOf(runtime);
  const slot = runtime.upstream ? followedSlot(runtime, handle) : copySlotName(handle.node.name);
  for (let attempt = 1; ; attempt += 1) {
    progress.step(
      handle.node.name,
      `copy from ${primary.node.name}${attempt > 1 ? ` (try ${attempt} of ${TRIES})` : ""}`,
    );
    try {
      if (!runtime.upstream)
        await primary.use(async (session) => {
          await dropSlot(session, slot);
          await ensureSlot(session, slot);
        });
      return await copyOfPrimary(runtime, handle, slot, progress);
    } catch (error) {
      if (attempt >= TRIES || runtime.interruption.signal.aborted) {
        if (!runtime.upstream)
          await primary.use(async (session) => await dropSlot(session, slot)).catch(() => {});
        throw error;
      }
      runtime.log(
        "warn",
        `copy for ${handle.node.name} failed (try ${attempt} of ${TRIES}): ${String(error)}`,
      );
      await pause(BETWEEN_TRIES, runtime.interruption.signal).catch(() => {});
    }
  }
}

/** Copies the node's data (sharing blocks where the file system can) and rewinds the copy to the primary's history. */
async function rewindCopy(runtime: Runtime, handle: NodeHandle, progress: Progress): Promise<string> {
  const { owner, installation } = runtime;
  const primary = primaryOf(runtime);
  const fresh = await freshDirectory(handle.files, owner);
  progress.step(handle.node.name, "copy its data");
  const sharing = runtime.machine.platform === "linux" ? ["--reflink=auto"] : [];
  const copy = async (from: string, to: string): Promise<void> => {
    await runOrFail("cp", ["-a", ...sharing, `${from}/.`, to], { owner, limit: 0 });
  };
  await copy(handle.files.dataDir, fresh);
  await partFromOriginal(handle.files, fresh, owner, copy);
  // A tablespace that only the primary has would be given the primary's path.
  await closeTablespaces(fresh, owner);
  // pg_rewind reads the timeline from the control file, which a promotion updates with its first checkpoint.
  await primary.use(checkpoint);
  const access = await primary.superuser.client("odoo-pg rejoin");
  progress.step(handle.node.name, `pg_rewind against ${primary.node.name}`);
  try {
    await temporaryDirectory(owner, async (folder) => {
      // It works as the servers' user, whom our own password file is closed to.
      const passfile = path.join(folder, "pgpass");
      const { PGPASSFILE: own = "" } = access.environment;
      await writeFileAtomic(passfile, (await readTextIfAny(own)) ?? "", { owner });
      await runOrFail(
        programOf(installation, "pg_rewind"),
        [`--target-pgdata=${fresh}`, `--source-server=${access.connection} connect_timeout=5`],
        { owner, limit: 0, environment: { ...access.environment, PGPASSFILE: passfile } },
      );
    });
  } catch (error) {
    await removePlaceOf(handle.files, fresh);
    await removeIn(fresh);
    throw new OdooPgError("command_failed", {
      message: `${handle.node.name} cannot be rewound: ${error instanceof Error ? error.message : String(error)}`,
      safe: `Its data is untouched; it stays stopped.`,
      next: nextStep`Make it anew, the old data kept aside: ${odooPg("rejoin", handle.node.name, "--reseed")}`,
      cause: error,
    });
  }
  // It takes over the primary's.
  await forgetOwnSettings(fresh, owner);
  return fresh;
}
