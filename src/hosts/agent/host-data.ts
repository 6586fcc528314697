import path from "node:path";
import { slotName } from "../../config/layout.ts";
import { factsOf } from "../../model/observation.ts";
import { stamp } from "../../model/time-stamp.ts";
import { inspectDataDirectory, type DataDirectory } from "../../postgres/data-directory.ts";
import { seedDataDirectory } from "../../postgres/seed.ts";
import { findPostmaster, stopServer } from "../../postgres/server.ts";
import { now, waitUntil } from "../../system/clock.ts";
import { inFolder, renameIn } from "../../system/files/folder.ts";
import { isPrimarys, mayGoAside } from "../decisions/aside.ts";
import type { Host } from "../documents/record.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import { ownConfig } from "../render/own-files.ts";
import { databasesOf } from "../documents/host-config.ts";
import { isKept, rewoundFolder, WAITS } from "../render/rewind.ts";
import { copySource } from "../render/server.ts";
import { notReady, type OneHost, type Outcome } from "./host.ts";
import type { OwnNode } from "./own-node.ts";
import { proveCopy } from "./prove-copy.ts";
import type { Servers } from "./servers.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds for a host to follow. */
const FOLLOW_TIMEOUT = 120_000;

/** This host's data directory: a copy of the primary's, made beside what is there and tried before it counts. */
export class HostData {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #servers: Servers;
  readonly #node: OwnNode;
  #working: string | undefined;

  constructor(host: OneHost, store: StoreWatch, servers: Servers, node: OwnNode) {
    this.#host = host;
    this.#store = store;
    this.#servers = servers;
    this.#node = node;
  }

  /** What it is at, such as a copy; undefined where nothing. */
  get working(): string | undefined {
    return this.#working;
  }

