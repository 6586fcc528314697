/** Milliseconds for Patroni to have demoted a server whose place another host's has taken: it takes a few seconds. */
const DEMOTION_TIMEOUT = 30_000;

interface Seen {
  /** Whether this host's server replays another's WAL; undefined where it does not answer. */
  readonly inRecovery: boolean | undefined;
  /** The host that leads by the store; undefined where nobody does, or the store does not answer. */
  readonly leader: string | undefined;
  /** Of this host. */
  readonly name: string;
  readonly isPaused: boolean;
}

/**
 * Notices a server that stays a primary although another host leads. Patroni demotes it within seconds, unless it hangs:
 * its API goes on answering then. Nobody is led to such a server, and no commit on it is acknowledged, but it does not
 * come back as a replica either.
 */
export class Overtaken {
  #since: number | undefined;

  /** @param at milliseconds of a monotonic clock @returns whether Patroni is to be started again */
  look(at: number, { inRecovery, leader, name, isPaused }: Seen): boolean {
    if (inRecovery !== false || leader === undefined || leader === name || isPaused) {
      this.#since = undefined;
      return false;
    }
    this.#since ??= at;
    if (at - this.#since < DEMOTION_TIMEOUT) return false;
    this.#since = undefined;
    return true;
  }
}
