import { nextStep, odooPg } from "../../next-step.ts";
import path from "node:path";
import { factsOf } from "../../model/observation.ts";
import { isCopySlot, slotName } from "../../config/layout.ts";
import { decideStart, type StartDecision } from "../../cluster/start.ts";
import type { Config } from "../../config/schema.ts";
import { messageOf, OdooPgError } from "../../errors.ts";
import { ensureRoles } from "../../odoo/roles.ts";
import { settleRights } from "../../odoo/rights.ts";
import { STATEMENT_COUNTS } from "../../config/settings/plain.ts";
import { ensureStatementCounts } from "../../postgres/sql/observing/statement-counts.ts";
import { ensureTemplate, keepTemplate } from "../../odoo/template.ts";
import { ensureAuthority, ensureNodeCertificate } from "../../postgres/certificates.ts";
import { inspectDataDirectory } from "../../postgres/data-directory.ts";
import { initialiseDataDirectory } from "../../postgres/initialise.ts";
import { closeSchemaPublic, dropSlot, ensureSlot, listSlots } from "../../postgres/sql/operations.ts";
import { findPostmaster } from "../../postgres/server.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { diskSpace, ensureDirectory, kindOf, passableFor, readTextIfAny } from "../../system/files/files.ts";
import { makeFolder, renameIn } from "../../system/files/held/by-path.ts";
import { requirePorts, type NeededPort } from "../../services/ports.ts";
import { explainSql } from "../../system/sql/sql.ts";
import {
  applyConfiguration,
  reopenLocalAccess,
  startingFloor,
  startOrGoBack,
  validateParameters,
  writeNodeFiles,
} from "../../services/configure.ts";
import type { Failover } from "../../failover/failover.ts";
import type { Clients } from "../../services/clients.ts";
import { finishChange } from "../operations.ts";
import { copyOfPrimary } from "../../services/copy-of-primary.ts";
import type { Progress } from "../../progress.ts";
import { ForeignPrimary } from "../../members/foreign-primary.ts";
import type { NodeHandle } from "../../members/node-handle.ts";
import {
  changeState,
  followedSlot,
  ownPrimary,
  primaryName,
  primaryOf,
  recordedFor,
  recordHistory,
  replicasOf,
  startOptions,
  type Runtime,
} from "../../members/runtime.ts";
import { removeGoneNodes } from "./removed-nodes.ts";
import { checkMissingWal } from "../../members/missing-wal.ts";
import { storePasswords } from "../../store/secrets.ts";
import { guardTablespaces, tablespaceTroubles } from "../../members/tablespaces.ts";
import { waitingForReseed } from "../../model/tablespaces.ts";

/** Room that a first launch needs for one node, with WAL: measured 40 MB after initdb, plus one WAL segment cycle. */
const LEAST_ROOM = 200 * 1024 * 1024;

/** The result of bringing up: replicas that were started, and the problems of those that were not. */
interface BroughtUp {
  readonly replicas: readonly NodeHandle[];
  readonly problems: readonly OdooPgError[];
}

/** The caller's work between the steps of bringing servers up. */
interface Moments {
  /** Ports that are needed beside those of the servers. */
  readonly ports: readonly NeededPort[];
  /** Nothing was changed so far, and everything that can be refused beforehand has been checked. */
  readonly beforeChange: () => Promise<void>;
  /**
   * In a cluster that existed before, when its servers run and replicas are to be copied: that may take hours, in which
   * clients must be served.
   */
  readonly beforeSeeding: () => Promise<void>;
}

/**
 * Brings the servers of this host to the desired state. Every step looks first and does only what is missing, so that it
 * can be interrupted anywhere and run again. Problems of replicas do not keep the primary down.
 */
