import { factsOf } from "../../../model/observation.ts";
import { monotonic } from "../../../system/clock.ts";
import {
  isForgotten,
  nobodyWaits,
  waitingFor,
  type NobodyWaits,
  type RestartSeen,
  type Waiting,
} from "../../decisions/settings/waiting.ts";
import { changeDocument } from "../../documents/change.ts";
import { databasesOf } from "../../documents/host-config.ts";
import { configurationMark } from "../../documents/record.ts";
import type { OneHost } from "../host.ts";
import type { OtherHosts } from "../other-hosts.ts";
import type { OwnNode } from "../own-server/own-node.ts";
import type { Servers } from "../servers.ts";
import type { StoreWatch } from "../store-watch.ts";

export interface AskedRestartsParts {
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly others: OtherHosts;
  readonly node: OwnNode;
}

/** Which servers wait for a restart that `up` has asked for. */
export class AskedRestarts {
  readonly #host: OneHost;
  readonly #parts: AskedRestartsParts;
  #quiet: NobodyWaits | undefined;

  constructor(host: OneHost, parts: AskedRestartsParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Settings that wait for a restart of a host's server: as it says itself, and as its Patroni does. */
  of(name: string): Waiting {
    const { store, servers } = this.#parts;
    return waitingFor(
      {
        byServer: factsOf(servers.of(name))?.pending_restart ?? [],
        byPatroni: store.view?.members.get(name)?.pending ?? [],
      },
      store.document.restart,
    );
  }

  /** The hosts whose servers do. */
  get waiting(): string[] {
    return databasesOf(this.#parts.store.document)
      .map(({ name }) => name)
      .filter((name) => this.of(name).asked.length > 0);
  }

  /**
   * What all servers were restarted for is asked for no more, whoever restarted them, and also when one of them was away
   * then. Else it would be restarted for the same setting when nobody has asked. On the primary's host, now and then.
   * @throws EtcdError
   */
  async tick(): Promise<void> {
    const { store } = this.#parts;
    const { restart } = store.document;
    const servers = databasesOf(store.document).map(({ name }) => this.#seen(name));
    this.#quiet = nobodyWaits(this.#quiet, restart, servers, monotonic());
    if (isForgotten(this.#quiet, monotonic())) await this.#forget(restart);
  }

  /** The same at once, where all of them were just seen to wait, and restarted. @throws EtcdError */
  async forgetDone(): Promise<void> {
    const { store } = this.#parts;
    const { restart } = store.document;
    const servers = databasesOf(store.document).map(({ name }) => this.#seen(name));
    if (nobodyWaits(undefined, restart, servers, monotonic())) await this.#forget(restart);
  }

  #seen(name: string): RestartSeen {
    const { store, servers, others, node } = this.#parts;
    const applied =
      name === store.record.name ? node.configuration : others.heard.get(name)?.report.configuration;
    return {
      answers: others.answers(name) && factsOf(servers.of(name)) !== undefined,
      applies: applied === configurationMark(store.document),
      asked: this.of(name).asked,
    };
  }

  async #forget(settings: readonly string[]): Promise<void> {
    const { cluster } = this.#parts.store.document;
    await changeDocument(this.#host.etcd, cluster, (document) => ({
      ...document,
      restart: document.restart.filter((name) => !settings.includes(name)),
    }));
    this.#host.log("info", `no server waits for a restart any more, for ${settings.join(", ")}`);
  }
}
