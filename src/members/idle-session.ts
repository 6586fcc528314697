import { monotonic, within } from "../system/clock.ts";
import type { Session } from "../system/sql/sql.ts";

/** Milliseconds for which one session may serve: what it remembers of the server's tables grows. */
const LIFETIME = 600_000;

/** A session that nobody uses just now, kept for who needs one next. */
export class IdleSession {
  readonly #patience: number;
  readonly #begun = new WeakMap<Session, number>();
  #session: Session | undefined;

  /** @param patience milliseconds for it to answer before it is used: a server may hang by now */
  constructor(patience: number) {
    this.#patience = patience;
  }

  /** The session, where there is one and its server answers: nobody else gets it until it is given back. */
  async take(): Promise<Session | undefined> {
    const session = this.#session;
    this.#session = undefined;
    if (!session) return undefined;
    if (session.broken() || !(await this.#answers(session))) {
      session.abandon();
      return undefined;
    }
    if (monotonic() - (this.#begun.get(session) ?? 0) < LIFETIME) return session;
    session.abandon();
    return undefined;
  }

  /** Gives a session back, or a new one for the next. */
  keep(session: Session): void {
    if (!this.#begun.has(session)) this.#begun.set(session, monotonic());
    if (this.#session || session.broken()) session.abandon();
    else this.#session = session;
  }

  /** Ends the session. It waits for no answer: the server may hang. */
  end(): void {
    this.#session?.abandon();
    this.#session = undefined;
  }

  async #answers(session: Session): Promise<boolean> {
    try {
      await within(this.#patience, "a server", session.query("SELECT"));
      return true;
    } catch {
      return false;
    }
  }
}
