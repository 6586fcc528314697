import { odooPg, nextStep } from "../../next-step.ts";
import { bytesBehind, type Lsn } from "../../model/lsn.ts";
import { copySlotName, slotName } from "../../config/layout.ts";
import { factsOf, position } from "../../model/observation.ts";
import type { Fence } from "../../model/plan.ts";
import { showBytes } from "../../model/quantities.ts";
import { OdooPgError } from "../../errors.ts";
import { ensureRoles } from "../../odoo/roles.ts";
import { settleRights } from "../../odoo/rights.ts";
import { keepTemplate } from "../../odoo/template.ts";
import { checkpoint, dropSlot, ensureSlot, listSlots, promote } from "../../postgres/sql/operations.ts";
import { endOrphans } from "../../postgres/orphans.ts";
import { reloadAndWait } from "../../postgres/reload.ts";
import { renderSynchronous } from "../../postgres/render.ts";
import { findPostmaster, startServer, stopServer } from "../../postgres/server.ts";
import { closeTablespaces } from "../../postgres/tablespaces.ts";
import { endOfWal, lastCheckpoint } from "../../postgres/wal-end.ts";
import { waitUntil } from "../../system/clock.ts";
import { readableBy, writeFileAtomic } from "../../system/files/files.ts";
import { inFolder } from "../../system/files/held/folder.ts";
import type { Clients } from "../../services/clients.ts";
import { applyConfiguration, startingFloor, writeNodeFiles } from "../../services/configure.ts";
import type { Progress } from "../../progress.ts";
import type { Member } from "../../members/member.ts";
import { NodeHandle } from "../../members/node-handle.ts";
import {
  changeState,
  replicasOf,
  requireOwnPrimary,
  type Runtime,
  startOptions,
} from "../../members/runtime.ts";
import { guardTablespaces } from "../../members/tablespaces.ts";

/** Milliseconds for the shutdown of a primary whose checkpoint was made just before. */
const HANDOVER_STOP_TIMEOUT = 60_000;
/** Milliseconds for the new primary to have replayed the last of the old one's WAL. */
const REPLAY_TIMEOUT = 30_000;

/** Stops a primary that hands over. */
export async function stopPrimary(old: NodeHandle, mode: Fence): Promise<void> {
  await old.disconnect();
  await stopServer(old.files.dataDir, old.node.name, mode, HANDOVER_STOP_TIMEOUT);
}

/** Leaves no one who could commit on a primary that is given up. @throws OdooPgError refused where it came back */
export async function fence(
  old: NodeHandle,
  { running, mode }: { readonly running: boolean; readonly mode?: Fence | undefined },
  progress: Progress,
): Promise<void> {
  await old.disconnect();
  const { dataDir } = old.files;
  const { name } = old.node;
  // It may have come up since it was looked at.
  if (await findPostmaster(dataDir)) {
    if (!running && mode === undefined) {
      throw new OdooPgError("refused", {
        message: `The primary ${name} came back just now.`,
        safe: "Nothing was changed.",
        next: odooPg("status"),
      });
    }
    progress.step(name, `stop (${mode ?? "immediate"})`);
    await stopServer(dataDir, name, mode ?? "immediate", HANDOVER_STOP_TIMEOUT);
  }
  // Its WAL shows what it has acknowledged only once no one is left to add to it.
  const left = await endOrphans(dataDir, name);
  if (left) progress.note(`${left} processes that ${name} left behind are ended`);
}