export async function bringUpServers(
  runtime: Runtime,
  failover: Failover,
  before: Config | undefined,
  clients: Clients,
  progress: Progress,
  moments: Moments,
): Promise<BroughtUp> {
  if (runtime.upstream) await recogniseUpstream(runtime, runtime.upstream);
  const decisions = await decideAll(runtime);
  const primary = ownPrimary(runtime);
  const decision = primary && decisions.get(primary.node.name);
  if (decision?.action === "refuse") throw refusal(decision);
  await requirePorts([...(await neededPorts(runtime, decisions)), ...moments.ports]);
  await checkRoom(runtime, decisions);
  await validateParameters(runtime);
  // Only now: up to here nothing was changed.
  await moments.beforeChange();
  for (const handle of runtime.nodes.values()) await guardTablespaces(runtime, handle);
  await removeGoneNodes(runtime, before, progress);
  const launch = decision?.action === "initialise";
  await Promise.all([
    prepareCertificates(runtime),
    primary && launch ? initialise(runtime, primary, progress) : Promise.resolve(),
  ]);

  const problems: OdooPgError[] = [];
  const running = new Set<NodeHandle>();
  const attempt = async (handle: NodeHandle, act: () => Promise<void>): Promise<void> => {
    try {
      await act();
      running.add(handle);
    } catch (error) {
      running.delete(handle);
      problems.push(error instanceof OdooPgError ? error : explainSql(error, "a replica"));
    }
  };
  // After a reboot all start at once; what has to be seeded waits for the primary.
  const startable = replicasOf(runtime).filter(
    (handle) => decisions.get(handle.node.name)?.action === "start",
  );
  await Promise.all([
    ...(primary ? [start(runtime, primary, progress)] : []),
    ...startable.map(
      async (handle) => await attempt(handle, async () => await start(runtime, handle, progress)),
    ),
  ]);
  if (primary) await keepInStep(runtime, failover, primary, progress, launch);
  const seeds = replicasOf(runtime).some(({ node }) => decisions.get(node.name)?.action === "seed");
  if (seeds && before && sameAddresses(before, runtime.config)) await moments.beforeSeeding();
  await Promise.all(
    replicasOf(runtime).map(async (handle) => {
      const seen = decisions.get(handle.node.name);
      if (seen?.action === "refuse") problems.push(refusal(seen));
      else if (seen?.action === "wait") problems.push(waitingFor(handle, seen));
      else if (seen?.action === "seed")
        await attempt(handle, async () => await seedAndStart(runtime, handle, progress));
    }),
  );
  problems.push(...(await applyConfiguration(runtime, clients, progress)));
  return { replicas: [...running], problems };
}

/** An `up` that is killed after opening ports would find them in use, and not know by whom. */
function sameAddresses(before: Config, config: Config): boolean {
  const addresses = ({ listen, endpoints }: Config): string =>
    JSON.stringify([listen, endpoints.read.port, endpoints.write.port]);
  return addresses(before) === addresses(config);
}

/** Waits until replicas stream; returns the problems of those that do not within a minute. */
export async function awaitStreaming(
  runtime: Runtime,
  failover: Failover,
  replicas: readonly NodeHandle[],
  progress: Progress,
): Promise<OdooPgError[]> {
  const problems: OdooPgError[] = [];
  await Promise.all(
    replicas.map(async (handle) => {
      try {
        await waitForStreaming(runtime, handle);
      } catch (error) {
        problems.push(error instanceof OdooPgError ? error : explainSql(error, "a replica"));
      }
    }),
  );
  // A switchover that was cut off may have left its slots on what is a replica now.
  await finishChange(failover, progress);
  return problems;
}

function refusal(decision: Extract<StartDecision, { action: "refuse" }>): OdooPgError {
  return new OdooPgError("data_directory_unusable", {
    message: decision.reason,
    safe: decision.safe,
    next: decision.next,
  });
}

function waitingFor(handle: NodeHandle, decision: Extract<StartDecision, { action: "wait" }>): OdooPgError {
  return new OdooPgError("node_not_ready", {
    message: `Node ${handle.node.name} ${decision.state}: ${decision.reason}`,
    safe: "Nothing was done to it now.",
    next: decision.next,
  });
}

/** Whose data the nodes must have. A missing primary is no reason not to start known replicas. */
async function recogniseUpstream(runtime: Runtime, upstream: ForeignPrimary): Promise<void> {
  try {
    const { system_identifier: systemIdentifier } = await upstream.identify();
    if (systemIdentifier === runtime.state.system_identifier) return;
    await changeState(runtime, { system_identifier: systemIdentifier });
  } catch (error) {
    if (runtime.state.system_identifier === null) throw error;
    runtime.log("warn", messageOf(error));
  }
}

/** What each node's data directory needs. Nodes that wait for the user are marked. */
async function decideAll(runtime: Runtime): Promise<Map<string, StartDecision>> {
  const seen = new Map<string, Awaited<ReturnType<typeof inspectDataDirectory>>>();
  for (const handle of runtime.nodes.values()) {
    const data = await inspectDataDirectory(handle.files.dataDir, runtime.installation, runtime.owner);
    seen.set(handle.node.name, data);
  }
  const decisions = new Map<string, StartDecision>();
  for (const [name, data] of seen) {
    const others = [...seen].filter(([other, { kind }]) => other !== name && kind === "whole");
    const othersWithData = others.map(([other]) => other);
    const handle = runtime.nodes.get(name);
    const asSeen = decideStart({ ...recordedFor(runtime), node: name, data, othersWithData });
    const troubles = handle && asSeen.action === "start" ? await tablespaceTroubles(runtime, handle) : [];
    const decision: StartDecision = troubles.length
      ? { action: "wait", ...waitingForReseed(name, primaryName(runtime), troubles) }
      : asSeen;
    decisions.set(name, decision);
    if (handle) {
      handle.tablespaces = troubles;
      handle.waiting = undefined;
      if (decision.action === "wait") handle.waitFor(decision.state, decision.reason, decision.next);
      if (decision.action === "refuse") handle.waitFor("refused", decision.reason, decision.next);
    }
  }
  return decisions;
}

