import { odooPg } from "../next-step.ts";
import { endpointHost } from "../config/values/addresses.ts";
import { Balancer } from "../endpoints/balancer.ts";
import { othersToTell, type Others } from "../cluster/connections.ts";
import type { HaproxyProgram } from "../endpoints/haproxy.ts";
import type { HaproxyInput } from "../endpoints/render.ts";
import { OdooPgError } from "../errors.ts";
import type { NodeObservation } from "../model/observation.ts";
import type { WaitingClients } from "../model/waiting.ts";
import type { Layout } from "../config/layout.ts";
import { monotonic, waitUntil, within } from "../system/clock.ts";
import { Hold } from "../members/hold.ts";
import type { StopMode } from "../postgres/server.ts";
import type { Owner } from "../system/files/files.ts";
import { rotateOpenLog, type Log } from "../system/log.ts";
import { accepts } from "../system/network/network.ts";
import { haproxyInput, type Served } from "./haproxy-input.ts";
import type { NeededPort } from "./ports.ts";
import type { Progress } from "../progress.ts";
import type { Routing } from "./read-pool.ts";
import type { Runtime } from "../members/runtime.ts";
import type { Answer, Found, Service } from "./service.ts";
import { ASK_EVERY, HUNG_AFTER, named } from "./supervisor.ts";

/** Milliseconds after which HAProxy is asked again although there is nothing to change. */
const LOOK_AGAIN = 5000;

/** Milliseconds for clients that are logging in on a server that is stopped by plan, at most: nothing else waits for it. */
const HELD_MS = 3000;

/** Milliseconds after a reload until sessions on replicas move from the old worker to the new one. */
const MOVE_AFTER = 60_000;

/** The endpoints of this host: one HAProxy, kept running and routing to where the read pool says. */
export class Endpoints implements Service {
  readonly name = "haproxy";
  readonly hold = new Hold();
  /** Found again at each `up`. */
  program: HaproxyProgram | undefined;
  readonly #balancer: Balancer;
  readonly #log: Log;
  /** Clients that waited for a server when HAProxy was last asked; undefined where it did not say. */
  waiting: WaitingClients | undefined;
  /** What was last brought up. */
  #input: HaproxyInput | undefined;
  /** Where HAProxy was last routed, and when. */
  #led: { routing: string; at: number } | undefined;
  /** When HAProxy was last asked whether all its processes answer (monotonic), and whether one did not. */
  #askedAt = 0;
  #isSilent = false;
  /** Since when workers from before a reload were seen (monotonic). */
  readonly #oldSince = new Map<number, number>();
  /** The connections of others that HAProxy was told of last, and whether it is being told. */
  #others: ReadonlyMap<string, Others> = new Map();
  #isTelling = false;

  constructor(layout: Layout, owner: Owner | undefined, log: Log) {
    this.#balancer = new Balancer(layout, owner);
    this.#log = log;
  }

