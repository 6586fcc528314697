/** Milliseconds for Patroni to demote a server after another host has taken over: it needs a few seconds. */
const DEMOTION_TIMEOUT = 20_000;

/** The leader as a host sees it, and the state of its own server. */
export interface Leading {
  /** When it was seen: milliseconds of a monotonic clock. */
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
 * No client is sent to such a server, and no commit on it is acknowledged, but it does not become a replica either.
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

  /** Begins the time anew, as after a start of Patroni. */
  forget(): void {
    this.#since = undefined;
  }
}
