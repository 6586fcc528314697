import { nextStep, odooPg } from "../next-step.ts";
import { messageOf, OdooPgError } from "../errors.ts";
import type { WaitingClients } from "../model/waiting.ts";
import { monotonic, pause } from "../system/clock.ts";
import { askSocket } from "../system/network/network.ts";
import { sendSignal } from "../system/process/process.ts";
import { ANSWERS_COMMAND, CARRIED_COMMAND, HOLD_COMMAND, OTHERS_COMMAND, WAITING_COMMAND } from "./gate.ts";
import type { Action } from "./plan.ts";
import { DESCRIPTION_PREFIX } from "./render.ts";
import {
  isFallback,
  leadsTo,
  nameOf,
  nodeOf,
  WAITING_LINE,
  type AdminState,
  type ServerRef,
  type ServerState,
} from "./servers.ts";
import {
  parseProcesses,
  parseServers,
  parseSessions,
  parseSlowestAnswer,
  parseWaiting,
  type Processes,
  type Session,
} from "./show-output.ts";

/** Milliseconds for one answer of HAProxy. */
const ANSWER_TIMEOUT = 1500;
/** Milliseconds for sessions to be gone. */
const CUT_TIMEOUT = 2000;
/** Milliseconds for clients that are logging in, at least, and where a server leaves, at most: then its checks fail, which ends its sessions. */
const SETTLE_MS = 400;
const LEAVE_MS = 1000;
/** So many times as long as a server's answer to the gate's question a login takes at most: TLS, password, start of a session. */
const LOGIN = 5;
/** Sessions that one line tells to end. */
const AT_ONCE = 50;
/** Milliseconds between two counts of sessions that are ending. */
const CUT_INTERVAL = 10;

/**
 * Sends one line to HAProxy's master and returns the whole answer.
 * @throws OdooPgError not_running when nothing listens on the socket, timed_out when no answer comes
 */
async function ask(masterSocket: string, line: string, timeout = ANSWER_TIMEOUT): Promise<string> {
  try {
    return await askSocket(masterSocket, `${line}\n`, timeout);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "ENOENT" || code === "ECONNREFUSED") {
      throw new OdooPgError("not_running", {
        message: "HAProxy is not running: nobody listens on its socket.",
        next: odooPg("up"),
        cause,
      });
    }
    throw new OdooPgError("timed_out", {
      message: `HAProxy does not answer: ${messageOf(cause)}.`,
      safe: "The sessions that it carries go on.",
      next: nextStep`Look at: ${odooPg("logs", "haproxy")}`,
      cause,
    });
  }
}

/** Asks one worker; undefined when it is gone. */
async function askWorker(masterSocket: string, pid: number, command: string): Promise<string | undefined> {
  const answer = await ask(masterSocket, `@!${pid} ${command}`);
  return answer.startsWith("Can't find the target") ? undefined : answer;
}

/** HAProxy's processes. @throws OdooPgError not_running, timed_out */
export async function readProcesses(masterSocket: string): Promise<Processes> {
  const answer = await ask(masterSocket, "show proc");
  const processes = parseProcesses(answer);
  if (processes) return processes;
  throw new OdooPgError("timed_out", {
    message: `HAProxy has no worker: ${firstLine(answer)}`,
    next: nextStep`Look at: ${odooPg("logs", "haproxy")}`,
  });
}

/** The workers that do not answer; one that ends in this moment is none. */
export async function silentWorkers(
  masterSocket: string,
  { current, old }: Processes,
): Promise<readonly number[]> {
  const workers = [current, ...old];
  const answers = await Promise.allSettled(
    workers.map(async (pid) => await askWorker(masterSocket, pid, "show info")),
  );
  return workers.filter((_, index) => answers[index]?.status === "rejected");
}

/**
 * Asks the worker that takes new sessions. It may change between two questions, so this tries again.
 * @param known the worker that was it a moment ago, where somebody has just asked
 */
async function askCurrent(masterSocket: string, command: string, known?: number): Promise<string> {
  for (let attempt = 1; ; attempt += 1) {
    const current =
      attempt === 1 && known !== undefined ? known : (await readProcesses(masterSocket)).current;
    const answer = await askWorker(masterSocket, current, command);
    // A worker that has just been told to stop says "Proxy is disabled."
    if (answer !== undefined && !answer.startsWith("Proxy is disabled")) return answer;
    if (attempt === 3) throw refused(command, answer ?? "its worker is gone");
  }
}

function firstLine(answer: string): string {
  return answer.trim().split("\n")[0] ?? "";
}

function refused(command: string, answer: string): OdooPgError {
  return new OdooPgError("command_failed", {
    message: `HAProxy refused "${command}": ${firstLine(answer)}`,
    safe: "Nothing was changed by this order.",
    next: nextStep`Look at: ${odooPg("logs", "haproxy")}`,
  });
}