/** @throws OdooPgError refused, naming how much would be lost, unless that was accepted. */
export async function limitLoss(
  runtime: Runtime,
  old: Member,
  next: NodeHandle,
  request: { readonly accepted: boolean; readonly provenFrom: Lsn | undefined },
): Promise<void> {
  const node = next.node.name;
  const has = position(factsOf(await next.observe()));
  const { installation, owner } = runtime;
  // Only a server of this host has WAL that can be read.
  const end =
    old instanceof NodeHandle ? await endOfWal(installation, old.files.dataDir, has, owner) : undefined;
  if (end !== undefined && bytesBehind(end, has) === 0) return;
  if (request.accepted) return;
  if (request.provenFrom !== undefined && has >= request.provenFrom) return;
  const from = old.node.name;
  const last = runtime.marks.at(-1);
  const since = runtime.marks.find((mark) => mark.lsn > has)?.at;
  const seconds =
    since === undefined || last === undefined
      ? ""
      : `, about ${Math.max(1, Math.round((last.at - since) / 1000))} s of writes`;
  const message =
    end !== undefined
      ? `${node} lacks ${showBytes(bytesBehind(end, has))}${seconds} of what ${from} wrote; promoting it would lose that.`
      : last === undefined
        ? `The WAL of ${from} cannot be read, so nothing says what ${node} lacks of it.`
        : `The WAL of ${from} cannot be read. When it was last seen (${new Date(last.at).toISOString()}), ${node} lacked ${showBytes(bytesBehind(last.lsn, has))}${seconds} of it; promoting it loses that, and what ${from} may have written afterwards.`;
  throw new OdooPgError("refused", {
    message,
    safe: `${next.node.name} is still a replica; the data of ${old.node.name} is untouched.`,
    next: nextStep`Bring ${from} back${runtime.upstream ? "" : nextStep` (${odooPg("up")})`}, or accept the loss: ${odooPg("promote", node, "--allow-data-loss", "--confirm", runtime.config.cluster)}`,
  });
}

/** After a clean shutdown the checkpoint is the last record: the next primary must have replayed past its beginning. */
export async function awaitReplay(runtime: Runtime, old: NodeHandle, next: NodeHandle): Promise<void> {
  const last = await lastCheckpoint(runtime.installation, old.files.dataDir, runtime.owner);
  if (last === undefined) {
    throw new OdooPgError("refused", {
      message: `The control file of ${old.node.name} cannot be read, so nothing proves that ${next.node.name} has everything.`,
      safe: `${old.node.name} is started again as the primary.`,
    });
  }
  await waitUntil(
    async () => {
      const facts = factsOf(await next.observe());
      return facts?.replay_lsn !== null && facts?.replay_lsn !== undefined && facts.replay_lsn > last;
    },
    {
      what: `${next.node.name} to replay the last of ${old.node.name}'s WAL`,
      timeout: REPLAY_TIMEOUT,
      interval: 5,
      next: nextStep`${old.node.name} is started again as the primary. Look: ${odooPg("status")}`,
    },
  );
}

/** Takes back `becomeStandby`. */
export async function becomePrimaryAgain({ files }: NodeHandle): Promise<void> {
  await inFolder(files.dataDir, async (folder) => await folder.remove(STANDBY_SIGNAL));
}

export async function startAgain(runtime: Runtime, handle: NodeHandle): Promise<void> {
  await guardTablespaces(runtime, handle);
  await startServer(startOptions(runtime, handle));
}

const STANDBY_SIGNAL = "standby.signal";

/** From here on a node starts only as a standby, whoever starts it. */
export async function becomeStandby(runtime: Runtime, handle: NodeHandle): Promise<void> {
  const { owner } = runtime;
  const ryw = runtime.config.endpoints.read.consistency === "read-your-writes";
  await closeTablespaces(handle.files.dataDir, owner);
  await inFolder(
    handle.files.dataDir,
    async (folder) => await writeFileAtomic(folder.at(STANDBY_SIGNAL), "", { owner }),
  );
  await writeFileAtomic(handle.files.synchronousFile, renderSynchronous(ryw, []), readableBy(owner));
}

/** Empties the list that commits wait for, on a replica that is to be the primary. */
export async function releaseCommits(runtime: Runtime, next: NodeHandle): Promise<void> {
  const ryw = runtime.config.endpoints.read.consistency === "read-your-writes";
  await writeFileAtomic(next.files.synchronousFile, renderSynchronous(ryw, []), readableBy(runtime.owner));
  await next.use(async (session) => await reloadAndWait(session, next.files.dataDir, next.node.name));
}

