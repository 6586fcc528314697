import type { Endpoints } from "../../../services/endpoints.ts";
import type { Machine } from "../../../system/machine.ts";
import { servedConfig } from "../../documents/host-config.ts";
import type { ClusterDocument } from "../../documents/record.ts";
import { SILENT } from "../host.ts";
import type { HostPoolers } from "./host-poolers.ts";
import type { Servers } from "../servers.ts";
import type { StoreWatch } from "../store-watch.ts";

interface ServedParts {
  readonly machine: Machine;
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly endpoints: Endpoints | undefined;
  readonly poolers: HostPoolers | undefined;
}

/** The endpoints of this host, and which servers are looked at for them, by what the cluster's document says. */
export class ServedEndpoints {
  readonly #parts: ServedParts;
  /** Of what they were last set up, and where that was last read. */
  #text = "";
  #of: { readonly document: ClusterDocument; readonly pools: boolean } | undefined;

  constructor(parts: ServedParts) {
    this.#parts = parts;
  }

  /** Sets them up where the document says something else than before. */
  async apply(): Promise<void> {
    const { machine, store, servers, endpoints, poolers } = this.#parts;
    const { document } = store;
    // Where PgBouncer is missing clients go to the servers by HAProxy alone.
    let missing: unknown;
    await poolers?.ensure(SILENT).catch((error: unknown) => (missing = error));
    const pools = poolers?.serves === true;
    const isSame = this.#of?.document === document && this.#of.pools === pools;
    const text = isSame ? this.#text : JSON.stringify([document, pools]);
    if (text === this.#text) {
      this.#of = { document, pools };
      if (missing !== undefined) throw missing;
      return;
    }
    this.#of = undefined;
    const config = servedConfig(document, pools);
    await servers.lead(config.nodes);
    if (config.nodes.length)
      await endpoints?.ensure(
        {
          config,
          machine,
          upstream: undefined,
          kept: document.settings,
          elsewhere: true,
        },
        SILENT,
      );
    await poolers?.retire(config, SILENT);
    this.#text = text;
    if (missing !== undefined) throw missing;
  }
}
