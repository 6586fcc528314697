import { isAnyPooled, isPooled } from "../../../config/pooling.ts";
import type { Config } from "../../../config/schema.ts";
import { findPgbouncer } from "../../../endpoints/pgbouncer/program.ts";
import type { Backend } from "../../../endpoints/servers.ts";
import type { PoolersStatus } from "../../../model/pooler.ts";
import type { Runtime } from "../../../members/runtime.ts";
import { authorityPath } from "../../../config/layout.ts";
import type { Progress } from "../../../progress.ts";
import { Poolers } from "../../../services/poolers.ts";
import type { Supervisor } from "../../../services/supervisor.ts";
import { monotonic, pause, waitUntil } from "../../../system/clock.ts";
import type { ProgramSearch } from "../../../system/install.ts";
import { databasesOf } from "../../documents/host-config.ts";
import type { OneHost } from "../host.ts";
import type { OwnNode } from "../own-server/own-node.ts";
import type { StoreWatch } from "../store-watch.ts";

/** Milliseconds until what failed is tried again, such as the search for a PgBouncer that is missing. */
const AGAIN_AFTER = 10_000;

/** Milliseconds for which clients wait at most, where nobody says that they may go on; and for the endpoint to lead there. */
const HOLD_FOR = 30_000;
const LEAD_TIMEOUT = 5000;

/**
 * PgBouncer on one of several hosts, before the way that HAProxy leads clients to the servers of all. Who may log in is
 * asked of the host's own server: a replica knows it too.
 */
export class HostPoolers {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #node: OwnNode;
  readonly #machine: ProgramSearch;
  readonly #poolers: Poolers;
  /** With what they were last brought up; "" while none is. */
  #served = "";
  #retryAt = -Infinity;
  #ended = false;
  /** Ends what lets clients go on by itself. */
  #holding: AbortController | undefined;

  constructor(host: OneHost, store: StoreWatch, node: OwnNode, machine: ProgramSearch) {
    this.#host = host;
    this.#store = store;
    this.#node = node;
    this.#machine = machine;
    this.#poolers = new Poolers(host, () => ({
      authority: authorityPath(host.layout),
      hosts: databasesOf(store.document).length,
    }));
  }

  /** Whether endpoints of this host are led to PgBouncer: only where one was found. */
  get serves(): boolean {
    return this.#served !== "";
  }

  /** As endpoints of several hosts are: for programs of this host alone. */
  #runtime(): Runtime | undefined {
    const { runtime } = this.#node;
    return runtime && { ...runtime, config: { ...runtime.config, listen: ["127.0.0.1"], networks: [] } };
  }

  /** Brings PgBouncer up where the configuration wants it; HAProxy may lead clients to it afterwards. */
  async ensure(progress: Progress): Promise<void> {
    const runtime = this.#runtime();
    if (!runtime || this.#ended) return;
    if (!isAnyPooled(runtime.config)) {
      this.#served = "";
      return;
    }
    const { endpoints, pgbouncer, cluster } = runtime.config;
    const wanted = JSON.stringify([cluster, endpoints, pgbouncer, databasesOf(this.#store.document).length]);
    if (wanted === this.#served || monotonic() < this.#retryAt) return;
    this.#retryAt = monotonic() + AGAIN_AFTER;
    this.#poolers.program = await findPgbouncer(pgbouncer.program, this.#machine);
    await this.#poolers.ensure(runtime, progress);
    this.#served = wanted;
    this.#retryAt = -Infinity;
  }

  /** Ends those that are wanted no more, once HAProxy leads nobody there. */
  async retire(config: Config, progress: Progress): Promise<void> {
    await this.#poolers.retire(config, progress);
  }

  async supervise(supervisor: Supervisor): Promise<void> {
    if (!this.serves || this.#ended) return;
    for (const pooler of this.#poolers.services) await supervisor.check(pooler);
  }

  async tick(): Promise<void> {
    const runtime = this.#runtime();
    if (runtime && this.serves && !this.#ended) await this.#poolers.tick(runtime);
  }

  status(): PoolersStatus | null {
    const runtime = this.#runtime();
    return runtime && this.serves ? this.#poolers.status(runtime.config) : null;
  }

  /** Ends them with their sessions, for good. */
  async stop(): Promise<void> {
    this.#ended = true;
    await this.#poolers.stop();
  }

  /** Lets transactions of one endpoint come to their end, and has clients wait, until `goOn` or some seconds are over. */
  async hold(endpoint: Backend, progress: Progress): Promise<void> {
    const runtime = this.#runtime();
    if (!runtime || !this.serves || !isPooled(runtime.config, endpoint)) return;
    this.#holding?.abort();
    const holding = new AbortController();
    this.#holding = holding;
    void this.#letGo(holding.signal);
    await this.#poolers.pause(progress, endpoint);
  }

  /** Whoever ordered it may be gone. */
  async #letGo(signal: AbortSignal): Promise<void> {
    try {
      await pause(HOLD_FOR, signal);
    } catch {
      return;
    }
    this.#host.log("warn", "clients have waited for a change of the primary that did not come: they go on");
    await this.#poolers.resume();
  }

  /** Lets clients go on, once the endpoint leads them to the primary. @param leads whether it does */
  async goOn(leads: () => boolean): Promise<void> {
    if (!this.#holding) return;
    this.#holding.abort();
    this.#holding = undefined;
    await waitUntil(leads, { what: "the endpoint to lead there", timeout: LEAD_TIMEOUT, interval: 20 }).catch(
      () => {},
    );
    await this.#poolers.resume();
  }
}
