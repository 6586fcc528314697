import { nextStep, odooPg } from "../next-step.ts";
import { inspectDataDirectory } from "../postgres/data-directory.ts";
import { findPostmaster, startServer } from "../postgres/server.ts";
import { now } from "../system/clock.ts";
import { decideStart } from "../cluster/start.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { startOptions, type Runtime, recordedFor } from "../members/runtime.ts";
import { explainFailedStart } from "./start-fault.ts";
import { guardTablespaces } from "../members/tablespaces.ts";

/** Milliseconds before the next try after `failures` failed starts: at once, then 1, 2, 4 … 30 s. */
export function retryDelay(failures: number): number {
  return failures === 0 ? 0 : Math.min(30_000, 1000 * 2 ** (failures - 1));
}

/**
 * Starts a server that should run and does not. Which servers should run is decided anew from the data directory each
 * time: an old primary that comes back is never started as one.
 */
export async function keepRunning(runtime: Runtime, handle: NodeHandle): Promise<void> {
  if (handle.operation !== undefined || handle.starting || handle.waiting) return;
  if (handle.observation.answer.kind === "facts" || now() < handle.retryAt) return;
  const abort = new AbortController();
  const ended = startIfGone(runtime, handle, abort.signal).finally(() => {
    handle.starting = undefined;
  });
  handle.starting = { abort, ended };
  await ended;
}

/** To find out which setting it is takes some seconds: once for each reason. */
async function explainOnce(runtime: Runtime, handle: NodeHandle, error: unknown): Promise<unknown> {
  const text = error instanceof Error ? error.message : String(error);
  // Without the times of the log.
  const words = text.replaceAll(/^\s*\d{4}-\d\d-\d\d \S+ \S+ \[\d+\]/gm, "");
  if (handle.explained?.words !== words)
    handle.explained = { words, as: await explainFailedStart(runtime, handle, error) };
  return handle.explained.as;
}

/** Names of the other nodes whose data is there: one of them may take the place of a primary whose data is gone. */
async function othersWithData(runtime: Runtime, handle: NodeHandle): Promise<string[]> {
  const found: string[] = [];
  for (const other of runtime.nodes.values()) {
    if (other === handle) continue;
    const { kind } = await inspectDataDirectory(other.files.dataDir, runtime.installation, runtime.owner);
    if (kind === "whole") found.push(other.node.name);
  }
  return found;
}

async function startIfGone(runtime: Runtime, handle: NodeHandle, signal: AbortSignal): Promise<void> {
  const { name } = handle.node;
  try {
    if (await findPostmaster(handle.files.dataDir)) return;
    if (signal.aborted || handle.operation !== undefined) return;
    handle.operation = "start";
    const data = await inspectDataDirectory(handle.files.dataDir, runtime.installation, runtime.owner);
    const decision = decideStart({
      ...recordedFor(runtime),
      node: name,
      data,
      othersWithData: data.kind === "whole" ? [] : await othersWithData(runtime, handle),
    });
    if (decision.action === "wait") {
      handle.waitFor(decision.state, decision.reason, decision.next);
      return;
    }
    if (decision.action !== "start") {
      if (decision.action === "refuse") handle.waitFor("refused", decision.reason, decision.next);
      else
        handle.waitFor(
          "refused",
          `The data directory of ${name} is gone.`,
          nextStep`Mount its disk, if it has one of its own. Then: ${odooPg("up")} (it makes anew what is gone)`,
        );
      return;
    }
    if (signal.aborted) return;
    await guardTablespaces(runtime, handle);
    runtime.log("warn", `${name} is not running: starting it again`);
    await startServer({ ...startOptions(runtime, handle), signal });
    handle.startedWell();
    runtime.log("info", `${name} runs again`);
  } catch (error) {
    // An operation has taken the node.
    if (signal.aborted) return;
    handle.failures += 1;
    handle.startFailed(await explainOnce(runtime, handle, error));
    handle.retryAt = now() + retryDelay(handle.failures);
    runtime.log("error", `${name} does not start (try ${handle.failures}): ${handle.failure?.text}`);
  } finally {
    if (handle.operation === "start") handle.operation = undefined;
  }
}
