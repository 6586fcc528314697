import path from "node:path";
import * as z from "zod";
import { serveHealth } from "../agent/control/health.ts";
import { AgentLife } from "../agent/life.ts";
import type { Part } from "../agent/loop.ts";
import type { Routing } from "../services/read-pool.ts";
import { PoolMembership } from "../services/pool-membership.ts";
import { Endpoints } from "../services/endpoints.ts";
import type { Served } from "../services/haproxy-input.ts";
import { requirePorts } from "../services/ports.ts";
import { Supervisor } from "../services/supervisor.ts";
import { RemoteServer } from "../members/remote-server.ts";
import { isPrimary, type NodeObservation } from "../model/observation.ts";
import type { Layout } from "../config/layout.ts";
import type { HaproxyProgram } from "../endpoints/haproxy.ts";
import { writeFileIfChanged } from "../system/files/files.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import type { Log } from "../system/log.ts";
import { choosePrimary, type Chosen } from "./choose-primary.ts";
import { viewOfEndpoints } from "./endpoints-view.ts";

const chosenSchema = z.object({ name: z.string(), timeline: z.number(), systemIdentifier: z.string() });

/** Where the agent keeps its last observation. */
export function endpointsViewFile(layout: Layout): string {
  return path.join(layout.stateDir, "endpoints.json");
}

export interface EndpointsAgentOptions {
  readonly served: Served;
  readonly layout: Layout;
  readonly haproxy: HaproxyProgram;
  /** Of role collectd on the nodes. */
  readonly password: string;
  readonly log: Log;
}

/**
 * Both endpoints in front of nodes that other containers run: it observes them over the network as role collectd, and
 * changes nothing on them. So the endpoints outlive each of the nodes. Reads are `bounded` or `eventual`; only the host
 * that runs the primary can make commits wait for replicas.
 */
export class EndpointsAgent {
  readonly #options: EndpointsAgentOptions;
  readonly #life: AgentLife;
  readonly #nodes: readonly RemoteServer[];
  readonly #endpoints: Endpoints;
  readonly #supervisor: Supervisor;
  readonly #members = new Set<string>();
  readonly #membership: PoolMembership;
  #observations: readonly NodeObservation[] = [];
  #primary: Chosen | undefined;
  #ending = false;

  constructor(options: EndpointsAgentOptions) {
    const { layout, served, password } = options;
    this.#options = options;
    this.#life = new AgentLife(layout, undefined, options.log, async () => await this.#leave());
    this.#nodes = served.config.nodes.map((node) => new RemoteServer(node, password));
    this.#endpoints = new Endpoints(layout, undefined, options.log);
    this.#supervisor = new Supervisor(options.log);
    this.#membership = new PoolMembership(options.log);
    this.#endpoints.program = options.haproxy;
  }

  /** @throws OdooPgError locked, port_in_use, state_dir_unusable */
  async open(): Promise<void> {
    const { layout, served, log } = this.#options;
    await this.#life.open(async (closed) => {
      this.#primary = await readJsonFile(this.#primaryFile, chosenSchema, {
        code: "state_dir_unusable",
        safe: "No connection was forwarded.",
        next: "It says which node took the writes last, so that an old primary never takes them again. Where only the present primary runs, remove the file and start again.",
      });
      closed(await serveHealth(layout, (node) => this.#members.has(node)));
      await requirePorts(await this.#endpoints.neededPorts(served, undefined));
      await this.#endpoints.ensure(served, { step: () => {}, note: () => {}, bytes: () => {} });
      closed(async () => void (await this.#endpoints.stop("fast")));
    });
    const names = this.#nodes.map(({ node }) => `${node.host}:${node.port}`).join(", ");
    log(
      "info",
      `endpoints for ${names}: reads ${served.config.endpoints.read.port}, writes ${served.config.endpoints.write.port}`,
    );
  }

  /** Observes and routes until `stop`. */
  async run(): Promise<void> {
    await this.#life.run(this.#parts(), () => this.#ending);
  }

  async #leave(): Promise<void> {
    for (const handle of this.#nodes) await handle.disconnect();
  }

  stop(): void {
    this.#ending = true;
  }

  #parts(): Part[] {
    return [
      { name: "look", run: async () => await this.#observeNodes() },
      { name: "read pool", run: () => this.#decide() },
      { name: "status", run: async () => await this.#writeView() },
      { name: "haproxy", run: async () => await this.#supervisor.check(this.#endpoints) },
      { name: "endpoints", run: async () => await this.#endpoints.route(this.#routing) },
    ];
  }

  async #observeNodes(): Promise<void> {
    this.#observations = await Promise.all(this.#nodes.map(async (node) => await node.observe()));
    const chosen = choosePrimary(this.#observations, this.#primary);
    // Recorded before anything is routed there: an old primary never receives writes again.
    if (chosen !== this.#primary && chosen) {
      this.#options.log("info", `writes go to ${chosen.name} (timeline ${chosen.timeline})`);
      await writeFileIfChanged(this.#primaryFile, `${JSON.stringify(chosen)}\n`);
    }
    this.#primary = chosen;
  }

  #decide(): void {
    const name = this.#primary?.name;
    const primary = this.#observations.find((observation) => observation.name === name);
    const eligibilities = this.#membership.decide(this.#options.served.config.endpoints.read, {
      // A primary that came back as a replica of another node says nothing about the others.
      primary: isPrimary(primary) ? primary : undefined,
      replicas: this.#observations.filter((observation) => observation.name !== name),
      members: this.#members,
    });
    this.#members.clear();
    for (const eligibility of eligibilities) if (eligibility.eligible) this.#members.add(eligibility.name);
  }

  async #writeView(): Promise<void> {
    const view = viewOfEndpoints(this.#observations, this.#primary?.name, this.#membership.now);
    await writeFileIfChanged(endpointsViewFile(this.#options.layout), `${JSON.stringify(view)}\n`);
  }

  get #routing(): Routing {
    return { primary: this.#primary?.name, pool: [...this.#members].sort() };
  }

  get #primaryFile(): string {
    return path.join(this.#options.layout.stateDir, "write-endpoint.json");
  }
}