/** From here on an agent that dies finishes the promotion when it is back, and never starts another node as the primary. */
export async function recordPrimary(runtime: Runtime, name: string): Promise<void> {
  await changeState(runtime, { primary: name });
  // The cluster has a primary of its own now.
  runtime.upstream = undefined;
}

export async function promoteNode(runtime: Runtime, next: NodeHandle): Promise<void> {
  await next.use(promote);
  await waitUntil(
    async () => {
      const facts = factsOf(await next.observe());
      if (facts) return !facts.in_recovery;
      if (await findPostmaster(next.files.dataDir)) return false;
      // The operation holds it, so nothing would start it before this has failed.
      throw new OdooPgError("node_failed", {
        message: `${next.node.name} ended while it was promoted.`,
        safe: `It is recorded as the primary: the agent starts it again and finishes its promotion.`,
        next: odooPg("status", "--watch"),
      });
    },
    { what: `${next.node.name} to end its recovery`, timeout: 60_000, interval: 5 },
  );
  await guardTablespaces(runtime, next);
  runtime.marks = [];
}

/** Roles and template for a cluster that followed somebody else's primary until now: our passwords take effect. */
export async function takeOver(runtime: Runtime, primary: NodeHandle): Promise<void> {
  const { config, passwords } = runtime;
  await primary.useNew(async (session) => {
    await ensureRoles(session, config.odoo.role, passwords);
    const tell = (text: string): void => runtime.log("warn", text);
    await keepTemplate(primary.superuser, session, config.odoo, tell);
    await settleRights(primary.superuser, session, () => {});
  });
}

/** Starts a standby that follows the recorded primary. */
export async function startAsReplica(runtime: Runtime, handle: NodeHandle): Promise<void> {
  await writeNodeFiles(runtime, handle, await startingFloor(runtime, handle));
  await startServer(startOptions(runtime, handle));
}

/** Files for those that do not run: whoever starts them later starts replicas of the recorded primary. */
export async function prepareStart(runtime: Runtime, replicas: readonly NodeHandle[]): Promise<void> {
  for (const replica of replicas) {
    if (await findPostmaster(replica.files.dataDir)) continue;
    await writeNodeFiles(runtime, replica, await startingFloor(runtime, replica));
  }
}

/** Slots, configuration and a checkpoint for the time after: the replicas follow, and pg_rewind sees the new timeline. */
export async function settle(runtime: Runtime, clients: Clients, progress: Progress): Promise<void> {
  const primary = requireOwnPrimary(runtime);
  await primary.use(async (session) => {
    for (const { node } of replicasOf(runtime)) await ensureSlot(session, slotName(node.name));
    await dropSlot(session, slotName(primary.node.name));
  });
  for (const { message } of await applyConfiguration(runtime, clients, progress)) progress.note(message);
  await primary.use(checkpoint);
  await dropReplicaSlots(runtime);
}

/** Drops slots that were created for a change that did not happen. */
export async function dropSlots(handle: NodeHandle, followers: readonly string[]): Promise<void> {
  await handle.use(async (session) => {
    for (const name of followers)
      for (const slot of [slotName(name), copySlotName(name)]) await dropSlot(session, slot);
  });
}

/** A replica has no slots of the cluster: the WAL they would keep fills its disk. */
async function dropReplicaSlots(runtime: Runtime): Promise<void> {
  const names = new Set([...runtime.nodes.keys()].flatMap((name) => [slotName(name), copySlotName(name)]));
  for (const handle of replicasOf(runtime)) {
    // Looked at now: what was seen of an old primary may be from before it was stopped.
    if (!factsOf(await handle.observe())?.slots.some((slot) => names.has(slot.slot_name))) continue;
    await handle.use(async (session) => {
      for (const slot of await listSlots(session)) if (names.has(slot)) await dropSlot(session, slot);
    });
  }
}
