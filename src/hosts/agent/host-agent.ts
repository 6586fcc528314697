import { serveHealth } from "../../agent/control/health.ts";
import { AgentLife } from "../../agent/life.ts";
import type { AgentReport } from "../../cluster/documents/agent-report.ts";
import { serveOnSocket } from "../../system/network/http.ts";
import { ownPid } from "../../system/process/process.ts";
import { isMachineStopping } from "../../system/process/service-manager.ts";
import { findHere, type Found, type HostAgentOptions } from "./found-here.ts";
import { hostParts, type HostParts } from "./host-parts.ts";
import { hostControl } from "./orders/control.ts";
import { hostTurns } from "./turns.ts";

/**
 * The agent of a cluster of several hosts: one on each. Who is primary is for Patroni and the store to say; the agent
 * keeps both running, leads its host's endpoints to where they say, copies a data directory where none is, and does on
 * the primary's host what is to be done once for the cluster. It never starts or stops PostgreSQL.
 */
export class HostAgent {
  readonly #options: HostAgentOptions;
  readonly #life: AgentLife;
  readonly #parts: HostParts;
  #ending = false;

  private constructor(options: HostAgentOptions, found: Found) {
    const { layout, owner, log } = options;
    this.#options = options;
    this.#life = new AgentLife(layout, owner, log, async () => await this.#leave());
    this.#parts = hostParts(options, found, {
      wake: () => this.#life.wake(),
      stop: () => this.stop(),
      report: () => this.#report(),
    });
  }

  /** @throws OdooPgError state_dir_unusable, program_missing, haproxy_missing, postgres_missing */
  static async load(options: HostAgentOptions): Promise<HostAgent> {
    return new HostAgent(options, await findHere(options));
  }

  /** Takes the lock, opens its listeners; the endpoints go nowhere yet. @throws OdooPgError locked, port_in_use */
  async open(): Promise<void> {
    const { layout, log, version } = this.#options;
    const { store, routing, join, orders, console, door, endpoints, hostPool, revocations, applied, status } =
      this.#parts;
    const { record, document } = store;
    await this.#life.open(async (closed) => {
      closed(await serveHealth(layout, (node) => routing.mayBeRead(node)));
      closed(
        await serveOnSocket(
          layout.agentSocket,
          hostControl({
            report: () => this.#report(),
            status,
            invite: async (endpointsOnly) => await join.invite(endpointsOnly),
            order: async (order) => await orders.carryOut(order),
            consoleLink: () => console.newLink(),
            stop: () => this.stop(),
          }),
        ),
      );
      closed(await door.open());
      // Where there are no clients, nothing is read.
      if (endpoints) closed(hostPool.start());
      closed(async () => await console.close());
      await routing.recall();
      // Before etcd and Patroni start: they let nobody in without it. It is tried again each second.
      await revocations.write().catch((error: unknown) => log("warn", String(error)));
      await applied.apply();
    });
    log("info", `agent ${version} (process ${ownPid}): host ${record.name} of ${document.cluster}`);
  }

  /** Observes and acts until `stop`. Everything else then goes on. */
  async run(): Promise<void> {
    const turns = hostTurns(this.#parts, () => this.#life.wake());
    await this.#life.run(turns, () => this.#ending);
  }

  /**
   * Ends the agent. Where the machine goes down with it, this host's part is stopped first, as by `odoo-pg down`: else
   * another host would take over only when the key of this one has ended, and the server would be killed.
   */
  async end(): Promise<void> {
    const { log } = this.#options;
    if (await isMachineStopping()) {
      log("info", "the machine is going down: this host's part is stopped first");
      await this.#parts.orders
        .carryOut({ order: "down" })
        .catch((error: unknown) => log("warn", `this host's part is not stopped whole: ${String(error)}`));
    }
    this.stop();
  }

  stop(): void {
    this.#ending = true;
    this.#life.wake();
  }

  async #leave(): Promise<void> {
    const { alarms, attachments, ownership, servers, node } = this.#parts;
    for (const part of [alarms, attachments, ownership, servers, node]) await part.close();
  }

  /** As of an agent of one host. */
  #report(): AgentReport {
    const { data, routing, poolers, alarms, attachments, ownership, console } = this.#parts;
    return {
      pid: ownPid,
      version: this.#options.version,
      build: this.#options.build,
      keeping: true,
      ending: this.#ending,
      operation: data.working ?? null,
      primary: routing.writes ?? null,
      haproxy: true,
      pool: routing.reads,
      waiting_clients: null,
      poolers: poolers?.status() ?? null,
      overrides: [],
      failing_channels: alarms.failing,
      attachments: attachments.kept,
      rights: { problem: ownership.problem, by_password: ownership.byPassword },
      console: console.account,
      nodes: [],
    };
  }
}
