import { sayOf } from "../model/silence.ts";
import { nextStep, odooPg } from "../next-step.ts";
import path from "node:path";
import { REPLICA_SENSITIVE } from "../config/settings/table.ts";
import { forwardingAddress } from "../config/values/addresses.ts";
import { inspectDataDirectory } from "../postgres/data-directory.ts";
import { bytesBehind } from "../model/lsn.ts";
import { factsOf } from "../model/observation.ts";
import { OdooPgError } from "../errors.ts";
import {
  configurationErrors,
  type FileError,
  configurationLoadedAt,
  runningSettings,
  settingsPendingRestart,
} from "../postgres/sql/operations.ts";
import {
  renderHba,
  renderIdent,
  renderPostgresqlConf,
  renderSynchronous,
  withoutArchiveCommand,
} from "../postgres/render.ts";
import { findPostmaster, reloadServer, startServer, stopServer } from "../postgres/server.ts";
import { reloadAndWait } from "../postgres/reload.ts";
import { ALTERED_FILE } from "../postgres/sql/altered-settings.ts";
import { validateConfiguration } from "../postgres/validate.ts";
import { waitUntil } from "../system/clock.ts";
import {
  ensureDirectory,
  kindOf,
  modifiedAt,
  passableFor,
  readableBy,
  readTextIfAny,
  writeFileAtomic,
  writeFileIfChanged,
} from "../system/files/files.ts";
import { SqlError } from "../system/sql/sql.ts";
import type { Progress } from "../progress.ts";
import { withClientsWaiting, withNewWaiting, type Clients } from "./clients.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { explainFailedStart, explainRefused, requireStartable } from "./start-fault.ts";
import { guardTablespaces } from "../members/tablespaces.ts";
import {
  addressOf,
  factsFor,
  firstOf,
  ownPrimary,
  primaryOf,
  replicasOf,
  type Runtime,
  startOptions,
} from "../members/runtime.ts";

type Floor = Readonly<Record<string, number>>;

/** The text of a node's postgresql.conf. */
async function configurationText(runtime: Runtime, handle: NodeHandle, floor: Floor): Promise<string> {
  const primary = primaryOf(runtime);
  return renderPostgresqlConf({
    config: runtime.config,
    layout: runtime.layout,
    node: handle.node,
    files: handle.files,
    facts: await factsFor(runtime, handle),
    kept: runtime.kept,
    upstream: handle === primary ? undefined : addressOf(primary.node),
    follows: runtime.upstream ? "foreign" : "own",
    floor,
    archiveCommand: runtime.archiveCommand?.(handle.node),
  });
}

/**
 * Has the server's parser read the new configuration; nothing is put in place yet. One node counts for all:
 * they share their parameters and differ only in what odoo-pg itself fills in.
 */
export async function validateParameters(runtime: Runtime): Promise<void> {
  const handle = ownPrimary(runtime) ?? firstOf(runtime);
  await ensureDirectory(handle.files.dir, passableFor(runtime.owner));
  const text = await configurationText(runtime, handle, {});
  const { installation, owner } = runtime;
  try {
    await validateConfiguration(installation, text, handle.files.configFile, owner);
  } catch (error) {
    throw await explainRefused(runtime, handle, text, error);
  }
}

/** Writes the files of a node; says whether any text changed. The synchronous list is only made when absent. */
export async function writeNodeFiles(runtime: Runtime, handle: NodeHandle, floor: Floor): Promise<boolean> {
  const { owner } = runtime;
  const { files } = handle;
  const readable = readableBy(owner);
  await ensureDirectory(files.dir, passableFor(owner));
  await guardTablespaces(runtime, handle);
  const conf = await writeFileIfChanged(
    files.configFile,
    await configurationText(runtime, handle, floor),
    readable,
  );
  const access = await writeAccessFiles(runtime, handle);
  if ((await kindOf(files.synchronousFile)) === undefined) {
    await writeFileAtomic(
      files.synchronousFile,
      renderSynchronous(runtime.config.endpoints.read.consistency === "read-your-writes", []),
      readable,
    );
  }
  return conf || access;
}

/** Writes who may connect; says whether any text changed. */
async function writeAccessFiles(
  { config, machine, owner, upstream }: Runtime,
  { files }: NodeHandle,
): Promise<boolean> {
  const rules = renderHba({
    networks: config.networks,
    source: forwardingAddress(config.nodes, machine.hasLoopbackNetwork),
    follows: upstream ? "foreign" : "own",
  });
  const readable = readableBy(owner);
  const users = renderIdent(["root", machine.userName, ...(owner?.name === undefined ? [] : [owner.name])]);
  const ident = await writeFileIfChanged(files.identFile, users, readable);
  return (await writeFileIfChanged(files.hbaFile, rules, readable)) || ident;
}

/** SQLSTATE invalid_password and invalid_authorization_specification. */
const REFUSED = new Set<string | undefined>(["28P01", "28000"]);

/**
 * Lets the superuser in again at a server that refuses its password, as one does whose pg_hba.conf is from before local
 * users came in by who they are: a signal makes it read the new one, and no session is cut.
 * @throws OdooPgError timed_out
 */
