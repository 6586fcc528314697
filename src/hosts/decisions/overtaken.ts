/** Milliseconds for Patroni to have demoted a server whose place another host's has taken: it takes a few seconds. */
const DEMOTION_TIMEOUT = 20_000;

/** Who leads, as a host sees it, and what its own server is. */
export interface Leading {
  /** When that was looked at: milliseconds of a monotonic clock. */
  readonly at: number;
  /** Whether this host's server replays another's WAL; undefined where it does not answer. */
  readonly inRecovery: boolean | undefined;
  /** The host that leads by the store; undefined where nobody does, or the store does not answer. */
  readonly leader: string | undefined;
  /** Of this host. */
  readonly name: string;
  readonly isPaused: boolean;
}

/**
 * Notices a server that stays a primary although another host leads. Patroni demotes it within seconds, unless it hangs.
 * Nobody is led to such a server, and no commit on it is acknowledged, but it does not come back as a replica either.
 */
export class Overtaken {
  #since: number | undefined;

  /** Whether it lasts for longer than a demotion takes. */
  lasts({ at, inRecovery, leader, name, isPaused }: Leading): boolean {
    if (inRecovery !== false || leader === undefined || leader === name || isPaused) {
      this.#since = undefined;
      return false;
    }
    this.#since ??= at;
    return at - this.#since >= DEMOTION_TIMEOUT;
  }

  /** A Patroni that was started just now has its time. */
  forget(): void {
    this.#since = undefined;
  }
}
