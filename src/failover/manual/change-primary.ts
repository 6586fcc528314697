import { odooPg, nextStep, asStep } from "../../next-step.ts";
import {
  decidePromote,
  decideSwitchover,
  position,
  type Decision,
  type Fence,
} from "../../cluster/change-primary.ts";
import { bytesBehind, type Lsn } from "../../model/lsn.ts";
import { copySlotName, slotName } from "../../config/layout.ts";
import { factsOf } from "../../model/observation.ts";
import { showBytes } from "../../model/quantities.ts";
import { OdooPgError } from "../../errors.ts";
import { ensureRoles } from "../../odoo/roles.ts";
import { settleRights } from "../../odoo/rights.ts";
import { ensureTemplate } from "../../odoo/template.ts";
import {
  checkpoint,
  dropSlot,
  endSenders,
  ensureSlot,
  listSlots,
  promote,
} from "../../postgres/sql/operations.ts";
import { endOrphans } from "../../postgres/orphans.ts";
import { reloadAndWait } from "../../postgres/reload.ts";
import { renderSynchronous } from "../../postgres/render.ts";
import { findPostmaster, startServer, stopServer } from "../../postgres/server.ts";
import { closeTablespaces } from "../../postgres/tablespaces.ts";
import { endOfWal, lastCheckpoint } from "../../postgres/wal-end.ts";
import { monotonic, now, waitUntil } from "../../system/clock.ts";
import { readableBy, writeFileAtomic } from "../../system/files/files.ts";
import { inFolder } from "../../system/files/folder.ts";
import { applyConfiguration, writeNodeFiles } from "../../services/configure.ts";
import type { Progress } from "../../progress.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import type { PoolKeeper } from "../../services/read-pool.ts";
import {
  handleOf,
  primaryOf,
  recordHistory,
  replicasOf,
  type Runtime,
  startOptions,
} from "../../members/runtime.ts";
import type { Outcome } from "../../cluster/documents/agent-report.ts";
import { writeState } from "../../store/state.ts";
import { guardTablespaces } from "../../members/tablespaces.ts";

/** Milliseconds for the shutdown of a primary whose checkpoint was made just before. */
const HANDOVER_STOP_LIMIT = 60_000;
/** Milliseconds for the new primary to have replayed the last of the old one's log. */
const REPLAY_LIMIT = 30_000;

function goOn(decision: Decision, progress: Progress): Extract<Decision, { kind: "go" }> {
  if (decision.kind === "refuse") {
    throw new OdooPgError("refused", {
      message: decision.message,
      safe: "Nothing was changed.",
      next: decision.next,
    });
  }
  decision.steps.forEach((step, index) => progress.note(`plan ${index + 1}. ${step}`));
  return decision;
}

function outcomeOf({ steps, undo }: Extract<Decision, { kind: "go" }>, dryRun: boolean): Outcome {
  return { steps: [...steps], undo: asStep(undo), dry_run: dryRun };
}

