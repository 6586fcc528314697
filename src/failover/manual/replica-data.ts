import path from "node:path";
import { nextStep, odooPg } from "../../next-step.ts";
import { copySlotName, slotName } from "../../config/layout.ts";
import { factsOf } from "../../model/observation.ts";
import type { PlanStep } from "../../model/plan.ts";
import { stamp } from "../../model/time-stamp.ts";
import { messageOf, OdooPgError } from "../../errors.ts";
import { freshDirectory } from "../../postgres/initialise.ts";
import { programOf } from "../../postgres/installation.ts";
import { checkpoint, dropSlot, ensureSlot, renewSlot, replaceSlot } from "../../postgres/sql/operations.ts";
import { forgetOwnSettings } from "../../postgres/sql/altered-settings.ts";
import { endOrphans } from "../../postgres/orphans.ts";
import { findPostmaster, stopServer } from "../../postgres/server.ts";
import {
  closeTablespaces,
  openTablespaces,
  ownPlacesOf,
  partFromOriginal,
  removePlaceOf,
} from "../../postgres/tablespaces.ts";
import { now, pause, waitUntil } from "../../system/clock.ts";
import { kindOf, readTextIfAny, writeFileAtomic } from "../../system/files/files.ts";
import { temporaryDirectory } from "../../system/files/temporary-directory.ts";
import { removeIn, renameIn } from "../../system/files/held/by-path.ts";
import { runOrFail } from "../../system/process/process.ts";
import { copyOfPrimary } from "../../services/copy-of-primary.ts";
import type { Progress } from "../../progress.ts";
import { bytesWithTablespaces, requireRoom } from "../room.ts";
import { ForeignPrimary } from "../../members/foreign-primary.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import {
  followedSlot,
  handleOf,
  ownPrimary,
  primaryName,
  primaryOf,
  requireOwnPrimary,
  type Runtime,
} from "../../members/runtime.ts";

/** Attempts at a base backup before the reseed gives up, and milliseconds between them. */
const TRIES = 3;
const BETWEEN_TRIES = 2000;

/** Steps on the data of a replica. */
type DataStep = Extract<
  PlanStep,
  {
    kind:
      | "require_room"
      | "base_backup"
      | "stop_replica"
      | "renew_slot"
      | "take_slot_of_copy"
      | "rewind"
      | "keep_aside"
      | "put_in_place"
      | "await_streaming"
      | "discard_old";
  }
>;

/** The exchange of a replica's data for a copy. One that was cut off leaves a copy that is never started. */
export class ReplicaData {
  readonly #runtime: Runtime;
  readonly #progress: Progress;
  /** The whole copy, beside the data directory. */
  #fresh: string | undefined;
  /** What was replaced. */
  #aside: string | undefined;

  constructor(runtime: Runtime, progress: Progress) {
    this.#runtime = runtime;
    this.#progress = progress;
  }

  async act(step: DataStep, handle: NodeHandle): Promise<void> {
    const runtime = this.#runtime;
    const progress = this.#progress;
    switch (step.kind) {
      case "require_room":
        return await requireRoom(
          await bytesOf(
            step.source === primaryName(runtime) ? ownPrimary(runtime) : handleOf(runtime, step.source),
          ),
          handle.files.dataDir,
        );
      case "base_backup":
        this.#fresh = await copyFromPrimary(runtime, handle, progress);
        return;
      case "stop_replica":
        return await stopReplica(handle, progress);
      case "renew_slot":
        return await renewOwnSlot(runtime, handle);
      case "take_slot_of_copy":
        return await requireOwnPrimary(runtime).use(
          async (session) => await replaceSlot(session, slotName(step.node), copySlotName(step.node)),
        );
      case "rewind":
        this.#fresh = await rewindCopy(runtime, handle, progress);
        return;
      case "keep_aside":
        return await this.#keepAside(handle);
      case "put_in_place":
        return await this.#putInPlace(handle);
      case "await_streaming":
        return await awaitStreaming(handle, step.primary);
      case "discard_old":
        return await this.#discardOld(handle);
    }
  }

