import { factsOf } from "../../model/observation.ts";
import { endSessionsBefore, endSessionsFrom } from "../../postgres/sql/operations.ts";
import { monotonic, now } from "../../system/clock.ts";
import type { OneHost } from "../agent/host.ts";
import type { OwnNode } from "../agent/own-server/own-node.ts";
import type { Servers } from "../agent/servers.ts";
import type { StoreWatch } from "../agent/store-watch.ts";
import {
  endsConnections,
  formerAddresses,
  revokedNow,
  sessionsToEnd,
} from "../decisions/certificates/revocation.ts";
import { isTurnOf } from "../decisions/store/store-turn.ts";
import { listedSchema, removalBy, type Removal } from "../documents/removal.ts";
import { writeRevocations } from "../joining/authority.ts";
import type { EtcdService } from "../programs/etcd-service.ts";
import { askOtherAgent } from "../ask-other-agent.ts";
import type { PatroniService } from "../programs/patroni-service.ts";

/** Milliseconds for another host to say whether this one still belongs to the cluster. */
const LISTED_TIMEOUT = 1500;

/** Refusals in a row, a second apart, that count: a host that has just joined is not known everywhere at once. */
const TIMES = 10;

export interface RevocationParts {
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly node: OwnNode;
  readonly etcd: EtcdService | undefined;
  readonly patroni: PatroniService | undefined;
}

/** Keeps removed hosts out of this one's programs, and notices when this host was removed itself. */
export class Revocations {
  readonly #host: OneHost;
  readonly #parts: RevocationParts;
  #notListed = 0;
  #removal: Removal | undefined;
  /** When connections were last ended for revoked certificates (monotonic clock). */
  #etcdEndedAt = -Infinity;
  #patroniEndedAt = -Infinity;
  /** The hosts' addresses when last read, and since when an address is no host's any more (milliseconds since the epoch). */
  #present: readonly string[];
  #gone: ReadonlyMap<string, number> = new Map();
  /** By address, the moment before which no session of it is left. */
  readonly #ended = new Map<string, number>();

  constructor(host: OneHost, parts: RevocationParts) {
    this.#host = host;
    this.#parts = parts;
    this.#present = addressesOf(parts.store);
  }

  /** Writes the list of revoked certificates. @throws OdooPgError command_failed, the system's error */
  async write(): Promise<void> {
    const { files, log } = this.#host;
    const { store, etcd } = this.#parts;
    if (!etcd) return;
    const revoked = revokedNow(store.document, now());
    const isWritten = await writeRevocations(files, revoked);
    if (isWritten && revoked.length)
      log("info", `certificates of removed hosts are taken no more: ${revoked.length}`);
    await store.keep();
  }

  /**
   * Writes the list, and ends connections that a removed host has had since before. What fails does not keep the rest from
   * being done.
   * @throws as `write`
   */
  async keepOut(): Promise<void> {
    try {
      await this.write();
    } finally {
      try {
        await this.#endSessions();
      } finally {
        await this.#startAgain();
      }
    }
  }

  /** Ends such sessions with this host's server. */
  async #endSessions(): Promise<void> {
    const { store, servers, node } = this.#parts;
    this.#seeGone();
    const facts = factsOf(servers.of(store.record.name));
    // A server that is not there, or does not answer, cannot be asked: the next round tries again.
    if (!facts || !this.#host.installation) return;
    const former = formerAddresses(store.document);
    if (facts.standbys.some(({ client_addr: from }) => from !== null && former.includes(from)))
      await node.server().use(async (session) => await endSessionsFrom(session, "replicator", former));
    const ends = sessionsToEnd(store.document, store.seen, this.#gone);
    const due = new Map([...ends].filter(([address, moment]) => this.#ended.get(address) !== moment));
    if (due.size === 0) return;
    const at = now();
    await node.server().use(async (session) => await endSessionsBefore(session, due));
    for (const [address, moment] of due) if (at > moment) this.#ended.set(address, moment);
  }

  #seeGone(): void {
    const { store } = this.#parts;
    const present = addressesOf(store);
    const left = this.#present.filter((address) => !present.includes(address));
    const before = [...this.#gone].filter(([address]) => !present.includes(address));
    this.#gone = new Map([...before, ...left.map((address) => [address, now()] as const)]);
    this.#present = present;
  }

  /**
   * Ends such connections with etcd, which checks the list when a client connects, and with Patroni, which reads it at
   * its start.
   */
  async #startAgain(): Promise<void> {
    const { store, etcd, patroni } = this.#parts;
    const { log } = this.#host;
    const ends = (since: readonly string[], endedAt: number): boolean =>
      endsConnections(since, store.seen, monotonic() - endedAt);
    if (patroni && ends(await patroni.revokedSince(), this.#patroniEndedAt)) {
      this.#patroniEndedAt = monotonic();
      // The server keeps running meanwhile.
      await patroni.stop("immediate");
    }
    if (!etcd || !store.answers || !ends(await etcd.revokedSince(), this.#etcdEndedAt)) return;
    const isTurn = (): boolean => isTurnOf(store.record.address, store.members, now());
    if (!isTurn()) return;
    // A member that was level a second ago may be away by now.
    await store.lookAtMembers();
    if (!isTurn()) return;
    log("info", "etcd is started again: who is connected shows its certificate once more");
    this.#etcdEndedAt = monotonic();
    await etcd.startAgain();
  }

  /** How this machine ceased to be a host of the cluster, as far as others say; undefined where it is one. */
  get removal(): Removal | undefined {
    return this.#parts.store.isListed ? undefined : (this.#removal ?? { how: "unknown" });
  }

  /**
   * While the store is silent, asks other hosts whether this one was removed: the store does not answer a removed host.
   * A removed host asks until it is told by whose order.
   */
  async askWhetherListed(): Promise<void> {
    const { store } = this.#parts;
    const { isListed } = store;
    if (isListed ? store.answers : this.#removal?.how === "ordered") {
      this.#notListed = 0;
      return;
    }
    const { name } = store.record;
    const others = store.document.hosts.filter((host) => host.name !== name && host.role !== "endpoints");
    const question = { path: "/listed", timeout: LISTED_TIMEOUT };
    const answers = await Promise.all(
      others.map(
        async ({ address }) => await askOtherAgent(address, question, listedSchema, this.#host.identity),
      ),
    );
    const told = answers.filter((answer) => answer !== undefined);
    this.#removal = removalBy(told);
    if (!isListed) return;
    const sure = told.flatMap(({ listed, sure: isSure }) => (isSure ? [listed] : []));
    this.#notListed = sure.length > 0 && !sure.includes(true) ? this.#notListed + 1 : 0;
    if (this.#notListed < TIMES) return;
    this.#host.log("warn", "the other hosts say that this one was removed from the cluster");
    store.takeRemoval();
  }
}

function addressesOf({ document }: StoreWatch): string[] {
  return document.hosts.map(({ address }) => address);
}