  /** Folders with what its data was before a copy took its place, or before it was rewound. */
  async keptAside(): Promise<string[]> {
    if (!this.#host.installation) return [];
    const { dataDir } = this.#node.files;
    const rewound = rewoundFolder(dataDir);
    const below = async (folder: string, counts: (name: string) => boolean): Promise<string[]> =>
      ((await inFolder(folder, (held) => held.names())) ?? [])
        .filter(counts)
        .map((name) => path.join(folder, name));
    const aside = `${path.basename(dataDir)}.aside-`;
    const replaced = await below(path.dirname(dataDir), (name) => name.startsWith(aside));
    return [...replaced.filter((place) => place !== rewound), ...(await below(rewound, isKept))];
  }

  /** Whether its server is down because there is no room to keep what a rewind takes back. */
  async waitsForRoom(): Promise<boolean> {
    if (!this.#host.installation || factsOf(this.#servers.of(this.#store.record.name))) return false;
    const rewound = rewoundFolder(this.#node.files.dataDir);
    return (await inFolder(rewound, (held) => held.names().includes(WAITS))) === true;
  }

  /** Copies the primary where this host has no data yet. */
  async ensure(): Promise<void> {
    const { name } = this.#store.record;
    const runs = factsOf(this.#servers.of(name)) !== undefined;
    if (runs || !this.#store.isListed || this.#working !== undefined) return;
    if (!(await this.#node.lacksData())) return;
    // From when its slot is there the primary keeps what the copy will need.
    if (!this.#source?.hasSlot) return;
    await renameIn(await this.#copyPrimary(), this.#node.files.dataDir);
  }

  /** Another copy of the primary takes the place of this host's data, which is kept. @throws OdooPgError refused */
  async reseed(patroni: PatroniService | undefined): Promise<Outcome> {
    const { name } = this.#store.record;
    if (!patroni) throw notReady(`${name} has no database.`);
    if (this.#working !== undefined) throw notReady(`${name} ${this.#working}.`);
    this.refusePrimary();
    const { dataDir } = this.#node.files;
    const aside = `${dataDir}.aside-${stamp(now())}`;
    await patroni.hold.take("reseed");
    try {
      const copy = await this.#copyPrimary();
      // A copy takes hours: the primary may be another one by now, or lost, and this host next.
      await this.#store.read().catch(() => {
        throw notReady("The store has no majority.");
      });
      if (!this.#source) throw notReady("The primary of another host does not answer.");
      const { kind } = await this.stopReplica(patroni);
      if (kind !== "absent") await renameIn(dataDir, aside);
      await renameIn(copy, dataDir);
    } finally {
      patroni.hold.release();
    }
    await waitUntil(() => this.#store.view?.synchronous.includes(name) === true, {
      what: `${name} to follow the primary`,
      timeout: FOLLOW_TIMEOUT,
      interval: 200,
    });
    return {
      done: `${name} follows again. Its old data is kept in ${aside}: remove it when you are sure.`,
      changed: true,
    };
  }

  /**
   * Stops this host's server, whose data is to go aside. Who holds Patroni has it run again where this is refused.
   * @throws OdooPgError refused where it is the primary, or became it until the stop
   */
  async stopReplica(patroni: PatroniService | undefined): Promise<DataDirectory> {
    const { name } = this.#store.record;
    const { dataDir } = this.#node.files;
    this.refusePrimary();
    const before = { runs: (await findPostmaster(dataDir)) !== undefined, data: await this.#look(dataDir) };
    await patroni?.stop("fast");
    await stopServer(dataDir, name, "fast");
    const after = await this.#look(dataDir);
    if (!mayGoAside(before, after))
      throw notReady(
        `${name} has been the primary meanwhile: its data stays where it is, and its server is started again.`,
      );
    return after;
  }

  /** @throws OdooPgError refused where this host is the primary, as far as is known */
  refusePrimary(): void {
    const { name } = this.#store.record;
    if (isPrimarys(name, this.#store.view?.leader, this.#servers.of(name)))
      throw notReady(`${name} is the primary: make another host the primary first (odoo-pg switchover).`);
  }

  async #look(dataDir: string): Promise<DataDirectory> {
    const { installation, owner } = this.#host;
    if (!installation) return { kind: "absent" };
    return await inspectDataDirectory(dataDir, installation, owner);
  }

  /** The host that a copy is made of: the primary's, where it is another one and answers. */
  get #source(): { readonly host: Host; readonly hasSlot: boolean } | undefined {
    const { name } = this.#store.record;
    const primary = this.#servers.of(this.#store.view?.leader);
    const host = databasesOf(this.#store.document).find((candidate) => candidate.name === primary?.name);
    const slots = factsOf(primary)?.slots;
    if (!host || !slots || host.name === name) return undefined;
    const hasSlot = slots.some((slot) => slot.slot_name === slotName(name) && slot.restart_lsn !== null);
    return { host, hasSlot };
  }

  /** Copies the primary beside this host's data directory, and tries the copy. @returns the directory of the copy */
  async #copyPrimary(): Promise<string> {
    const { layout, owner, log, installation } = this.#host;
    const source = this.#source?.host;
    if (!installation || !source) throw notReady("The primary of another host does not answer.");
    const { config, node, files } = ownConfig(this.#node.input());
    const { port, shared } = this.#store.document;
    const { name } = this.#store.record;
    log("info", `copying ${source.name}`);
    this.#working = `copies ${source.name}`;
    try {
      const copy = await seedDataDirectory({
        config,
        layout,
        node,
        files,
        installation,
        owner,
        upstream: { host: source.address, port },
        source: copySource(layout, name, { address: source.address, port }),
        slot: undefined,
        onProgress: (done, total) => {
          const share = total > 0 ? Math.min(100, Math.floor((done / total) * 100)) : 0;
          this.#working = `copies ${source.name}: ${share} %`;
        },
      });
      this.#working = `tries the copy of ${source.name}`;
      await proveCopy(copy, files, name, shared, installation, owner);
      log("info", `${source.name} is copied`);
      return copy;
    } finally {
      this.#working = undefined;
    }
  }
}