/** The ports that servers have not got yet. */
async function neededPorts(
  runtime: Runtime,
  decisions: ReadonlyMap<string, StartDecision>,
): Promise<NeededPort[]> {
  const needed: NeededPort[] = [];
  for (const handle of runtime.nodes.values()) {
    const action = decisions.get(handle.node.name)?.action;
    if (action === "refuse" || action === "wait") continue;
    // A running server may get another port: it has to be free too.
    if ((await findPostmaster(handle.files.dataDir))?.port === handle.node.port) continue;
    const { name, port } = handle.node;
    needed.push({ port, whose: `node ${name}`, key: `nodes[].port of ${name}` });
  }
  return needed;
}

/** @throws OdooPgError disk_full before anything is made. */
async function checkRoom(runtime: Runtime, decisions: ReadonlyMap<string, StartDecision>): Promise<void> {
  for (const handle of runtime.nodes.values()) {
    const action = decisions.get(handle.node.name)?.action;
    if (action !== "initialise" && action !== "seed") continue;
    const place = path.dirname(handle.files.dataDir);
    const { freeBytes } = await diskSpace(place);
    if (freeBytes >= LEAST_ROOM) continue;
    throw new OdooPgError("disk_full", {
      message: `Node ${handle.node.name} needs at least ${LEAST_ROOM / 1024 / 1024} MB in ${place}, but only ${Math.floor(freeBytes / 1024 / 1024)} MB are free.`,
      safe: "Nothing was made.",
      next: "Make room, or set another state_dir or data_dir in odoo-pg.yaml.",
    });
  }
}

async function prepareCertificates(runtime: Runtime): Promise<void> {
  await ensureAuthority(runtime.config, runtime.layout);
  await Promise.all(
    [...runtime.nodes.values()].map(async ({ node, files }) => {
      await ensureDirectory(files.dir, passableFor(runtime.owner));
      await ensureNodeCertificate(
        runtime.config,
        runtime.layout,
        node,
        files,
        runtime.owner,
        runtime.machine.hostname,
        now(),
      );
    }),
  );
}

async function initialise(runtime: Runtime, primary: NodeHandle, progress: Progress): Promise<void> {
  progress.step(primary.node.name, "create the database cluster (initdb)");
  await ensureDirectory(primary.files.dir, passableFor(runtime.owner));
  await ensurePlace(runtime, primary);
  await initialiseDataDirectory({
    installation: runtime.installation,
    owner: runtime.owner,
    files: primary.files,
    password: runtime.passwords.postgres,
    more: runtime.config.postgres.initdb_args,
  });
}

/** The parent of a node's data directory. One that already exists, such as a volume, is left as it is. */
async function ensurePlace(runtime: Runtime, { files }: NodeHandle): Promise<void> {
  const place = path.dirname(files.dataDir);
  if ((await kindOf(place)) === undefined) await makeFolder(place, 0o700, runtime.owner);
}

/** Starts a server that does not run yet, with its files written first. One that runs is adopted as it is. */
async function start(runtime: Runtime, handle: NodeHandle, progress: Progress): Promise<void> {
  const running = await findPostmaster(handle.files.dataDir);
  if (running?.status === "ready") return await reopenLocalAccess(runtime, handle);
  const previous = await readTextIfAny(handle.files.configFile);
  if (!running) await writeNodeFiles(runtime, handle, await startingFloor(runtime, handle));
  progress.step(handle.node.name, running ? "wait until it answers" : "start");
  handle.hold.join("start");
  try {
    await startOrGoBack(runtime, handle, previous);
    handle.startedWell();
  } catch (error) {
    handle.startFailed(error);
    throw error;
  } finally {
    handle.hold.release();
  }
}

function countsByConfiguration({ config, kept }: Runtime): boolean {
  const libraries =
    config.postgres.parameters["shared_preload_libraries"] ?? kept["shared_preload_libraries"];
  return libraries?.split(",").some((name) => name.trim() === STATEMENT_COUNTS) === true;
}

