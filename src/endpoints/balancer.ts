import path from "node:path";
import { nextStep, odooPg } from "../next-step.ts";
import type { Layout } from "../config/layout.ts";
import type { WaitingClients } from "../model/waiting.ts";
import { OdooPgError } from "../errors.ts";
import { waitUntil } from "../system/clock.ts";
import {
  fileBytes,
  move,
  namesIn,
  readableBy,
  readFrom,
  readTextIfAny,
  removeFile,
  writeFileAtomic,
  type Owner,
} from "../system/files/files.ts";
import { Mutex } from "../system/mutex.ts";
import { askSocket, portHolder } from "../system/network/network.ts";
import { isAlive, sendSignal, startDetached, waitForEnd } from "../system/process/process.ts";
import { HaproxyRecord } from "./haproxy-record.ts";
import { haproxyFiles, RELATIVE, type HaproxyFiles } from "./files.ts";
import { GATE_FILES, gateFile, renderGate } from "./gate.ts";
import { checkConfiguration, type HaproxyProgram } from "./haproxy.ts";
import { planEndpoints, planRemoval, type Action, type Wanted } from "./plan.ts";
import { fingerprintOf, renderHaproxy, type HaproxyInput } from "./render.ts";
import {
  endReads,
  holdNew,
  perform,
  readFingerprint,
  readProcesses,
  readServers,
  readWaiting,
  settle,
  silentWorkers,
  tellCarried,
  tellOthers,
} from "./orders.ts";
import type { Processes } from "./show-output.ts";
import { membershipOf, type ServerState } from "./servers.ts";

/** Milliseconds for a worker with a new configuration to answer. */
const START_TIMEOUT = 10_000;
/** Milliseconds for HAProxy to end once it was asked to; it does so at once. */
const STOP_TIMEOUT = 2000;

/** HAProxy makes the socket of its master itself. */
const masterOption = `unix@${RELATIVE.masterSocket},mode,600`;

/**
 * - `running`: it answers on its socket.
 * - `absent`: nothing listens there, and the process that was started is gone; it has no sessions.
 * - `unresponsive`: the process is there but does not answer.
 */
export type Presence =
  | { readonly state: "running"; readonly pid: number }
  | { readonly state: "absent" }
  | { readonly state: "unresponsive"; readonly pid: number | undefined };

/**
 * The HAProxy of one cluster on this host. It outlives this process; another one takes it over by the socket in the
 * cluster's own directory, which only our HAProxy can answer on, and by the recorded process.
 * One thing happens at a time: an order that was given during a reload would be lost with the worker that took it.
 */
export class Balancer {
  readonly files: HaproxyFiles;
  readonly #directory: string;
  readonly #owner: Owner | undefined;
  readonly #turns = new Mutex();
  readonly #record: HaproxyRecord;
  /** The master and the worker that took new sessions, when it was last asked. */
  #serving: readonly number[] = [];
  /** Workers from before a reload that still carry sessions, when HAProxy was last asked. */
  oldWorkers: readonly number[] = [];

  /** @param layout its directories exist; @param owner the user that HAProxy runs as */
  constructor(layout: Pick<Layout, "stateDir">, owner: Owner | undefined) {
    this.files = haproxyFiles(layout);
    this.#record = new HaproxyRecord(this.files.process);
    this.#directory = layout.stateDir;
    this.#owner = owner;
  }

