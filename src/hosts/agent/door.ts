import { now } from "../../system/clock.ts";
import { readTextIfAny } from "../../system/files/files.ts";
import {
  serveTls,
  type TlsQuestion,
  type TlsServer,
  type TlsService,
} from "../../system/network/mutual-tls.ts";
import type { HostArchive } from "../archiving/host-archive.ts";
import { ANY_SECOND } from "../archiving/other-repositories.ts";
import { askerOf } from "../decisions/certificates/asker.ts";
import { databasesOf } from "../documents/host-config.ts";
import { AGENT_PORT } from "../documents/places.ts";
import type { JoinServer } from "../joining/join-server.ts";
import type { HostPool } from "./endpoints/host-pool.ts";
import type { OneHost } from "./host.ts";
import type { StoreWatch } from "./store-watch.ts";

interface DoorParts {
  readonly store: StoreWatch;
  readonly hostPool: HostPool;
  readonly archive: HostArchive;
  readonly join: JoinServer;
}

/** Where other machines ask this host's agent: it tells who asks, and which part answers. */
export class Door {
  readonly #host: OneHost;
  readonly #parts: DoorParts;
  #server: TlsServer | undefined;

  constructor(host: OneHost, parts: DoorParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** @returns what closes it @throws OdooPgError port_in_use */
  async open(): Promise<() => Promise<void>> {
    const guests = await readTextIfAny(this.#host.files.endpointsAuthority);
    this.#server = await serveTls({
      host: this.#parts.store.record.address,
      port: AGENT_PORT,
      identity: this.#host.identity,
      ...(guests === undefined ? {} : { guests }),
      answer: async (question) => await this.#answer(question),
    });
    return this.#server.close;
  }

  /** From now on it shows the certificate that this host has now. */
  renew(): void {
    this.#server?.renew();
  }

  async #answer(question: TlsQuestion): ReturnType<TlsService["answer"]> {
    const { store, hostPool, archive, join } = this.#parts;
    const { path, body, sent } = question;
    const { peer, guest } = askerOf(store.document, question, now());
    const asker = peer ?? guest;
    if (asker !== undefined) store.see(asker, question.certificate);
    if (path === "/pool" && asker !== undefined) return hostPool.answer(asker, body);
    if (path.startsWith(ANY_SECOND) && peer !== undefined && this.#hasDatabase(peer))
      return await archive.answer(path, body, { from: peer, sent });
    return await join.answer({ ...question, peer, guest });
  }

  #hasDatabase(peer: string): boolean {
    return databasesOf(this.#parts.store.document).some(({ name }) => name === peer);
  }
}
