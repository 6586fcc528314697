import path from "node:path";
import { archivePlaceOf } from "../../../archive/place.ts";
import { ASIDE } from "../../../archive/repository-mark.ts";
import { slotName } from "../../../config/layout.ts";
import { requireRoom } from "../../../failover/room.ts";
import { isFilling } from "../../../cluster/view.ts";
import { factsOf } from "../../../model/observation.ts";
import { stamp } from "../../../model/time-stamp.ts";
import { diskUseOf } from "../../../observe/disk-use.ts";
import { inspectDataDirectory, type DataDirectory } from "../../../postgres/data-directory.ts";
import { seedDataDirectory } from "../../../postgres/seed.ts";
import { findPostmaster, stopServer } from "../../../postgres/server.ts";
import { monotonic, now } from "../../../system/clock.ts";
import { diskAnswers } from "../../../system/files/answering.ts";
import { kindOf, writeFileAtomic } from "../../../system/files/files.ts";
import { removeIn, renameIn } from "../../../system/files/held/by-path.ts";
import { inFolder } from "../../../system/files/held/folder.ts";
import { isPrimarys, mayGoAside } from "../../decisions/primary/aside.ts";
import type { Host } from "../../documents/record.ts";
import type { HostReport } from "../../documents/report.ts";
import type { PatroniService } from "../../programs/patroni-service.ts";
import { ownConfig } from "../../render/own-files.ts";
import { databasesOf } from "../../documents/host-config.ts";
import type { ReplicaData } from "../../failover/parts.ts";
import { isKept, rewoundFolder, WAITS } from "../../render/rewind.ts";
import { copySource } from "../../render/server.ts";
import { notReady, type OneHost } from "../host.ts";
import type { OwnNode } from "./own-node.ts";
import { proveCopy } from "./prove-copy.ts";
import type { Servers } from "../servers.ts";
import type { StoreWatch } from "../store-watch.ts";

/** Milliseconds between two attempts to copy the primary: each reads all of it. */
const BETWEEN_TRIES = 30_000;

/** Milliseconds for the disk of the repository of any second: one that hangs must not have this host seem silent. */
const REPOSITORY_TIMEOUT = 100;

/** Milliseconds between two looks at the disks. */
const DISKS_EVERY = 3000;

/** This host's data directory: a copy of the primary's, made beside what is there and tried before it counts. */
export class HostData {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #servers: Servers;
  readonly #node: OwnNode;
  #working: string | undefined;
  #keptAside: readonly string[] = [];
  /** When that was last looked at (monotonic clock). */
  #keptAsideAt = -Infinity;
  /** Whether there is no data where there was some. */
  #missing = false;
  /** When the next attempt is made after a failed one (monotonic clock). */
  #tryAgainAt = -Infinity;
  #fillingDisks: HostReport["filling_disks"] = [];
  /** When disks were last looked at (monotonic clock). */
  #disksAt = -Infinity;

  constructor(host: OneHost, store: StoreWatch, servers: Servers, node: OwnNode) {
    this.#host = host;
    this.#store = store;
    this.#servers = servers;
    this.#node = node;
  }

  /** What it is doing, such as a copy; undefined where nothing. */
  get working(): string | undefined {
    return this.#working;
  }