  /** Whether HAProxy answers within `timeout` milliseconds. */
  async answer(timeout: number): Promise<boolean> {
    return await within(timeout, "haproxy", this.#balancer.answers()).catch(() => false);
  }

  /** The same as supervision saw it some seconds ago; asked now where it has not looked. */
  async answered(timeout: number): Promise<boolean> {
    if (this.#askedAt === 0 || monotonic() - this.#askedAt > 2 * ASK_EVERY) return await this.answer(timeout);
    return !this.#isSilent && this.#balancer.isServing();
  }

  /** The ports that it has not got yet: to be looked at before anything is changed. */
  async neededPorts(
    runtime: Served,
    before: Runtime["config"] | undefined,
    isPoolers: (port: number) => Promise<boolean> = async () => false,
  ): Promise<NeededPort[]> {
    // One that hangs holds the ports too: `ensure` ends it.
    const running = (await this.#balancer.presence()).state !== "absent";
    const needed: NeededPort[] = [];
    for (const name of ["read", "write"] as const) {
      const { port } = runtime.config.endpoints[name];
      const own = running && [before?.endpoints.read.port, before?.endpoints.write.port].includes(port);
      if (!own && !(await isPoolers(port)))
        needed.push({ port, whose: `the ${name} endpoint`, key: `endpoints.${name}.port` });
    }
    return needed;
  }

  /** Starts HAProxy, adopts it, or has it take up a changed configuration without cutting sessions. */
  async ensure(runtime: Served, progress: Progress): Promise<void> {
    if (!this.program) throw new Error("HAProxy was not looked for");
    this.#led = undefined;
    const input = haproxyInput(runtime);
    await this.#endHung(progress);
    const outcome = await this.#balancer.ensure(this.program, input);
    this.#input = input;
    if (outcome !== "unchanged") progress.step("haproxy", outcome === "started" ? "start" : "reload");
  }

  /** Waits for a HAProxy that does not answer, and ends it when it hangs. */
  async #endHung(progress: Progress): Promise<void> {
    const answers = async (): Promise<boolean> => (await this.#balancer.silent()).length === 0;
    if (await answers()) return;
    const waited = waitUntil(answers, { what: "HAProxy to answer", timeout: HUNG_AFTER, interval: 500 });
    if (await waited.catch(() => false)) return;
    const ended = await this.#balancer.endSilent();
    if (ended.length) progress.step("haproxy", `end: it hangs (${named(ended)})`);
  }

  /**
   * As long as one of its processes hangs no replica can leave the pool, so that in read-your-writes all writes wait:
   * `silent` is not only the one that takes new sessions.
   */
  async probe(): Promise<Answer> {
    const silent = await this.#balancer.silent();
    this.waiting = silent.length ? undefined : await this.#balancer.waiting();
    this.#askedAt = monotonic();
    this.#isSilent = silent.length > 0;
    if (this.#isSilent) return "silent";
    await this.#moveOldReads();
    return this.#balancer.isServing() ? "answers" : "absent";
  }

  /**
   * A worker from before a reload makes no health checks: if the agent died, its sessions would stay on a replica
   * however old that got. So they are ended after a while, and come back by the new worker. In read-your-writes no read
   * gets old by that, in eventual any may.
   */
  async #moveOldReads(): Promise<void> {
    const { oldWorkers } = this.#balancer;
    for (const pid of this.#oldSince.keys()) if (!oldWorkers.includes(pid)) this.#oldSince.delete(pid);
    for (const pid of oldWorkers) if (!this.#oldSince.has(pid)) this.#oldSince.set(pid, monotonic());
    if (this.#input?.read.consistency !== "bounded") return;
    const due = oldWorkers.filter((pid) => monotonic() - (this.#oldSince.get(pid) ?? 0) > MOVE_AFTER);
    const ended = due.length ? await this.#balancer.endReadsOf(due) : 0;
    if (ended)
      this.#log("info", `haproxy: ended ${ended} sessions on replicas that were older than its reload`);
  }

  /**
   * Tells HAProxy how many connections users hold past the endpoints, so that its clients wait where there are none for
   * them. Where connections are not scarce it is told nothing; nor where a server cannot tell its sessions from others',
   * as that of another host.
   * @throws OdooPgError timed_out
   */
  async tellOthers(observations: readonly NodeObservation[]): Promise<void> {
    const toldApart = this.#input?.nodes.filter(({ source }) => source !== undefined) ?? [];
    const others = othersToTell(
      observations.filter((seen) => toldApart.some(({ name }) => name === seen.name)),
      this.#others,
    );
    if (others.size === 0 || this.#isTelling || this.#isSilent || !this.#balancer.isServing()) return;
    this.#isTelling = true;
    try {
      await this.#balancer.tellOthers(
        new Map([...others].map(([node, { connections }]) => [node, connections])),
      );
      this.#others = others;
    } finally {
      this.#isTelling = false;
    }
  }

  async find(): Promise<Found> {
    if (this.#balancer.isServing()) return "running";
    return (await this.#balancer.presence()).state === "absent" ? "stopped" : "running";
  }

  async start(): Promise<void> {
    await this.#takeUp();
    // Whatever was routed meanwhile, the new HAProxy routes nowhere yet.
    this.#led = undefined;
  }

  async reload(): Promise<void> {
    await this.#takeUp();
  }

  /** What was last brought up: one that is still being looked at, or was refused, must not be started. */
  async #takeUp(): Promise<void> {
    if (!this.program || !this.#input) throw new Error("HAProxy was not brought up yet");
    await this.#balancer.ensure(this.program, this.#input);
  }

  /**
   * Routes the endpoints. Returns when the sessions of all that left are gone; an HAProxy that is gone has none.
   * Where nothing is to be changed HAProxy is asked only now and then: it changes nothing by itself.
   */
  async route(routing: Routing): Promise<void> {
    const text = JSON.stringify(routing);
    if (this.#led?.routing === text && monotonic() - this.#led.at < LOOK_AGAIN) return;
    this.#led = undefined;
    try {
      await this.#balancer.route({ ...routing });
      this.#led = { routing: text, at: monotonic() };
      rotateOpenLog(this.#balancer.files.log);
    } catch (error) {
      const gone = error instanceof OdooPgError && error.code === "not_running";
      if (!gone || (await this.#balancer.presence()).state !== "absent") throw error;
    }
  }

  /**
   * Has new clients wait instead of being led to a node that is about to be stopped; those who are logging in finish.
   * @param milliseconds for which they wait at most; 0: no longer
   * @returns whether HAProxy was told; where it is gone nobody comes by it
   * @throws OdooPgError timed_out, command_failed
   */
  async holdNew(node: string, milliseconds: number): Promise<boolean> {
    try {
      await this.#balancer.holdNew(node, milliseconds);
      return true;
    } catch (error) {
      if (error instanceof OdooPgError && error.code === "not_running") return false;
      throw error;
    }
  }

  /** Gives clients that are logging in the time to finish. @throws OdooPgError not_running, timed_out */
  async settle(): Promise<void> {
    await this.#balancer.settle(HELD_MS);
  }

  async stop(mode: StopMode): Promise<readonly number[]> {
    if (mode === "immediate") {
      this.#led = undefined;
      return await this.#balancer.endSilent();
    }
    await this.#balancer.stop();
    return [];
  }

  /** Waits until both endpoints take connections, and the read endpoint uses the replicas that are in the pool. */
  async waitUntilAnswering(runtime: Served, members: ReadonlySet<string>): Promise<void> {
    const { listen, endpoints } = runtime.config;
    const host = endpointHost(listen);
    for (const name of ["read", "write"] as const) {
      await waitUntil(async () => await accepts(host, endpoints[name].port, 500), {
        what: `the ${name} endpoint to take connections on ${host}:${endpoints[name].port}`,
        timeout: 10_000,
        next: odooPg("logs", "haproxy"),
      });
    }
    await waitUntil(
      async () => {
        const servers = await this.#balancer.servers();
        const up = servers.filter(
          (server) => server.backend === "read" && server.admin === "ready" && server.up,
        );
        return [...members].every((name) => up.some(({ server }) => server === name));
      },
      {
        what: `the read endpoint to use ${[...members].join(", ")}`,
        timeout: 10_000,
        next: odooPg("logs", "haproxy"),
      },
    );
  }
}