/** Hands the part of the primary over to a replica; nothing is lost, writes wait for about a second. */
export async function switchover(
  runtime: Runtime,
  pool: PoolKeeper,
  request: { to: string | undefined; dryRun: boolean },
  progress: Progress,
): Promise<Outcome> {
  if (request.to !== undefined) handleOf(runtime, request.to);
  const old = primaryOf(runtime);
  await observeAll(runtime);
  const decision = goOn(
    decideSwitchover({
      primary: old.observation,
      replicas: replicasOf(runtime).map((handle) => handle.observation),
      to: request.to,
    }),
    progress,
  );
  const outcome = outcomeOf(decision, request.dryRun);
  if (request.dryRun) return outcome;
  const next = handleOf(runtime, decision.to);

  progress.step(old.node.name, "checkpoint");
  await old.use(checkpoint);
  // A restartpoint on the next primary makes its own end of recovery short.
  await next.use(checkpoint);
  await next.use(async (session) => {
    for (const handle of runtime.nodes.values()) {
      if (handle !== next) await ensureSlot(session, slotName(handle.node.name));
    }
  });
  await old.take("switchover");
  await next.take("switchover");
  runtime.held.add(next.node.name);
  try {
    // In read-your-writes no replica may serve reads while the list that commits wait for is anew.
    if (runtime.config.endpoints.read.consistency === "read-your-writes") await pool.empty();
    else await pool.step();
    const pausedAt = monotonic();
    runtime.routedPrimary = undefined;
    try {
      await pool.step();
      // A stopping primary waits for every attached replica: one that hangs would hold up all writes (wal_sender_timeout).
      const silent = replicasOf(runtime).filter((handle) => !factsOf(handle.observation));
      await old.use(
        async (session) =>
          await endSenders(
            session,
            silent.map(({ node }) => node.name),
          ),
      );
      progress.step(old.node.name, "stop");
      await old.disconnect();
      await stopServer(old.files.dataDir, old.node.name, "fast", HANDOVER_STOP_LIMIT);
      await requireEverything(runtime, old, next);
      await becomeStandby(runtime, old);
      progress.step(next.node.name, "promote");
      await makePrimary(runtime, next);
    } catch (error) {
      await takeBack(runtime, old);
      throw error;
    }
    runtime.routedPrimary = next.node.name;
    await pool.step();
    const paused = Math.round(monotonic() - pausedAt);
    progress.note(`writes paused for ${paused} ms`);
    await recordChange(runtime, "switchover", old, next, "asked for", paused);
  } catch (error) {
    // Supervision has both again, whatever they are now.
    old.operation = undefined;
    runtime.held.clear();
    throw error;
  } finally {
    next.operation = undefined;
    runtime.held.delete(next.node.name);
  }
  try {
    progress.step(old.node.name, `start as a replica of ${next.node.name}`);
    await writeNodeFiles(runtime, old, {});
    await startServer(startOptions(runtime, old));
  } finally {
    old.operation = undefined;
    runtime.held.clear();
  }
  await followNewPrimary(runtime, progress);
  return outcome;
}

/** Promotes a replica although its primary cannot hand over. The old primary is kept down until it is rejoined. */
export async function promoteNode(
  runtime: Runtime,
  pool: PoolKeeper,
  request: {
    node: string;
    fence: Fence | undefined;
    allowDataLoss: boolean;
    confirm: string | undefined;
    dryRun: boolean;
  },
  progress: Progress,
): Promise<Outcome> {
  const next = handleOf(runtime, request.node);
  const old = primaryOf(runtime);
  await observeAll(runtime);
  const foreign = runtime.upstream;
  if (foreign && request.fence !== undefined) {
    throw new OdooPgError("refused", {
      message: `${foreign.node.host}:${foreign.node.port} is not run by odoo-pg, so it cannot be stopped from here.`,
      safe: "Nothing was changed.",
      next: nextStep`Stop it on its host, and keep it stopped; then: ${odooPg("promote", request.node)}`,
    });
  }
  const primaryRuns = foreign
    ? foreign.observation.answer.kind === "facts"
    : (await findPostmaster(old.files.dataDir)) !== undefined;
  if (request.allowDataLoss && request.confirm !== runtime.config.cluster) {
    throw new OdooPgError("confirmation_missing", {
      message: `Losing data needs the cluster's name typed.`,
      safe: "Nothing was changed.",
      next: odooPg("promote", request.node, "--allow-data-loss", "--confirm", runtime.config.cluster),
    });
  }
  const decision = goOn(
    decidePromote({
      node: request.node,
      primary: old.observation,
      primaryRuns,
      foreign: foreign !== undefined,
      replicas: replicasOf(runtime).map((handle) => handle.observation),
      fence: request.fence,
      allowDataLoss: request.allowDataLoss,
    }),
    progress,
  );
  const outcome = outcomeOf(decision, request.dryRun);
  if (request.dryRun) return outcome;

  await old.take("fenced");
  await next.take("promote");
  // Nothing could be written since the primary last answered, not only since somebody asked for another one.
  const lastAnswer = old.observation.lastSeen;
  for (const name of runtime.nodes.keys()) runtime.held.add(name);
  runtime.routedPrimary = undefined;
  try {
    await pool.close();
    await old.disconnect();
    // It may have come up since it was looked at.
    if (!foreign && (await findPostmaster(old.files.dataDir))) {
      if (!primaryRuns && request.fence === undefined) {
        throw new OdooPgError("refused", {
          message: `The primary ${old.node.name} came back in this moment.`,
          safe: "Nothing was changed.",
          next: odooPg("status"),
        });
      }
      progress.step(old.node.name, `stop (${request.fence ?? "immediate"})`);
      await stopServer(old.files.dataDir, old.node.name, request.fence ?? "immediate", HANDOVER_STOP_LIMIT);
    }
    // What its log holds says what it has acknowledged only once nobody is left to add to it.
    const left = foreign ? 0 : await endOrphans(old.files.dataDir, old.node.name);
    if (left) progress.note(`${left} processes that ${old.node.name} had left behind are ended`);
    await requireLossAccepted(runtime, old, next, { ...request, provenFrom: pool.provenFrom(request.node) });
  } catch (error) {
    pool.reopen();
    old.operation = undefined;
    next.operation = undefined;
    runtime.held.clear();
    runtime.routedPrimary = old.node.name;
    throw error;
  }
  try {
    progress.step(next.node.name, "promote");
    await makePrimary(runtime, next);
    if (foreign) await takeOver(runtime, next);
    else
      old.waitFor(
        "needs rejoin",
        `${old.node.name} was a primary; ${next.node.name} is the primary now.`,
        odooPg("rejoin", old.node.name),
      );
    runtime.routedPrimary = next.node.name;
  } catch (error) {
    // Before the record named the next one, nothing had changed: supervision starts the old primary again.
    if (runtime.state.primary === old.node.name) runtime.routedPrimary = old.node.name;
    throw error;
  } finally {
    pool.reopen();
    old.operation = undefined;
    next.operation = undefined;
    runtime.held.clear();
  }
  await pool.step();
  await recordChange(
    runtime,
    "promote",
    old,
    next,
    request.allowDataLoss ? "data loss accepted" : "asked for",
    // An agent that never saw it answer cannot tell.
    lastAnswer === undefined ? null : Math.max(0, Math.round(now() - lastAnswer)),
  );
  await followNewPrimary(runtime, progress);
  return outcome;
}