/** What the primary needs for the cluster: roles, the template, one slot for each replica and none for others. */
async function keepInStep(
  runtime: Runtime,
  failover: Failover,
  primary: NodeHandle,
  progress: Progress,
  launch: boolean,
): Promise<void> {
  const { config, passwords } = runtime;
  if (launch) progress.step(primary.node.name, "create roles and the template database");
  let facts = factsOf(await primary.observe());
  if (facts?.in_recovery) {
    // The record is written before a promotion: one that was cut off is finished here.
    await finishChange(failover, progress);
    facts = factsOf(primary.observation);
  }
  if (!facts || facts.in_recovery) {
    throw new OdooPgError("node_not_ready", {
      message: `Node ${primary.node.name} is recorded as primary, but it ${facts ? "runs as a replica" : "does not answer"}.`,
      safe: "Nothing was changed.",
      next: nextStep`Look: ${odooPg("logs", primary.node.name)}`,
    });
  }
  try {
    await primary.useNew(async (session) => {
      await ensureRoles(session, config.odoo.role, passwords);
      await storePasswords(runtime.layout, passwords, runtime.owner);
      await closeSchemaPublic(session);
      const tell = (text: string): void => progress.step(primary.node.name, text);
      if (launch)
        await ensureTemplate(primary.superuser, session, config.odoo.template, config.odoo.role, tell);
      // Databases of others, whatever their names, keep nobody from being served.
      else await keepTemplate(primary.superuser, session, config.odoo, progress.note);
      await settleRights(primary.superuser, session, launch ? () => {} : tell);
      // By the configuration, not by what runs: a restart for it comes later.
      if (countsByConfiguration(runtime) && (await ensureStatementCounts(session)) && !launch)
        tell("statement times are shown from now on");
      const wanted = replicasOf(runtime).map(({ node }) => slotName(node.name));
      for (const slot of wanted) await ensureSlot(session, slot);
      for (const slot of await listSlots(session)) {
        // Slots that odoo-pg did not name (of a backup tool) are none of its business. One from a reseed that was cut
        // off would keep WAL for no one.
        if (removedNodes(runtime).has(slot) || isCopySlot(slot)) await dropSlot(session, slot);
      }
    });
  } catch (error) {
    throw explainSql(error, `Preparing ${primary.node.name}`);
  }
  if (runtime.state.system_identifier !== facts.system_identifier) {
    await changeState(runtime, { system_identifier: facts.system_identifier });
  }
  if (!runtime.state.history.length) {
    await recordHistory(runtime, {
      at: new Date(now()).toISOString(),
      kind: "first launch",
      from: null,
      to: primary.node.name,
      why: "odoo-pg up",
      timeline: facts.timeline,
      writes_paused_ms: null,
    });
  }
}

/** Names of nodes that the cluster no longer has; kept so that only their slots are ever dropped. */
function removedNodes(runtime: Runtime): ReadonlySet<string> {
  return new Set(runtime.state.removed.filter((name) => !runtime.nodes.has(name)));
}

async function seedAndStart(runtime: Runtime, handle: NodeHandle, progress: Progress): Promise<void> {
  const primary = primaryOf(runtime);
  const slot = followedSlot(runtime, handle);
  progress.step(handle.node.name, `copy from ${primary.node.name}`);
  handle.hold.join("seed");
  try {
    await ensurePlace(runtime, handle);
    if (primary instanceof ForeignPrimary) await primary.ensureSlot(runtime.config.cluster, handle.node.name);
    else
      await primary.use(async (session) => {
        // Its data is not there, so it loses nothing by it; one that was lost keeps no WAL, and 18 lets nobody use it.
        await dropSlot(session, slot);
        await ensureSlot(session, slot);
      });
    const fresh = await copyOfPrimary(runtime, handle, slot, progress);
    await renameIn(fresh, handle.files.dataDir);
  } finally {
    handle.hold.release();
  }
  await start(runtime, handle, progress);
}

/**
 * Looks, 20 ms apart, in all of which a replica must stream: one whose primary no longer has its WAL says so too, for
 * some milliseconds at each of its attempts.
 */
const CONFIRMED = 3;

async function waitForStreaming(runtime: Runtime, handle: NodeHandle): Promise<void> {
  // A standby that accepts no reads cannot be asked.
  if (startOptions(runtime, handle).warm) return;
  const { name } = handle.node;
  let streak = 0;
  await waitUntil(
    async () => {
      const streams = factsOf(await handle.observe())?.receiver_status === "streaming";
      streak = streams ? streak + 1 : 0;
      if (streak >= CONFIRMED) return true;
      if (streams) return false;
      if (!(await checkMissingWal(runtime, handle).catch(() => false))) return false;
      throw new OdooPgError("node_not_ready", {
        message: `Node ${name} needs a reseed: ${primaryName(runtime)} no longer has the WAL it needs to catch up.`,
        safe: "Its data is untouched.",
        next: odooPg("reseed", name),
      });
    },
    {
      what: `${name} to stream from ${primaryName(runtime)}`,
      timeout: 60_000,
      next: nextStep`Look: ${odooPg("logs", name)}`,
    },
  );
}
