import { command, nextStep, odooPg } from "../next-step.ts";
import path from "node:path";
import { OdooPgError } from "../errors.ts";
import { ALTERED_FILE, alteredLines } from "../postgres/sql/altered-settings.ts";
import { tryConfiguration, type StartFault } from "../postgres/trial.ts";
import { readTextIfAny } from "../system/files/files.ts";
import { readTextOfOthers } from "../system/files/held/by-path.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import type { Runtime } from "../members/runtime.ts";

/** The file that ALTER SYSTEM writes, in a data directory. */
function alteredFile(handle: NodeHandle): string {
  return path.join(handle.files.dataDir, ALTERED_FILE);
}

/**
 * Tries the whole configuration of a node that is to be restarted on a server beside it, before it stops.
 * @param pending settings that the restart is for
 * @throws OdooPgError parameter_invalid where a server would not start with it, naming file and line
 */
export async function requireStartable(
  runtime: Runtime,
  handle: NodeHandle,
  pending: readonly string[],
): Promise<void> {
  const { name } = handle.node;
  const tried = await triedOf(handle, pending);
  if (runtime.startable === tried) return;
  // Memory that the running server already has is not requested a second time.
  const kept = { shared_buffers: !pending.includes("shared_buffers") };
  const fault = await faultOf(runtime, handle, kept).catch((error: unknown) => {
    // Where nothing can be tried, the restart itself goes back when it fails.
    runtime.log("warn", `${name}: its new configuration could not be tried beside it: ${String(error)}`);
    return undefined;
  });
  if (!fault) runtime.startable = tried;
  if (!fault) return;
  const safe = `${name} was not restarted: it keeps its present settings.`;
  if (fault.altered) {
    throw new OdooPgError("parameter_invalid", {
      message: `${name} would not start again with what ALTER SYSTEM has set: ${sayLine(handle, fault.altered)}.\n${fault.words}`,
      safe,
      next: nextStep`${odooPg("psql", name, "--", "-c", `ALTER SYSTEM RESET ${fault.altered.name}`)}, then: ${odooPg("up")}`,
    });
  }
  throw new OdooPgError("parameter_invalid", {
    message: `${name} would not start with its new configuration (a restart is needed for ${pending.join(", ")}):\n${fault.words}`,
    safe,
    next: nextStep`Correct postgres.parameters in odoo-pg.yaml, then run: ${odooPg("up")}`,
  });
}

/** What a restart is for: the lines of the settings that wait for it, and all that ALTER SYSTEM has set. */
async function triedOf(handle: NodeHandle, pending: readonly string[]): Promise<string> {
  const conf = (await readTextIfAny(handle.files.configFile)) ?? "";
  const lines = conf.split("\n").filter((line) => pending.some((name) => line.startsWith(`${name} = `)));
  return JSON.stringify([pending, lines, await readTextOfOthers(alteredFile(handle))]);
}

/**
 * Why a start failed, where that is a setting of ALTER SYSTEM: its line in postgresql.auto.conf, and how to take it out.
 * The same error where it is something else.
 */
export async function explainFailedStart(
  runtime: Runtime,
  handle: NodeHandle,
  error: unknown,
): Promise<unknown> {
  if (!(error instanceof OdooPgError) || error.code !== "node_failed") return error;
  const file = alteredFile(handle);
  if (alteredLines((await readTextOfOthers(file)) ?? "").length === 0) return error;
  const fault = await faultOf(runtime, handle).catch(() => undefined);
  if (!fault?.altered) return error;
  return new OdooPgError("node_failed", {
    message: `Node ${handle.node.name} does not start with what ALTER SYSTEM has set: ${sayLine(handle, fault.altered)}.\n${fault.words}`,
    safe: "Its data is untouched.",
    next: nextStep`${command("sed", "-i", `${fault.altered.line}d`, file)}, then: ${odooPg("up")}`,
    cause: error,
  });
}

/** The same for a configuration that the server's parser refuses, before anything is written. @param conf its text */
export async function explainRefused(
  runtime: Runtime,
  handle: NodeHandle,
  conf: string,
  error: unknown,
): Promise<unknown> {
  const { installation, owner } = runtime;
  const file = alteredFile(handle);
  const altered = (await readTextOfOthers(file)) ?? "";
  if (alteredLines(altered).length === 0) return error;
  const fault = await tryConfiguration({ installation, owner }, conf, altered).catch(() => undefined);
  if (!fault?.altered) return error;
  return new OdooPgError("parameter_invalid", {
    message: `PostgreSQL ${installation.major} refuses what ALTER SYSTEM has set for ${handle.node.name}: ${sayLine(handle, fault.altered)}.\n${fault.words}`,
    safe: "Nothing was changed or restarted.",
    next: nextStep`${command("sed", "-i", `${fault.altered.line}d`, file)}, then: ${odooPg("up")}`,
    cause: error,
  });
}

async function faultOf(
  { installation, owner }: Runtime,
  handle: NodeHandle,
  kept?: { readonly shared_buffers: boolean },
): Promise<StartFault | undefined> {
  const [conf, altered] = await Promise.all([
    readTextIfAny(handle.files.configFile),
    readTextOfOthers(alteredFile(handle)),
  ]);
  return await tryConfiguration(
    { installation, owner, ...(kept ? { kept } : {}) },
    conf ?? "",
    altered ?? "",
  );
}

function sayLine(handle: NodeHandle, { line, text }: { line: number; text: string }): string {
  return `${text} (line ${line} of ${alteredFile(handle)})`;
}
