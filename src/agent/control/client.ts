import { nextStep, odooPg } from "../../next-step.ts";
import * as z from "zod";
import type { Layout } from "../../config/layout.ts";
import type { Config } from "../../config/schema.ts";
import { messageOf, OdooPgError } from "../../errors.ts";
import { monotonic, waitUntil } from "../../system/clock.ts";
import { readTail, type Owner } from "../../system/files/files.ts";
import { requester } from "../../system/machine.ts";
import { requestJson, requestLines } from "../../system/network/http.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { SMALL_HEAP, startDetached } from "../../system/process/process.ts";
import { agentReport, isUnreached } from "./ask.ts";
import { lockHolder } from "../../store/lock.ts";
import { prepareStateDirectory, takePossession } from "../../store/possession.ts";
import type { ProgramSearch } from "../../system/install.ts";
import { errorFromEvent, errorSchema, eventSchema, type AgentEvent } from "../../progress.ts";

const linkSchema = z.union([
  z.object({ link: z.string(), until: z.string() }),
  z.object({ error: errorSchema }),
]);

/** Asks the agent for a link that signs in to the console once. @throws OdooPgError not_running. */
export async function newConsoleLink(
  layout: Layout,
): Promise<{ readonly link: string; readonly until: string }> {
  const answer = await requestJson(
    { socketPath: layout.agentSocket, method: "POST", path: "/console-key", timeout: 2000 },
    linkSchema,
  );
  if ("error" in answer) throw errorFromEvent(answer.error);
  return answer;
}

/**
 * Gives the agent an order and passes on its reports until it is done.
 * @throws OdooPgError what the agent answered, or not_running when it died meanwhile.
 */
export async function order(
  layout: Layout,
  path: string,
  body: Readonly<Record<string, unknown>>,
  onEvent: (event: AgentEvent) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  let lines = 0;
  try {
    for await (const line of requestLines({
      socketPath: layout.agentSocket,
      method: "POST",
      path,
      body: { ...body, by: requester() },
      timeout: 0,
      signal,
    })) {
      lines += 1;
      const parsed = parseJson(line, eventSchema);
      // Cut off in the middle: an agent that died.
      if (!parsed.ok) break;
      const event = parsed.value;
      if (event.kind === "done") return event.result;
      if (event.kind === "error") throw errorFromEvent(event.error);
      onEvent(event);
    }
  } catch (error) {
    if (error instanceof OdooPgError) throw error;
    if (signal?.aborted) {
      throw new OdooPgError("interrupted", {
        message: "Interrupted. The agent continues in the background.",
        safe: "Nothing is left half done.",
        next:
          path === "/operate"
            ? nextStep`Follow it: ${odooPg("status", "--watch")}; how it ended: ${odooPg("history")}. Once it has ended, the same command would do it a second time.`
            : nextStep`Follow it: ${odooPg("status", "--watch")}. Wait for it: run the same command again. Stop the cluster once it has ended: ${odooPg("down")}.`,
      });
    }
    if (lines === 0) {
      throw new OdooPgError("not_running", {
        message: `The agent does not answer: ${messageOf(error)}`,
        next: odooPg("up"),
        cause: error,
      });
    }
  }
  throw new OdooPgError("not_running", {
    message: "The agent ended before it was done.",
    safe: "The servers keep running; every step can be repeated.",
    next: nextStep`Run the same command again. Its last words: ${odooPg("logs", "agent")}`,
  });
}

/** Milliseconds for an agent that has the lock to answer. */
const HOLDER_TIMEOUT = 5000;

export interface AgentStart extends ProgramSearch {
  readonly layout: Layout;
  readonly owner: Owner | undefined;
  /** User name that servers run as, when started by root. */
  readonly user: string | undefined;
  readonly program: readonly [string, string];
  readonly version: string;
  /** Tells the program from others of its version. */
  readonly build: string;
  /** What the operator's own file says. */
  readonly config: Config;
  /** Whether an agent started this very command, and would end it when it ends. */
  readonly inAgent?: boolean;
}