/** @throws OdooPgError refused, naming how much would be lost, unless that was accepted. */
async function requireLossAccepted(
  runtime: Runtime,
  old: NodeHandle,
  next: NodeHandle,
  request: { node: string; allowDataLoss: boolean; provenFrom: Lsn | undefined },
): Promise<void> {
  const has = position(factsOf(await next.observe()));
  const { installation, owner } = runtime;
  const timeline = factsOf(next.observation)?.timeline ?? 1;
  const end = await endOfWal(installation, old.files.dataDir, timeline, has, owner);
  if (end !== undefined && bytesBehind(end, has) === 0) return;
  if (request.allowDataLoss) return;
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
      ? `${request.node} lacks ${showBytes(bytesBehind(end, has))}${seconds} of what ${from} wrote; promoting it would lose that.`
      : last === undefined
        ? `The log of ${from} cannot be read, so nothing says what ${request.node} lacks of it.`
        : `The log of ${from} cannot be read. When it was last seen (${new Date(last.at).toISOString()}), ${request.node} lacked ${showBytes(bytesBehind(last.lsn, has))}${seconds} of it; promoting it loses that, and what ${from} may have written afterwards.`;
  throw new OdooPgError("refused", {
    message,
    safe: `${next.node.name} is still a replica; the data of ${old.node.name} is untouched.`,
    next: nextStep`Bring ${old.node.name} back${runtime.upstream ? "" : nextStep` (${odooPg("up")})`}, or accept the loss: ${odooPg("promote", request.node, "--allow-data-loss", "--confirm", runtime.config.cluster)}`,
  });
}

/** After a clean shutdown the checkpoint is the last record: the next primary must have replayed past its beginning. */
async function requireEverything(runtime: Runtime, old: NodeHandle, next: NodeHandle): Promise<void> {
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
      what: `${next.node.name} to replay the last of ${old.node.name}'s log`,
      limit: REPLAY_LIMIT,
      interval: 5,
      next: nextStep`${old.node.name} is started again as the primary. Look: ${odooPg("status")}`,
    },
  );
}

/**
 * Makes the old primary what it was, as long as the record names it. Once the record names the next one, that is the
 * primary: `up` finishes its promotion.
 */