  /** Whether HAProxy runs. Takes as long as one answer, at most 1.5 s. */
  async presence(): Promise<Presence> {
    try {
      const { master } = await this.#processes();
      return { state: "running", pid: master };
    } catch (error) {
      // Workers end by themselves a moment after their master: until then they still carry sessions.
      const pid = (await this.#record.living())[0];
      const silent = error instanceof OdooPgError && error.code === "not_running";
      return pid === undefined && silent ? { state: "absent" } : { state: "unresponsive", pid };
    }
  }

  /** The processes that are there and do not answer, of all workers and the master; none when HAProxy is gone. At most 3 s. */
  async silent(): Promise<readonly number[]> {
    try {
      const processes = await this.#processes();
      return await silentWorkers(this.files.masterSocket, processes);
    } catch {
      return (await this.#record.living()).slice(0, 1);
    }
  }

  /**
   * Kills a HAProxy that hangs: its sessions end. A worker from before a reload that hangs goes alone; else all go,
   * because there would be no way to tell which server each session is on.
   * @returns the processes that were killed; none when all answer by now
   * @throws OdooPgError timed_out when one cannot be ended
   */
  async endSilent(): Promise<readonly number[]> {
    return await this.#turns.run(async () => {
      const silent = await this.silent();
      if (!silent.length) return [];
      const processes = await this.#processes().catch(() => undefined);
      const alone = silent.every((pid) => processes?.old.includes(pid) === true);
      const doomed = alone ? silent : await this.#record.living();
      for (const pid of doomed) sendSignal(pid, "SIGKILL");
      await awaitEnds(doomed);
      if (!alone) await this.#forget();
      return doomed;
    });
  }

  /** Whether the worker that takes new sessions answers: its master alone carries none. At most 3 s. */
  async answers(): Promise<boolean> {
    return await readFingerprint(this.files.masterSocket).then(
      () => true,
      () => false,
    );
  }

  /** Whether the processes that served when HAProxy was last asked still live: costs no question. */
  isServing(): boolean {
    return this.#serving.length > 0 && this.#serving.every(isAlive);
  }

