import { followsUpstream } from "../../store/state.ts";
import type { NodeConfig } from "../../config/layout.ts";
import { syncHandles, type Runtime } from "../../members/runtime.ts";
import type { KeptCluster } from "../kept-cluster.ts";
import { endBegunNodes } from "./removed-nodes.ts";

/** What ruled a cluster before an `up`, which changes it before it knows whether it will be accepted. */
export class BeforeUp {
  readonly #cluster: KeptCluster;
  readonly #kept: Pick<Runtime, "config" | "configFile" | "installation" | "passwords" | "kept" | "upstream">;
  readonly #programs: readonly [KeptCluster["endpoints"]["program"], KeptCluster["poolers"]["program"]];

  constructor(cluster: KeptCluster) {
    const { config, configFile, installation, passwords, kept, upstream } = cluster.runtime;
    this.#cluster = cluster;
    this.#kept = { config, configFile, installation, passwords, kept, upstream };
    this.#programs = [cluster.endpoints.program, cluster.poolers.program];
  }

  /** Has it rule again. @param begun nodes that are stopped; their data stays for the next `up` that has them */
  async restore(begun: readonly NodeConfig[]): Promise<void> {
    const { runtime, endpoints, poolers } = this.#cluster;
    const { upstream, ...kept } = this.#kept;
    Object.assign(runtime, kept);
    [endpoints.program, poolers.program] = this.#programs;
    // Unless a promotion by then has made a primary of its own.
    if (followsUpstream(runtime.state)) runtime.upstream = upstream;
    await syncHandles(runtime);
    await endBegunNodes(runtime, begun);
  }
}
