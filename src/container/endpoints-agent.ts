import path from "node:path";
import * as z from "zod";
import { prepareStateDirectory } from "../store/possession.ts";
import { healthAnswers } from "../agent/server.ts";
import { Endpoints, type Served } from "../services/endpoints.ts";
import { Supervisor } from "../services/supervisor.ts";
import { releaseLock, takeLock } from "../store/lock.ts";
import { RemoteServer } from "../members/remote-server.ts";
import { factsOf } from "../model/observation.ts";
import { decidePool, rememberMark, type PrimaryMark, type Standing } from "../cluster/pool.ts";
import type { Layout } from "../config/layout.ts";
import type { HaproxyProgram } from "../endpoints/haproxy.ts";
import { monotonic, now, pause } from "../system/clock.ts";
import { writeFileIfChanged } from "../system/files/files.ts";
import { serveTexts } from "../system/network/http.ts";
import { readJsonFile } from "../system/files/json-file.ts";
import type { Log } from "../system/log.ts";
import { ownPid } from "../system/process/process.ts";
import { choosePrimary, type Chosen } from "./choose-primary.ts";
import { viewOfEndpoints } from "./endpoints-view.ts";

/** Milliseconds between two looks, as the agent of a cluster. */
const LOOK_EVERY = 500;
/** Looks at the primary older than this say nothing more, unless max_lag_seconds asks for more. */
const MARK_SPAN = 60_000;

const chosenSchema = z.object({ name: z.string(), timeline: z.number(), systemIdentifier: z.string() });

/** Where the agent keeps what it saw last. */
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
 * Both endpoints in front of nodes that other containers run: it looks at them over the network as role collectd, and
 * changes nothing on them. So the endpoints outlive each of the nodes. Reads are `bounded` or `eventual`; only who runs
 * the primary can make commits wait for replicas.
 */
export class EndpointsAgent {
  readonly #options: EndpointsAgentOptions;
  readonly #nodes: readonly RemoteServer[];
  readonly #endpoints: Endpoints;
  readonly #supervisor: Supervisor;
  readonly #members = new Set<string>();
  readonly #complaints = new Map<string, string>();
  #marks: PrimaryMark[] = [];
  #standings: readonly Standing[] = [];
  #primary: Chosen | undefined;
  #ending = false;
  #closeHealth: (() => Promise<void>) | undefined;

  constructor(options: EndpointsAgentOptions) {
    const { layout, served, password } = options;
    this.#options = options;
    this.#nodes = served.config.nodes.map((node) => new RemoteServer(node, password));
    this.#endpoints = new Endpoints(layout, undefined, options.log);
    this.#supervisor = new Supervisor(options.log);
    this.#endpoints.program = options.haproxy;
  }

  /** @throws OdooPgError locked, port_in_use, state_dir_unusable */
  async open(): Promise<void> {
    const { layout, served, log } = this.#options;
    await prepareStateDirectory(layout, undefined);
    await takeLock(layout.lockFile, ownPid);
    this.#primary = await readJsonFile(this.#primaryFile, chosenSchema, {
      code: "state_dir_unusable",
      safe: "No connection was led anywhere.",
      next: "It says which node took the writes last, so that an old primary never takes them again. Where only the present primary runs, remove the file and start again.",
    });
    this.#closeHealth = await serveTexts(
      path.join(layout.runDir, "health.sock"),
      healthAnswers((node) => this.#members.has(node)),
    );
    await this.#endpoints.check(served, undefined);
    await this.#endpoints.ensure(served, { step: () => {}, note: () => {}, bytes: () => {} });
    const names = this.#nodes.map(({ node }) => `${node.host}:${node.port}`).join(", ");
    log(
      "info",
      `endpoints for ${names}: reads ${served.config.endpoints.read.port}, writes ${served.config.endpoints.write.port}`,
    );
  }

  /** Looks and leads until `stop`. */
  async run(): Promise<void> {
    while (!this.#ending) {
      const start = monotonic();
      await this.#look().catch((error: unknown) => this.#complain("look", error));
      await pause(Math.max(50, LOOK_EVERY - (monotonic() - start)));
    }
    await this.#endpoints.stop("fast");
    await this.#closeHealth?.();
    for (const handle of this.#nodes) await handle.disconnect();
    await releaseLock(this.#options.layout.lockFile, ownPid);
  }

  stop(): void {
    this.#ending = true;
  }

  async #look(): Promise<void> {
    const { served, log } = this.#options;
    const observations = await Promise.all(this.#nodes.map(async (handle) => await handle.observe()));
    const chosen = choosePrimary(observations, this.#primary);
    if (chosen !== this.#primary && chosen) {
      log("info", `writes go to ${chosen.name} (timeline ${chosen.timeline})`);
      await writeFileIfChanged(this.#primaryFile, `${JSON.stringify(chosen)}\n`);
    }
    this.#primary = chosen;
    const primary = observations.find(({ name }) => name === chosen?.name);
    const facts = factsOf(primary);
    const { read } = served.config.endpoints;
    if (facts?.current_lsn && primary) {
      const span = Math.max(MARK_SPAN, (read.max_lag_seconds ?? 0) * 2000);
      this.#marks = rememberMark(this.#marks, { at: primary.at, lsn: facts.current_lsn }, span);
    }
    const standings = decidePool({
      consistency: read.consistency,
      maxLag: read.max_lag,
      maxLagSeconds: read.max_lag_seconds,
      maxCommitWait: read.max_commit_wait_seconds * 1000,
      // A primary that came back as another's replica has nothing to say for the others.
      primary: facts?.in_recovery === false ? primary : undefined,
      replicas: observations.filter(({ name }) => name !== chosen?.name),
      members: this.#members,
      marks: this.#marks,
      now: now(),
    });
    this.#tellChanges(standings);
    this.#members.clear();
    for (const { name, eligible } of standings) if (eligible) this.#members.add(name);
    const view = viewOfEndpoints(observations, chosen?.name, standings);
    await writeFileIfChanged(endpointsViewFile(this.#options.layout), `${JSON.stringify(view)}\n`);
    await this.#supervisor.look(this.#endpoints);
    await this.#endpoints.route({ primary: chosen?.name, pool: [...this.#members].sort() });
    this.#complaints.clear();
  }

  #tellChanges(standings: readonly Standing[]): void {
    const before = new Map(this.#standings.map(({ name, eligible }) => [name, eligible]));
    for (const { name, eligible, reason } of standings) {
      if (before.get(name) === eligible) continue;
      if (eligible) this.#options.log("info", `${name} may serve reads`);
      else this.#options.log("warn", `${name} may not serve reads: ${reason ?? ""}`);
    }
    this.#standings = standings;
  }

  get #primaryFile(): string {
    return path.join(this.#options.layout.stateDir, "write-endpoint.json");
  }

  #complain(about: string, error: unknown): void {
    const text = error instanceof Error ? error.message : String(error);
    if (this.#complaints.get(about) === text) return;
    this.#complaints.set(about, text);
    this.#options.log("error", `${about}: ${text}`);
  }
}