  /**
   * Brings HAProxy to a configuration: starts it, takes over one that runs, or reloads it. A reload keeps sessions,
   * refuses no connection, and keeps who is in the pool; it happens only when the configuration is another one.
   * After a start every server is in maintenance: clients wait until `route` says where to go.
   * @throws OdooPgError command_failed when HAProxy refuses the configuration, port_in_use, timed_out; after a failed
   *   reload the old configuration goes on
   */
  async ensure(program: HaproxyProgram, input: HaproxyInput): Promise<"started" | "reloaded" | "unchanged"> {
    return await this.#turns.run(async () => {
      const presence = await this.presence();
      if (presence.state === "absent") {
        await this.#start(program, input);
        return "started";
      }
      if (presence.state === "unresponsive") throw unresponsive(presence.pid);
      if ((await readFingerprint(this.files.masterSocket)) === fingerprintOf(input)) return "unchanged";
      await this.#reload(program, input);
      return "reloaded";
    });
  }

  /**
   * Where the endpoints send sessions now, and how many there are.
   * @throws OdooPgError not_running, timed_out
   */
  async servers(): Promise<ServerState[]> {
    return await this.#turns.run(async () => await readServers(this.files.masterSocket));
  }

  /**
   * Routes the endpoints. When it returns, the sessions of all servers that left are gone.
   * @returns what was done, in order
   * @throws OdooPgError timed_out when sessions are left or HAProxy does not answer, command_failed, not_running
   */
  async route(wanted: Wanted): Promise<Action[]> {
    return await this.#turns.run(async () => {
      const actions = planEndpoints(wanted, await readServers(this.files.masterSocket));
      await perform(this.files.masterSocket, actions);
      return actions;
    });
  }

  /** Clients that wait at each endpoint for a server. @throws OdooPgError not_running, timed_out */
  async waiting(): Promise<WaitingClients> {
    if (this.oldWorkers.length > 0) await tellCarried(this.files.masterSocket);
    return await readWaiting(this.files.masterSocket);
  }

  /** Tells how many connections of servers users hold past the endpoints, by node: it holds for ten seconds. @throws OdooPgError not_running, timed_out */
  async tellOthers(others: ReadonlyMap<string, number>): Promise<void> {
    await tellOthers(this.files.masterSocket, others);
  }

  /**
   * Leads no new client to a node, for so many milliseconds at most; 0: no longer.
   * @throws OdooPgError not_running, timed_out, command_failed
   */
  async holdNew(node: string, milliseconds: number): Promise<void> {
    await this.#turns.run(async () => await holdNew(this.files.masterSocket, node, milliseconds));
  }

  /** Gives clients that are logging in the time to finish. @param most milliseconds @throws OdooPgError not_running, timed_out */
  async settle(most: number): Promise<void> {
    await settle(this.files.masterSocket, most);
  }

  /** Ends the sessions on replicas of workers from before a reload; says how many there were. @throws OdooPgError timed_out */
  async endReadsOf(workers: readonly number[]): Promise<number> {
    return await this.#turns.run(async () => {
      let ended = 0;
      for (const worker of workers) ended += await endReads(this.files.masterSocket, worker);
      return ended;
    });
  }

  /** Ends HAProxy with all its sessions. @throws OdooPgError timed_out when it cannot be ended */
  async stop(): Promise<void> {
    await this.#turns.run(async () => {
      const presence = await this.presence();
      if (presence.state === "absent") return;
      const { pid } = presence;
      if (pid === undefined) throw unresponsive(pid);
      const workers = (await this.#record.living()).filter((one) => one !== pid);
      sendSignal(pid, "SIGTERM");
      if (!(await waitForEnd(pid, STOP_TIMEOUT))) sendSignal(pid, "SIGKILL");
      for (const one of workers) {
        // Workers end by themselves when their master is gone, unless they hang.
        if (!(await waitForEnd(one, STOP_TIMEOUT))) sendSignal(one, "SIGKILL");
      }
      await awaitEnds([pid, ...workers]);
      await this.#forget();
    });
  }

  /** Asks the master which processes there are, and keeps the record of them. @throws OdooPgError not_running, timed_out */
  async #processes(): Promise<Processes> {
    const processes = await readProcesses(this.files.masterSocket);
    const { master, current, old } = processes;
    this.#serving = [master, current];
    this.oldWorkers = old;
    await this.#record.write(master, [current, ...old]);
    return processes;
  }

  /** Removes what is left of a HAProxy that was ended. */
  async #forget(): Promise<void> {
    await this.#record.remove();
    await removeFile(this.files.masterSocket);
  }

  /** Writes a configuration beside the present one and has HAProxy check it. */
  async #propose(program: HaproxyProgram, input: HaproxyInput, text: string): Promise<void> {
    await writeFileAtomic(this.#at(gateFile(input.gate)), renderGate(input.gate), readableBy(this.#owner));
    await writeFileAtomic(this.files.candidate, text, readableBy(this.#owner));
    await checkConfiguration(program, this.#directory, RELATIVE.candidate, this.#owner);
  }

  async #start(program: HaproxyProgram, input: HaproxyInput): Promise<void> {
    await this.#propose(program, input, renderHaproxy(input));
    await move(this.files.candidate, this.files.config);
    const logStart = await fileBytes(this.files.log);
    const { pid } = await startDetached(
      program.path,
      ["-W", "-C", this.#directory, "-f", RELATIVE.config, "-S", masterOption],
      { owner: this.#owner, logFile: this.files.log, cwd: this.#directory },
    );
    await this.#record.write(pid, []);
    const wanted = fingerprintOf(input);
    const outcome = await this.#awaitWorker(wanted, () => !isAlive(pid));
    if (outcome === "answers") {
      await this.#processes();
      await tellCarried(this.files.masterSocket);
      await this.#removeOtherGates(input);
      return;
    }
    if (isAlive(pid)) sendSignal(pid, "SIGKILL");
    throw await this.#explain("HAProxy does not start", logStart, "Nothing else was changed.");
  }

  async #reload(program: HaproxyProgram, input: HaproxyInput): Promise<void> {
    const { masterSocket, config, candidate } = this.files;
    const processes = await readProcesses(masterSocket);
    const seen = await readServers(masterSocket);
    await this.#propose(program, input, renderHaproxy(input, membershipOf(seen)));
    const removed = planRemoval(
      input.nodes.map(({ name }) => name),
      seen,
    );
    if (removed.length > 0) await perform(masterSocket, removed);
    const before = await readTextIfAny(config);
    await move(candidate, config);
    const logStart = await fileBytes(this.files.log);
    // From 2.7 on the answer comes when it is done and says how; before, the socket is closed at once.
    const answer = await askSocket(masterSocket, "reload\n", START_TIMEOUT).catch(() => "");
    const outcome = answer.startsWith("Success=0")
      ? "failed"
      : await this.#awaitWorker(fingerprintOf(input), async () => await this.#reloadFailed(processes));
    if (outcome === "answers") {
      await this.#processes();
      await tellCarried(this.files.masterSocket);
      await this.#removeOtherGates(input);
      return;
    }
    if (before !== undefined) await writeFileAtomic(config, before, readableBy(this.#owner));
    throw await this.#explain(
      "HAProxy does not load its new configuration",
      logStart,
      "The old configuration goes on, with all its sessions.",
    );
  }

  #at(relative: string): string {
    return path.join(this.#directory, relative);
  }

  /** A worker has read its file when it answers. */
  async #removeOtherGates({ gate }: HaproxyInput): Promise<void> {
    const folder = path.dirname(this.files.config);
    for (const name of await namesIn(folder))
      if (GATE_FILES.test(name) && name !== path.basename(gateFile(gate)))
        await removeFile(path.join(folder, name));
  }

  /** After a reload that failed, the newest worker is the one from before, and a reload older. */
  async #reloadFailed(before: Processes): Promise<boolean> {
    const after = await readProcesses(this.files.masterSocket).catch(() => undefined);
    return after?.current === before.current && after.reloads > before.reloads;
  }

  async #awaitWorker(
    fingerprint: string,
    hasFailed: () => Promise<boolean> | boolean,
  ): Promise<"answers" | "failed"> {
    return await waitUntil(
      async () => {
        const found = await readFingerprint(this.files.masterSocket).catch(() => undefined);
        if (found === fingerprint) return "answers" as const;
        return (await hasFailed()) && ("failed" as const);
      },
      { what: "HAProxy to answer", timeout: START_TIMEOUT },
    ).catch(() => "failed" as const);
  }

  /** Puts what HAProxy wrote to its log into an error. */
  async #explain(what: string, logStart: number, safe: string): Promise<OdooPgError> {
    const { text } = await readFrom(this.files.log, logStart);
    const words = text
      .trim()
      .split("\n")
      .filter((line) => line.includes("[ALERT]"))
      .slice(-4);
    const taken = /cannot bind socket \(Address already in use\)[^[]*\[(.*):(\d+)\]/.exec(words.join("\n"));
    if (taken) {
      const port = Number(taken[2]);
      const holder = await portHolder(port);
      return new OdooPgError("port_in_use", {
        message: `${what}: port ${port} on ${taken[1] ?? ""} is taken${holder ? ` by ${holder.command} (process ${holder.pid})` : ""}.`,
        safe,
        next: "Stop that program, or choose another port for the endpoint in odoo-pg.yaml.",
      });
    }
    return new OdooPgError("command_failed", {
      message: `${what}${words.length ? `:\n  ${words.join("\n  ")}` : "."}`,
      safe,
      next: nextStep`Look at: ${odooPg("logs", "haproxy")}`,
    });
  }
}

/** @throws OdooPgError timed_out when one is still there */
async function awaitEnds(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    if (await waitForEnd(pid, STOP_TIMEOUT)) continue;
    throw new OdooPgError("timed_out", { message: `HAProxy (process ${pid}) cannot be ended.` });
  }
}

function unresponsive(pid: number | undefined): OdooPgError {
  return new OdooPgError("timed_out", {
    message: `HAProxy${pid === undefined ? "" : ` (process ${pid})`} does not answer on its socket.`,
    safe: "The sessions that it carries may go on.",
    next: nextStep`Look at: ${odooPg("logs", "haproxy")}${pid === undefined ? "" : `. To have it restarted: kill -9 ${pid}`}`,
  });
}