/** The fingerprint of the configuration that takes new sessions; undefined when it is not one of odoo-pg's. */
export async function readFingerprint(masterSocket: string): Promise<string | undefined> {
  const info = await askCurrent(masterSocket, "show info");
  const description = /^description: (.*)$/m.exec(info)?.[1];
  return description?.startsWith(DESCRIPTION_PREFIX)
    ? description.slice(DESCRIPTION_PREFIX.length)
    : undefined;
}

/**
 * The state of all servers, with sessions counted over all workers.
 * @throws OdooPgError not_running, timed_out
 */
export async function readServers(masterSocket: string): Promise<ServerState[]> {
  const { current, old } = await readProcesses(masterSocket);
  const [stat, ...left] = await Promise.all([
    askCurrent(masterSocket, "show stat", current),
    ...old.map(async (pid) => await sessionsOfWorker(masterSocket, pid)),
  ]);
  return parseServers(stat).map((server) => ({
    ...server,
    sessions: server.sessions + left.flat().filter((session) => isOn(session, server)).length,
  }));
}

/**
 * Tells the worker that takes new sessions how many of each node older workers carry: a server's connections are counted
 * over all of them. @throws OdooPgError not_running, timed_out
 */
export async function tellCarried(masterSocket: string): Promise<void> {
  const { old } = await readProcesses(masterSocket);
  const sessions = await Promise.all(old.map(async (pid) => await sessionsOfWorker(masterSocket, pid)));
  const carried = new Map<string, number>();
  for (const { backend, server } of sessions.flat()) {
    if ((backend !== "read" && backend !== "write") || server === WAITING_LINE) continue;
    const node = nodeOf({ backend, server });
    carried.set(node, (carried.get(node) ?? 0) + 1);
  }
  const words = [...carried].map(([node, count]) => `${node}=${count}`);
  await askCurrent(masterSocket, [CARRIED_COMMAND, ...words].join(" "));
}

/** Tells the gate how many connections of servers users hold past the endpoints, by node. @throws OdooPgError not_running, timed_out */
export async function tellOthers(masterSocket: string, others: ReadonlyMap<string, number>): Promise<void> {
  const words = [...others].map(([node, connections]) => `${node}=${connections}`);
  await askCurrent(masterSocket, [OTHERS_COMMAND, ...words].join(" "));
}

/**
 * Has the gate lead no new client to a node, for so many milliseconds at most; 0: no longer.
 * @throws OdooPgError not_running, timed_out, command_failed with HAProxy's words
 */
export async function holdNew(masterSocket: string, node: string, milliseconds: number): Promise<void> {
  const command = `${HOLD_COMMAND} ${node}=${Math.round(milliseconds)}`;
  const answer = await askCurrent(masterSocket, command);
  if (answer.trim() !== "") throw refused(command, answer);
}

/**
 * Gives clients that are logging in the time to finish, by what servers took of late to answer the gate: on a busy machine
 * a login takes a second.
 * @param most milliseconds
 * @throws OdooPgError not_running, timed_out
 */
export async function settle(masterSocket: string, most: number): Promise<void> {
  const answer = parseSlowestAnswer(await askCurrent(masterSocket, ANSWERS_COMMAND));
  await pause(Math.min(most, Math.max(SETTLE_MS, LOGIN * answer)));
}

/** Clients that wait at each endpoint for a server. @throws OdooPgError not_running, timed_out */
export async function readWaiting(masterSocket: string): Promise<WaitingClients> {
  return parseWaiting(await askCurrent(masterSocket, WAITING_COMMAND));
}

/** Sessions of one worker, as far as they belong to an endpoint; none when it is gone. */
async function sessionsOfWorker(masterSocket: string, pid: number): Promise<Session[]> {
  const sessions = parseSessions((await askWorker(masterSocket, pid, "show sess")) ?? "");
  return sessions.filter(({ frontend }) => leadsTo(frontend, "read") || leadsTo(frontend, "write"));
}

function isOn(session: Pick<Session, "backend" | "server">, ref: ServerRef): boolean {
  return session.backend === ref.backend && session.server === ref.server;
}

/**
 * Lets a server take new sessions, only keep those it has (`drain`), or have none. In maintenance its sessions are told to
 * end as well; `cutSessions` confirms.
 * @throws OdooPgError command_failed with HAProxy's words, not_running, timed_out
 */
export async function setServerState(masterSocket: string, ref: ServerRef, state: AdminState): Promise<void> {
  const command = `set server ${nameOf(ref)} state ${state}`;
  const answer = await askCurrent(masterSocket, command);
  if (answer.trim() !== "") throw refused(command, answer);
}

