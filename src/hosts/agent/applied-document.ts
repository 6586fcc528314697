import type { ConsoleServer } from "../../console/console.ts";
import type { Config } from "../../config/schema.ts";
import type { HostArchive } from "../archiving/host-archive.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import type { ServedEndpoints } from "./endpoints/served-endpoints.ts";
import type { FileConfig } from "./file-config.ts";
import type { OwnNode } from "./own-server/own-node.ts";

interface AppliedParts {
  readonly fileConfig: FileConfig;
  readonly archive: HostArchive;
  readonly node: OwnNode;
  readonly patroni: PatroniService | undefined;
  readonly console: ConsoleServer;
  readonly served: ServedEndpoints;
  readonly wake: () => void;
}

/** What the cluster's document and this host's file say: each part takes up what is new to it. */
export class AppliedDocument {
  readonly #parts: AppliedParts;
  /** Of what the console was last set up, and the configuration that said it. */
  #consoleOf = "";
  #consoleConfig: Config | undefined;

  constructor(parts: AppliedParts) {
    this.#parts = parts;
  }

  async apply(): Promise<void> {
    const { fileConfig, archive, node, patroni, served, wake } = this.#parts;
    await fileConfig.read();
    await archive.prepare();
    await node.apply(patroni, wake);
    await this.#applyConsole(node.own.config);
    await served.apply();
  }

  /** Where it listens and what it may show is in this host's own part. */
  async #applyConsole(config: Config): Promise<void> {
    if (config === this.#consoleConfig) return;
    const wanted = JSON.stringify([config.cluster, config.console]);
    if (wanted !== this.#consoleOf) await this.#parts.console.apply(config);
    this.#consoleOf = wanted;
    this.#consoleConfig = config;
  }
}
