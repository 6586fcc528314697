import { monotonic } from "../system/clock.ts";
import type { Etcd } from "./etcd.ts";

/** Seconds that the right outlives its last renewal: less than Patroni's ttl, so that it is free before a promotion. */
const SECONDS = 10;

/** A right that one host has at a time: a key in the store that goes when it is not renewed. */
export class Reign {
  readonly #etcd: Etcd;
  readonly #key: string;
  readonly #host: string;
  readonly #guard: { readonly key: string; readonly value: string };
  #held: { readonly lease: string; readonly term: number } | undefined;

  /** @param leaderKey the key whose value names the host that may take the right */
  constructor(etcd: Etcd, key: string, leaderKey: string, host: string) {
    this.#etcd = etcd;
    this.#key = key;
    this.#host = host;
    this.#guard = { key: leaderKey, value: host };
  }

  /**
   * Takes the right where it is free, or renews it.
   * @returns which reign it is (a later one has a higher number), and until when it certainly is ours (monotonic clock);
   *   undefined while another has it
   * @throws EtcdError
   */
  async hold(): Promise<{ readonly term: number; readonly until: number } | undefined> {
    const askedAt = monotonic();
    const until = askedAt + SECONDS * 1000;
    if (this.#held) {
      if (await this.#etcd.keepAlive(this.#held.lease)) return { term: this.#held.term, until };
      this.#held = undefined;
      return undefined;
    }
    const lease = await this.#etcd.grantLease(SECONDS);
    const revision = await this.#etcd.create(this.#key, this.#host, lease, this.#guard);
    if (revision === undefined) {
      await this.#etcd.revoke(lease);
      return undefined;
    }
    this.#held = { lease, term: Number(revision) };
    return { term: this.#held.term, until };
  }

  /** Gives the right up, so that another need not wait. @throws EtcdError */
  async giveUp(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held) await this.#etcd.revoke(held.lease);
  }
}