/**
 * Makes sure that an agent of this very program runs. Another one is replaced: the servers outlive it. A state directory
 * of odoo-pg up to 0.1 is made ours first.
 */
export async function ensureAgent(start: AgentStart): Promise<void> {
  const { layout, owner } = start;
  const present = await agentReport(layout, 2000);
  if (present?.build === start.build && !present.ending) return;
  if (present && start.inAgent) {
    throw new OdooPgError("refused", {
      message: `The agent runs version ${present.version} of another build than what is installed: it would end what it has started, this command included.`,
      safe: "Nothing was changed.",
      next: nextStep`On the host: ${odooPg("up")}`,
    });
  }
  if (present) {
    if (!present.ending) {
      for (const socketPath of [layout.agentSocket, layout.formerAgentSocket])
        await requestJson({ socketPath, method: "POST", path: "/leave", timeout: 2000 }, z.unknown()).catch(
          () => {},
        );
    }
    const hasLeft = async (): Promise<boolean> =>
      (await agentReport(layout, 500)) === undefined && (await lockHolder(layout.lockFile)) === undefined;
    await waitUntil(hasLeft, {
      what: `the agent of version ${present.version} to leave`,
      timeout: 30_000,
      interval: 10,
    });
  }
  await takePossession(layout, owner, start.config);
  await prepareStateDirectory(layout, owner);
  const child = await startDetached(
    start.program[0],
    [
      ...SMALL_HEAP,
      start.program[1],
      "agent",
      "--state-dir",
      layout.stateDir,
      ...(start.user === undefined ? [] : ["--user", start.user]),
    ],
    { logFile: `${layout.agentLog}.start`, environment: { PATH: start.searchPath } },
  );
  let ended: number | undefined;
  void child.ended.then(() => {
    ended = monotonic();
  });
  await waitUntil(
    async () => {
      if (await agentReport(layout, 1000)) return true;
      if (ended === undefined) return false;
      // Another `up` was faster: its agent holds the lock and answers in a moment.
      const holder = await lockHolder(layout.lockFile);
      if (holder !== undefined && monotonic() - ended < HOLDER_TIMEOUT) return false;
      if (await agentReport(layout, 1000)) return true;
      if (holder !== undefined) throw silentHolder(holder, layout);
      throw new OdooPgError("not_running", {
        message: `The agent does not start: ${(await readTail(`${layout.agentLog}.start`, 2000)).trim()}`,
        safe: "Running servers are not affected.",
        next: `Read ${layout.agentLog}, then run the same command again.`,
      });
    },
    { what: "the agent to start", timeout: 30_000, interval: 10 },
  );
}

/**
 * As `order`. An agent that left by itself before it took the order, as it does after a first start that failed, is
 * followed by another.
 */
export async function orderEvenIfItLeft(
  start: AgentStart,
  path: string,
  body: Readonly<Record<string, unknown>>,
  onEvent: (event: AgentEvent) => void,
  signal?: AbortSignal,
): Promise<unknown> {
  const { layout } = start;
  try {
    return await order(layout, path, body, onEvent, signal);
  } catch (error) {
    // One that was taken is not given twice.
    if (!(error instanceof OdooPgError) || !isUnreached(error.cause)) throw error;
  }
  await waitUntil(async () => (await lockHolder(layout.lockFile)) === undefined, {
    what: "the agent to leave",
    timeout: 10_000,
  });
  await ensureAgent(start);
  return await order(layout, path, body, onEvent, signal);
}

function silentHolder(holder: number, layout: Layout): OdooPgError {
  return new OdooPgError("locked", {
    message: `The agent (process ${holder}) holds ${layout.lockFile} and does not answer.`,
    safe: "Running servers are not affected.",
    next: `End it (kill ${holder}; if that does not help, kill -9 ${holder}), then run the same command again: servers and endpoints outlive it.`,
  });
}
