import { endpointHost } from "../config/addresses.ts";
import { Balancer } from "../endpoints/balancer.ts";
import type { HaproxyProgram } from "../endpoints/haproxy.ts";
import type { HaproxyInput } from "../endpoints/render.ts";
import { OdooPgError } from "../errors.ts";
import type { Layout } from "../cluster/layout.ts";
import { DEFAULT_MAX_CONNECTIONS } from "../postgres/render.ts";
import { monotonic, waitUntil, within } from "../system/clock.ts";
import type { Owner } from "../system/files.ts";
import { rotateOpenLog, type Log } from "../system/log.ts";
import { accepts } from "../system/network.ts";
import { requirePort } from "./bring-up.ts";
import type { Progress } from "./events.ts";
import type { Routing } from "./pool-keeper.ts";
import type { Runtime } from "./runtime.ts";

/** Milliseconds after which HAProxy is asked again although nothing is to be changed. */
const LOOK_AGAIN = 5000;

/** The endpoints of this host: one HAProxy, kept running and led to where the pool keeper says. */
export class Endpoints {
  /** Found anew at each `up`. */
  program: HaproxyProgram | undefined;
  readonly #balancer: Balancer;
  readonly #log: Log;
  /** What was last brought up: a configuration that is still being looked at, or was refused, must not be started. */
  #input: HaproxyInput | undefined;

  constructor(layout: Layout, owner: Owner | undefined, log: Log) {
    this.#balancer = new Balancer(layout, owner);
    this.#log = log;
  }

  async isRunning(): Promise<boolean> {
    return (await this.#balancer.presence()).state === "running";
  }

  /** Whether HAProxy answers within `limit` milliseconds. */
  async answer(limit: number): Promise<boolean> {
    return await within(limit, "haproxy", this.#balancer.answers()).catch(() => false);
  }

  /** @throws OdooPgError port_in_use when a port is taken by somebody else; looked at before anything is changed. */
  async check(runtime: Runtime, before: Runtime["config"] | undefined): Promise<void> {
    const running = await this.isRunning();
    for (const name of ["read", "write"] as const) {
      const { port } = runtime.config.endpoints[name];
      const own = running && [before?.endpoints.read.port, before?.endpoints.write.port].includes(port);
      if (!own) await requirePort(port, `the ${name} endpoint`, `endpoints.${name}.port`);
    }
  }

  /** Starts HAProxy, adopts it, or has it take up a changed configuration without cutting sessions. */
  async ensure(runtime: Runtime, progress: Progress): Promise<void> {
    if (!this.program) throw new Error("HAProxy was not looked for");
    this.#led = undefined;
    const input = haproxyInput(runtime);
    const outcome = await this.#balancer.ensure(this.program, input);
    this.#input = input;
    if (outcome !== "unchanged") progress.step("haproxy", outcome === "started" ? "start" : "reload");
  }

  /** Starts HAProxy again when it is gone. */
  async keepRunning(runtime: Runtime): Promise<void> {
    if (!this.program || this.#balancer.isServing()) return;
    if ((await this.#balancer.presence()).state !== "absent") return;
    this.#log("warn", "haproxy is not running: starting it again");
    await this.#balancer.ensure(this.program, this.#input ?? haproxyInput(runtime));
    // Whatever was led meanwhile, the new HAProxy leads nowhere yet.
    this.#led = undefined;
  }

  /** What HAProxy was last led to, and when. */
  #led: { routing: string; at: number } | undefined;

  /**
   * Leads the endpoints. Returns when the sessions of all that left are gone; a HAProxy that is gone has none.
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

  async stop(): Promise<void> {
    await this.#balancer.stop();
  }

  /** Waits until both endpoints take connections, and the read endpoint uses the replicas that are in the pool. */
  async waitUntilAnswering(runtime: Runtime, members: ReadonlySet<string>): Promise<void> {
    const { listen, endpoints } = runtime.config;
    const host = endpointHost(listen);
    for (const name of ["read", "write"] as const) {
      await waitUntil(async () => await accepts(host, endpoints[name].port, 500), {
        what: `the ${name} endpoint to take connections on ${host}:${endpoints[name].port}`,
        limit: 10_000,
        next: "odoo-pg logs haproxy",
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
        limit: 10_000,
        next: "odoo-pg logs haproxy",
      },
    );
  }
}

function haproxyInput(runtime: Runtime): HaproxyInput {
  const { config, machine } = runtime;
  const each = Number(config.postgres.parameters["max_connections"] ?? DEFAULT_MAX_CONNECTIONS);
  return {
    nodes: [...config.nodes, ...(runtime.upstream ? [runtime.upstream.node] : [])].map(
      ({ name, host, port }) => ({
        name,
        host,
        port,
      }),
    ),
    read: { port: config.endpoints.read.port, consistency: config.endpoints.read.consistency },
    write: { port: config.endpoints.write.port },
    listen: config.listen,
    networks: config.networks,
    hasIpv6: machine.hasIpv6,
    // Above what the servers take: their own refusal ("too many clients") says more than a full balancer.
    maxSessions: config.nodes.length * each + 200,
  };
}