  /**
   * Folders with what its data was before a copy took its place, or before it was rewound, and with what its repository had
   * of other branches; looked at every few seconds.
   */
  async keptAside(): Promise<readonly string[]> {
    if (monotonic() - this.#keptAsideAt < DISKS_EVERY) return this.#keptAside;
    this.#keptAsideAt = monotonic();
    this.#keptAside = await this.#lookAside();
    return this.#keptAside;
  }

  async #lookAside(): Promise<string[]> {
    if (!this.#host.installation) return [];
    const { dataDir } = this.#node.files;
    const rewound = rewoundFolder(dataDir);
    const below = async (folder: string, counts: (name: string) => boolean): Promise<string[]> =>
      ((await inFolder(folder, (held) => held.names())) ?? [])
        .filter(counts)
        .map((name) => path.join(folder, name));
    const aside = `${path.basename(dataDir)}.aside-`;
    const replaced = await below(path.dirname(dataDir), (name) => name.startsWith(aside));
    const { repository } = archivePlaceOf(this.#node.own.config, this.#host.layout);
    const lost = (await diskAnswers(repository, "read", REPOSITORY_TIMEOUT))
      ? await below(repository, (name) => name.startsWith(ASIDE))
      : [];
    return [...replaced.filter((place) => place !== rewound), ...(await below(rewound, isKept)), ...lost];
  }

  /** Disks of its data, its WAL and its tablespaces that fill up; looked at every few seconds. */
  async fillingDisks(): Promise<HostReport["filling_disks"]> {
    if (!this.#host.installation) return [];
    if (monotonic() - this.#disksAt < DISKS_EVERY) return this.#fillingDisks;
    this.#disksAt = monotonic();
    const { dataDir } = this.#node.files;
    const { others = [], ...own } = await diskUseOf(this.#host.layout, this.#node.own.node, 1);
    this.#fillingDisks = [{ path: dataDir, ...own }, ...others]
      .filter(isFilling)
      .map(({ path: place, totalBytes, freeBytes }) => ({
        path: place,
        total_bytes: totalBytes,
        free_bytes: freeBytes,
      }));
    return this.#fillingDisks;
  }

  /** Whether its server is down because there is no room to keep what a rewind takes back. */
  async #waitsForRoom(): Promise<boolean> {
    if (!this.#host.installation || factsOf(this.#servers.of(this.#store.record.name))) return false;
    const rewound = rewoundFolder(this.#node.files.dataDir);
    return (await inFolder(rewound, (held) => held.names().includes(WAITS))) === true;
  }

  /** Why this host has no server although nothing is done about it; undefined where there is no such reason. */
  async waitsFor(): Promise<string | undefined> {
    if (this.#missing)
      return `has no data in ${this.#node.files.dataDir}, where it had some: mount its disk, or have it copied (odoo-pg reseed)`;
    return (await this.#waitsForRoom())
      ? "waits for room on its disk: its old data is kept before a rewind"
      : undefined;
  }

  /** Copies the primary where this host never had data. What is gone may be on a disk that is not mounted. */
  async ensure(): Promise<void> {
    const { name } = this.#store.record;
    if (!this.#host.installation || this.#working !== undefined) return;
    const { hadData } = this.#host.files;
    const runs = factsOf(this.#servers.of(name)) !== undefined;
    const lacks = !runs && this.#store.isListed && (await this.#node.lacksData());
    const had = (await kindOf(hadData)) !== undefined;
    this.#missing = lacks && had;
    if (!lacks) {
      if (!had && runs) await writeFileAtomic(hadData, "");
      return;
    }
    // From when its slot is there the primary keeps what the copy will need.
    if (had || !this.#source?.hasSlot || monotonic() < this.#tryAgainAt) return;
    this.#tryAgainAt = monotonic() + BETWEEN_TRIES;
    const { dataDir } = this.#node.files;
    await this.#requireRoom();
    await renameIn(await this.#copyPrimary(), dataDir);
    await writeFileAtomic(hadData, "");
  }

  /** @throws OdooPgError refused, disk_full */
  async #requireRoom(): Promise<void> {
    const { leader } = this.#store.view ?? {};
    if (leader === undefined) throw notReady("There is no primary to copy.");
    await requireRoom(await this.#servers.databaseBytes(leader), this.#node.files.dataDir);
  }

  /** Step by step, as in a change of the primary's followers. */
  replica(patroni: PatroniService | undefined): ReplicaData {
    const { dataDir } = this.#node.files;
    return {
      hold: async () => await patroni?.hold.take("reseed"),
      release: () => patroni?.hold.release(),
      requireRoom: async () => await this.#requireRoom(),
      copyPrimary: async () => await this.#copyPrimary(),
      requireReplica: async () => {
        await this.#store.read().catch(() => {
          throw notReady("The store has no majority.");
        });
        if (!this.#source) throw notReady("The primary of another host does not answer.");
      },
      stop: async () => void (await this.stopReplica(patroni)),
      keepAside: async () => {
        if ((await kindOf(dataDir)) === undefined) return undefined;
        const aside = `${dataDir}.aside-${stamp(now())}`;
        await renameIn(dataDir, aside);
        this.#keptAsideAt = -Infinity;
        return aside;
      },
      putInPlace: async (copy) => await renameIn(copy, dataDir),
      drop: async (copy) => await removeIn(copy),
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
      await proveCopy(copy, files, name, shared, installation, owner).catch(async (error: unknown) => {
        await removeIn(copy);
        throw error;
      });
      log("info", `${source.name} is copied`);
      return copy;
    } finally {
      this.#working = undefined;
    }
  }
}