  async #keepAside({ files, node }: NodeHandle): Promise<void> {
    if ((await kindOf(files.dataDir)) === undefined) return;
    this.#aside = `${files.dataDir}.aside-${stamp(now())}`;
    // Whoever removes it needs no right that its owner lacks.
    await openTablespaces(files.dataDir, this.#runtime.owner);
    await renameIn(files.dataDir, this.#aside);
    this.#progress.note(`the old data of ${node.name} is kept in ${this.#aside}`);
  }

  async #putInPlace(handle: NodeHandle): Promise<void> {
    if (this.#fresh === undefined) throw new Error("there is no copy to put in place");
    await renameIn(this.#fresh, handle.files.dataDir);
    // What kept the old data from starting says nothing about the new.
    handle.waiting = undefined;
    handle.tablespaces = [];
    handle.refusedTablespace = undefined;
  }

  async #discardOld({ files }: NodeHandle): Promise<void> {
    if (this.#aside === undefined) return;
    for (const place of await ownPlacesOf(files, this.#aside)) await removeIn(place);
    await removeIn(this.#aside);
  }
}

async function stopReplica(handle: NodeHandle, progress: Progress): Promise<void> {
  const { dataDir } = handle.files;
  const { name } = handle.node;
  await handle.disconnect();
  if (await findPostmaster(dataDir)) {
    progress.step(name, "stop");
    await stopServer(dataDir, name, "fast").catch(async () => await stopServer(dataDir, name, "immediate"));
  }
  // Processes that outlived a killed postmaster may still write to data that is about to be copied or set aside.
  await endOrphans(dataDir, name);
}

async function awaitStreaming(handle: NodeHandle, primary: string): Promise<void> {
  await waitUntil(async () => factsOf(await handle.observe())?.receiver_status === "streaming", {
    what: `${handle.node.name} to stream from ${primary}`,
    timeout: 60_000,
    next: odooPg("logs", handle.node.name),
  });
}
/** The size of someone else's primary is not known. */
async function bytesOf(source: NodeHandle | undefined): Promise<number> {
  return source ? await bytesWithTablespaces(source.files.dataDir) : 0;
}

/** The node's own slot on the primary. */
async function renewOwnSlot(runtime: Runtime, handle: NodeHandle): Promise<void> {
  const slot = slotName(handle.node.name);
  const primary = primaryOf(runtime);
  if (primary instanceof ForeignPrimary)
    return await primary.ensureSlot(runtime.config.cluster, handle.node.name);
  await primary.use(async (session) => await renewSlot(session, slot));
}

/**
 * A base backup beside the old data. Its slot is not the replica's own, which the old data streams through: a copy moves
 * its slot forward.
 */
async function copyFromPrimary(runtime: Runtime, handle: NodeHandle, progress: Progress): Promise<string> {
  const primary = primaryOf(runtime);
  const own = ownPrimary(runtime);
  const slot = own ? copySlotName(handle.node.name) : followedSlot(runtime, handle);
  for (let attempt = 1; ; attempt += 1) {
    progress.step(
      handle.node.name,
      `copy from ${primary.node.name}${attempt > 1 ? ` (try ${attempt} of ${TRIES})` : ""}`,
    );
    try {
      await own?.use(async (session) => {
        await dropSlot(session, slot);
        await ensureSlot(session, slot);
      });
      return await copyOfPrimary(runtime, handle, slot, progress);
    } catch (error) {
      if (attempt >= TRIES || runtime.interruption.signal.aborted) {
        // Until it is dropped the primary keeps WAL for it; the next copy drops it first.
        await own
          ?.use(async (session) => await dropSlot(session, slot))
          .catch((failure: unknown) =>
            runtime.log("warn", `slot ${slot} is not dropped: ${String(failure)}`),
          );
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
  const primary = requireOwnPrimary(runtime);
  const fresh = await freshDirectory(handle.files, owner);
  progress.step(handle.node.name, "copy its data");
  const sharing = runtime.machine.platform === "linux" ? ["--reflink=auto"] : [];
  const copy = async (from: string, to: string): Promise<void> => {
    await runOrFail("cp", ["-a", ...sharing, `${from}/.`, to], { owner, timeout: 0 });
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
        { owner, timeout: 0, environment: { ...access.environment, PGPASSFILE: passfile } },
      );
    });
  } catch (error) {
    await removePlaceOf(handle.files, fresh);
    await removeIn(fresh);
    throw new OdooPgError("command_failed", {
      message: `${handle.node.name} cannot be rewound: ${messageOf(error)}`,
      safe: `Its data is untouched; it stays stopped.`,
      next: nextStep`Rebuild it; its old data is kept: ${odooPg("rejoin", handle.node.name, "--reseed")}`,
      cause: error,
    });
  }
  // It takes over the primary's.
  await forgetOwnSettings(fresh, owner);
  return fresh;
}