export async function reopenLocalAccess(runtime: Runtime, handle: NodeHandle): Promise<void> {
  const isRefused = async (): Promise<boolean> => {
    try {
      await handle.useNew(async () => {});
      return false;
    } catch (error) {
      return error instanceof SqlError && REFUSED.has(error.code);
    }
  };
  if (!(await isRefused())) return;
  await writeAccessFiles(runtime, handle);
  await reloadServer(handle.files.dataDir);
  runtime.log("warn", `${handle.node.name} refused the superuser's password: it reads pg_hba.conf again`);
  await waitUntil(async () => !(await isRefused()), {
    what: `${handle.node.name} to let the superuser in`,
    timeout: 10_000,
    next: odooPg("logs", handle.node.name),
  });
}

/** A replica that was stopped starts with no less than the primary had when it last followed it. */
export async function startingFloor(runtime: Runtime, handle: NodeHandle): Promise<Floor> {
  if (handle === ownPrimary(runtime)) return {};
  const data = await inspectDataDirectory(handle.files.dataDir, runtime.installation, runtime.owner);
  return data.kind === "whole" ? data.floor : {};
}

/** The primary's running values that no replica may stay below. */
async function runningFloor(primary: NodeHandle): Promise<Floor> {
  const running = await primary.use(async (session) => await runningSettings(session, REPLICA_SENSITIVE));
  return Object.fromEntries([...running].map(([name, { value }]) => [name, Number(value)]));
}

/**
 * Applies the configuration to a running cluster: a reload where that is enough, a restart only of the nodes whose
 * settings need one, in the order that PostgreSQL wants. A replica must never have less than its primary runs with
 * (max_connections and others like it): so replicas first take the higher of old and new, then the primary changes,
 * then the replicas take the new value.
 * @param clients wait while a node restarts: those of the primary's poolers once their open transactions have ended
 * @returns what keeps replicas that run and do not answer from taking it: they do not hold up the others
 */
export async function applyConfiguration(
  runtime: Runtime,
  clients: Clients,
  progress: Progress,
): Promise<OdooPgError[]> {
  const primary = ownPrimary(runtime);
  if (!primary) {
    for (const replica of replicasOf(runtime)) {
      if (!(await findPostmaster(replica.files.dataDir))) continue;
      await bringInLine(runtime, replica, await startingFloor(runtime, replica), progress, clients);
    }
    return [];
  }
  const problems = new Map<string, OdooPgError>();
  const answeringReplicas = async (): Promise<NodeHandle[]> => {
    const answering: NodeHandle[] = [];
    for (const replica of replicasOf(runtime)) {
      if (!(await findPostmaster(replica.files.dataDir))) continue;
      const { name, answer } = await replica.observe();
      if (answer.kind === "none") problems.set(name, notConfigured(name, sayOf(answer.silence)));
      else answering.push(replica);
    }
    return answering;
  };
  const primaryUp = (await findPostmaster(primary.files.dataDir)) !== undefined;
  const before = primaryUp ? await runningFloor(primary) : {};
  for (const replica of await answeringReplicas())
    await bringInLine(runtime, replica, before, progress, clients);
  if (!primaryUp) return [...problems.values()];
  await bringInLine(runtime, primary, {}, progress, clients);
  const after = await runningFloor(primary);
  for (const replica of await answeringReplicas()) {
    const lowered = REPLICA_SENSITIVE.some((name) => (after[name] ?? 0) < (before[name] ?? 0));
    // A replica reads the primary's lowered values from the WAL; before that it refuses to start with less.
    if (lowered) await waitForReplay(primary, replica);
    await bringInLine(runtime, replica, after, progress, clients);
  }
  return [...problems.values()];
}

function notConfigured(node: string, reason: string): OdooPgError {
  return new OdooPgError("node_not_ready", {
    message: `Node ${node} ${reason}: it keeps its present configuration.`,
    safe: "The other nodes have theirs.",
    next: odooPg("status"),
  });
}

async function waitForReplay(primary: NodeHandle, replica: NodeHandle): Promise<void> {
  const target = factsOf(await primary.observe())?.current_lsn;
  if (!target) return;
  await waitUntil(
    async () => {
      const replayed = factsOf(await replica.observe())?.replay_lsn;
      return replayed !== undefined && replayed !== null && bytesBehind(target, replayed) === 0;
    },
    { what: `${replica.node.name} to replay what ${primary.node.name} wrote`, timeout: 60_000 },
  );
}

/** Writes a running node's files, reloads it if they are newer than what it runs with, restarts it if a setting needs it. */
async function bringInLine(
  runtime: Runtime,
  handle: NodeHandle,
  floor: Floor,
  progress: Progress,
  clients: Clients,
): Promise<void> {
  const { files, node } = handle;
  const previous = await readTextIfAny(files.configFile);
  await writeNodeFiles(runtime, handle, floor);
  const pending = await reloadIfStale(runtime, handle, progress);
  if (!pending.length) return;
  try {
    await requireStartable(runtime, handle, pending);
  } catch (error) {
    await goBack(runtime, handle, previous);
    throw error;
  }
  progress.step(node.name, `restart for ${pending.join(", ")}`);
  const restart = async (): Promise<void> => await restartNode(runtime, handle, previous);
  if (handle === ownPrimary(runtime)) await withClientsWaiting(clients, node.name, progress, restart);
  else await withNewWaiting(clients, node.name, restart);
}