async function takeBack(runtime: Runtime, old: NodeHandle): Promise<void> {
  if (runtime.state.primary !== old.node.name) return;
  runtime.routedPrimary = old.node.name;
  await inFolder(old.files.dataDir, async (folder) => await folder.remove(STANDBY_SIGNAL));
  await guardTablespaces(runtime, old);
  await startServer(startOptions(runtime, old)).catch((error: unknown) =>
    runtime.log("error", `${old.node.name} is not started again yet: ${String(error)}`),
  );
}

const STANDBY_SIGNAL = "standby.signal";

/** From here on a node starts as a standby only, whoever starts it. */
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

/**
 * Makes a replica the primary. The record is written first: an agent that dies in between finishes the promotion when
 * it is back, and never starts the old primary as one.
 */
export async function makePrimary(runtime: Runtime, next: NodeHandle): Promise<void> {
  const ryw = runtime.config.endpoints.read.consistency === "read-your-writes";
  await writeFileAtomic(next.files.synchronousFile, renderSynchronous(ryw, []), readableBy(runtime.owner));
  // Its sessions must wait for replicas by the same rule from its first commit on.
  await next.use(async (session) => await reloadAndWait(session, next.files.dataDir, next.node.name));
  const state = { ...runtime.state, primary: next.node.name };
  await writeState(runtime.layout, state);
  runtime.state = state;
  // From here on the cluster has a primary of its own.
  runtime.upstream = undefined;
  await next.use(promote);
  await waitUntil(
    async () => {
      const facts = factsOf(await next.observe());
      return facts !== undefined && !facts.in_recovery;
    },
    { what: `${next.node.name} to end its recovery`, limit: 60_000, interval: 5 },
  );
  await guardTablespaces(runtime, next);
  runtime.marks = [];
}

/** Roles and template for a cluster that followed somebody else's primary until now: our passwords take effect. */
async function takeOver(runtime: Runtime, primary: NodeHandle): Promise<void> {
  const { config, passwords } = runtime;
  await primary.use(async (session) => {
    await ensureRoles(session, config.odoo.role, passwords);
    await ensureTemplate(primary.superuser, session, config.odoo.template, config.odoo.role);
    await settleRights(primary.superuser, session, () => {});
  });
}

/** Slots, configuration and a checkpoint for the time after: the replicas follow, and pg_rewind sees the new timeline. */
export async function followNewPrimary(runtime: Runtime, progress: Progress): Promise<void> {
  const primary = primaryOf(runtime);
  await primary.use(async (session) => {
    for (const { node } of replicasOf(runtime)) await ensureSlot(session, slotName(node.name));
    await dropSlot(session, slotName(primary.node.name));
  });
  for (const { message } of await applyConfiguration(runtime, progress)) progress.note(message);
  await primary.use(checkpoint);
  await dropReplicaSlots(runtime);
}

/** A replica keeps no slots of the cluster: the WAL that they would hold back fills its disk. */
export async function dropReplicaSlots(runtime: Runtime): Promise<void> {
  const names = new Set([...runtime.nodes.keys()].flatMap((name) => [slotName(name), copySlotName(name)]));
  for (const handle of replicasOf(runtime)) {
    if (!factsOf(handle.observation)?.slots.some((slot) => names.has(slot.slot_name))) continue;
    await handle.use(async (session) => {
      for (const slot of await listSlots(session)) if (names.has(slot)) await dropSlot(session, slot);
    });
  }
}

async function observeAll(runtime: Runtime): Promise<void> {
  runtime.upstream?.forget();
  await runtime.upstream?.observe();
  await Promise.all([...runtime.nodes.values()].map(async (handle) => await handle.observe()));
}

async function recordChange(
  runtime: Runtime,
  kind: "switchover" | "promote",
  from: NodeHandle,
  to: NodeHandle,
  why: string,
  paused: number | null,
): Promise<void> {
  await recordHistory(runtime, {
    at: new Date(now()).toISOString(),
    kind,
    from: from.node.name,
    to: to.node.name,
    why,
    timeline: factsOf(to.observation)?.timeline ?? null,
    writes_paused_ms: paused,
  });
}
