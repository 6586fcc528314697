import { factsOf } from "../../model/observation.ts";
import { endSessionsFrom } from "../../postgres/sql/operations.ts";
import { now } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { askTls } from "../../system/network/mutual-tls.ts";
import * as z from "zod";
import { formerAddresses, revokedNow } from "../decisions/revocation.ts";
import { isTurnOf } from "../decisions/store-turn.ts";
import { AGENT_PORT } from "../documents/places.ts";
import { writeRevocations } from "../joining/authority.ts";
import type { EtcdService } from "../programs/etcd-service.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import type { OneHost } from "./host.ts";
import type { OwnNode } from "./own-node.ts";
import type { Servers } from "./servers.ts";
import type { StoreWatch } from "./store-watch.ts";

const listedSchema = z.object({ listed: z.boolean(), sure: z.boolean() });

/** Milliseconds for another host to say whether this one is of the cluster still. */
const LISTED_TIMEOUT = 1500;

/** Times in a row, a second apart, that it is none: one that has just joined is not known everywhere at once. */
const TIMES = 10;

export interface RevocationParts {
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly node: OwnNode;
  readonly etcd: EtcdService | undefined;
  readonly patroni: PatroniService | undefined;
}

/** Keeps hosts that were removed out of what runs on this one, and sees whether it was removed itself. */
export class Revocations {
  readonly #host: OneHost;
  readonly #parts: RevocationParts;
  #notListed = 0;

  constructor(host: OneHost, parts: RevocationParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Writes the list of revoked certificates. Those who read it at their start alone are started again. */
  async write(): Promise<void> {
    const { files, log } = this.#host;
    const { store, etcd, patroni } = this.#parts;
    if (!etcd) return;
    const revoked = revokedNow(store.document, now());
    if (!(await writeRevocations(files, revoked))) return;
    if (revoked.length) log("info", `certificates of removed hosts are taken no more: ${revoked.length}`);
    // Its server does not notice.
    await patroni?.stop("immediate");
  }

  /** Ends connections that a removed host has had since before. @throws OdooPgError command_failed */
  async cut(): Promise<void> {
    const { store, servers, node, etcd } = this.#parts;
    const former = formerAddresses(store.document);
    const standbys = factsOf(servers.of(store.record.name))?.standbys ?? [];
    if (standbys.some(({ client_addr: from }) => from !== null && former.includes(from)))
      await node.server().use(async (session) => await endSessionsFrom(session, "replicator", former));
    if (!store.answers || !etcd || !(await etcd.isOlderThanRevocations())) return;
    if (!isTurnOf(store.record.address, store.members, now())) return;
    this.#host.log("info", "etcd is started again: who is connected shows its certificate once more");
    await etcd.startAgain();
  }

  /** Where the store is silent another host is asked whether this one was removed: the store answers it nothing then. */
  async askWhetherListed(): Promise<void> {
    const { store } = this.#parts;
    if (store.answers || !store.isListed) {
      this.#notListed = 0;
      return;
    }
    const { name } = store.record;
    const others = store.document.hosts.filter((host) => host.name !== name && host.role !== "endpoints");
    const told = await Promise.all(
      others.map(async ({ address }) => {
        const answer = await askTls({
          host: address,
          port: AGENT_PORT,
          method: "GET",
          path: "/listed",
          trust: this.#host.identity,
          timeout: LISTED_TIMEOUT,
        }).catch(() => undefined);
        const parsed = parseJson(answer?.text ?? "", listedSchema);
        return parsed.ok && parsed.value.sure ? [parsed.value.listed] : [];
      }),
    );
    const sure = told.flat();
    this.#notListed = sure.length > 0 && !sure.includes(true) ? this.#notListed + 1 : 0;
    if (this.#notListed < TIMES) return;
    this.#host.log("warn", "the other hosts say that this one was removed from the cluster");
    store.takeRemoval();
  }
}