/** Gives a running node the configuration back that it runs with: nothing waits for a restart that would fail. */
async function goBack(runtime: Runtime, handle: NodeHandle, previous: string | undefined): Promise<void> {
  const { files, node } = handle;
  if (previous === undefined || previous === (await readTextIfAny(files.configFile))) return;
  await writeFileAtomic(files.configFile, previous, readableBy(runtime.owner));
  await handle.use(async (session) => await reloadAndWait(session, files.dataDir, node.name));
}

/**
 * Stops a running primary from archiving where it does so by this command; all else of its file stays as it is,
 * and nothing is restarted.
 */
export async function dropArchiveCommand(runtime: Runtime, handle: NodeHandle, mark: string): Promise<void> {
  const { configFile } = handle.files;
  const text = await readTextIfAny(configFile);
  if (text === undefined) return;
  const without = withoutArchiveCommand(text, mark, runtime.machine.platform);
  if (without !== text) await writeFileAtomic(configFile, without, readableBy(runtime.owner));
  await reloadIfStale(runtime, handle, undefined);
}

/** Reloads a node whose files changed after it read them; returns the settings that wait for a restart. */
async function reloadIfStale(
  runtime: Runtime,
  handle: NodeHandle,
  progress: Progress | undefined,
): Promise<string[]> {
  const { files, node } = handle;
  return await handle.use(async (session) => {
    const loaded = await configurationLoadedAt(session);
    const times = await Promise.all(
      [files.configFile, files.hbaFile, files.identFile, files.synchronousFile, files.certificateFile].map(
        modifiedAt,
      ),
    );
    if (times.some((time) => (time ?? 0) > loaded)) {
      progress?.step(node.name, "reload");
      await reloadAndWait(session, files.dataDir, node.name);
      const errors = await configurationErrors(session);
      if (errors.length) {
        throw refusedLines(node.name, errors);
      }
      runtime.log("info", `${node.name}: configuration read again`);
    }
    return await settingsPendingRestart(session);
  });
}

function refusedLines(node: string, errors: readonly FileError[]): OdooPgError {
  const lines = errors.map(
    ({ name, error, file, line }) =>
      `  ${name === null ? "" : `${name}: `}${error} (line ${line} of ${file})`,
  );
  const altered = errors.find(({ file }) => path.basename(file) === ALTERED_FILE)?.name ?? undefined;
  return new OdooPgError("parameter_invalid", {
    message: `${node} refuses its new configuration:\n${lines.join("\n")}`,
    safe: `${node} keeps running with its previous configuration.`,
    next:
      altered === undefined
        ? nextStep`Correct odoo-pg.yaml, then run: ${odooPg("up")}`
        : nextStep`${odooPg("psql", node, "--", "-c", `ALTER SYSTEM RESET ${altered}`)}, then: ${odooPg("up")}`,
  });
}

/** Restarts a node. If it does not come up with its new configuration it gets the previous one back. */
async function restartNode(
  runtime: Runtime,
  handle: NodeHandle,
  previous: string | undefined,
): Promise<void> {
  const { files, node } = handle;
  await handle.hold.take("restart");
  const release = runtime.held.hold(node.name);
  try {
    await stopServer(files.dataDir, node.name, "fast");
    await handle.disconnect();
    await startOrGoBack(runtime, handle, previous);
    runtime.log("info", `${node.name}: restarted`);
  } finally {
    handle.hold.release();
    release();
  }
}

/**
 * Starts a node with the configuration that was written for it. Where it does not start with that and does with what it
 * had before, it runs with that.
 * @throws OdooPgError parameter_invalid when it went back; what `startServer` says, explained, when it does not run
 */
export async function startOrGoBack(
  runtime: Runtime,
  handle: NodeHandle,
  previous: string | undefined,
): Promise<void> {
  const { files, node } = handle;
  const { owner } = runtime;
  const start = startOptions(runtime, handle);
  try {
    await startServer(start);
  } catch (error) {
    if (error instanceof OdooPgError && error.code === "timed_out") throw error;
    const wanted = await readTextIfAny(files.configFile);
    if (previous === undefined || wanted === undefined || previous === wanted)
      throw await explainFailedStart(runtime, handle, error);
    await writeFileAtomic(files.configFile, previous, readableBy(owner));
    try {
      await startServer(start);
    } catch {
      await writeFileAtomic(files.configFile, wanted, readableBy(owner));
      throw await explainFailedStart(runtime, handle, error);
    }
    throw new OdooPgError("parameter_invalid", {
      message: error instanceof OdooPgError ? error.message : String(error),
      safe: `${node.name} runs again with its previous configuration; no other node was restarted after it.`,
      next: nextStep`Correct postgres.parameters in odoo-pg.yaml, then run: ${odooPg("up")}`,
      cause: error,
    });
  }
}