/**
 * Ends the sessions of a server on all workers and returns when none is left. The server must be in maintenance.
 *
 * - `shutdown sessions server` returns before the sessions are gone, so it is looked until they are: twice, because a
 *   session that was being given a server while it went into maintenance is counted a moment later.
 * - A worker from before a reload refuses that order and any change of a server ("Proxy is disabled"): there each
 *   session is ended by its id, and with them those that have not reached a server yet, because that worker could
 *   still send them to this one.
 *
 * @throws OdooPgError timed_out when some are left after CUT_TIMEOUT, not_running
 */
export async function cutSessions(masterSocket: string, ref: ServerRef): Promise<void> {
  const start = monotonic();
  let clearChecks = 0;
  for (;;) {
    const left = await cutOnce(masterSocket, ref);
    clearChecks = left === 0 ? clearChecks + 1 : 0;
    if (clearChecks === 2) return;
    if (monotonic() - start > CUT_TIMEOUT) {
      throw new OdooPgError("timed_out", {
        message: `Sessions on ${nameOf(ref)} are not gone after ${CUT_TIMEOUT / 1000} s: ${left} are left.`,
        safe: "The server takes no new sessions.",
        next: nextStep`It is retried automatically. Look at: ${odooPg("logs", "haproxy")}`,
      });
    }
    await pause(CUT_INTERVAL);
  }
}

/** Tells sessions to end; says how many there were. */
async function cutOnce(masterSocket: string, ref: ServerRef): Promise<number> {
  const { old } = await readProcesses(masterSocket);
  const onOld = await Promise.all(old.map(async (pid) => await cutOnOldWorker(masterSocket, pid, ref)));
  const servers = parseServers(await askCurrent(masterSocket, "show stat"));
  const onCurrent = servers.find((server) => isOn(server, ref))?.sessions ?? 0;
  if (onCurrent > 0) {
    const command = `shutdown sessions server ${nameOf(ref)}`;
    const answer = await askCurrent(masterSocket, command);
    if (answer.trim() !== "") throw refused(command, answer);
  }
  return onOld.reduce((sum, count) => sum + count, onCurrent);
}

async function cutOnOldWorker(masterSocket: string, pid: number, ref: ServerRef): Promise<number> {
  // A worker that has not begun to stop yet obeys; one that has refuses, and takes no new sessions anyway.
  await askWorker(masterSocket, pid, `set server ${nameOf(ref)} state maint`);
  const doomed = (await sessionsOfWorker(masterSocket, pid)).filter(
    (session) => isOn(session, ref) || (session.backend === ref.backend && !session.settled),
  );
  await shutDown(masterSocket, pid, doomed);
  const waiting = doomed.filter(({ settled }) => !settled).map(({ id }) => id);
  if (waiting.length > 0) await endAbandoned(masterSocket, pid, new Set(waiting));
  return doomed.length;
}

/**
 * HAProxy 3.0 takes a waiting client off its way to a server, and then keeps it, connected to no server, for ever (seen
 * with 3.0.11). A worker from before a reload that has no other session is ended, so that the client is told.
 */
async function endAbandoned(masterSocket: string, pid: number, waited: ReadonlySet<string>): Promise<void> {
  await pause(CUT_INTERVAL);
  const left = (await sessionsOfWorker(masterSocket, pid)).filter(({ frontend }) => frontend !== "GLOBAL");
  if (left.length > 0 && left.every(({ id, settled }) => settled && waited.has(id)))
    sendSignal(pid, "SIGTERM");
}

/**
 * Ends the sessions that a worker from before a reload has on members of the pool. It makes no health checks any more, so
 * without the agent nothing would end them.
 */
export async function endReads(masterSocket: string, worker: number): Promise<number> {
  const doomed = (await sessionsOfWorker(masterSocket, worker)).filter(
    ({ backend, server }) =>
      backend === "read" && server !== WAITING_LINE && !isFallback({ backend, server }),
  );
  await shutDown(masterSocket, worker, doomed);
  return doomed.length;
}

/** Tells a worker from before a reload to end sessions. */
async function shutDown(masterSocket: string, worker: number, doomed: readonly Session[]): Promise<void> {
  for (let start = 0; start < doomed.length; start += AT_ONCE) {
    const some = doomed.slice(start, start + AT_ONCE);
    // Each command of a line needs the worker's name again.
    await ask(masterSocket, some.map(({ id }) => `@!${worker} shutdown session ${id}`).join("; "));
  }
}

/**
 * Carries out a plan, one action after the other, and stops at the first that fails: what comes later may rely on it.
 * @throws OdooPgError timed_out, command_failed, not_running
 */
export async function perform(masterSocket: string, actions: readonly Action[]): Promise<void> {
  for (const action of actions) {
    switch (action.kind) {
      case "set":
        await setServerState(masterSocket, action.server, action.state);
        break;
      case "settle":
        await settle(masterSocket, LEAVE_MS);
        break;
      case "cut":
        await cutSessions(masterSocket, action.server);
        break;
    }
  }
}
