import { printableLine } from "../printable.ts";
import { isPrimary } from "../model/observation.ts";
import type { Given } from "../odoo/ownership.ts";
import { keepRights, notGiven } from "../odoo/rights.ts";
import { monotonic } from "../system/clock.ts";
import type { SuperuserSession } from "../system/sql/sql.ts";
import type { NodeHandle } from "../members/node-handle.ts";
import { messageOf } from "../errors.ts";
import { ownPrimary, type Runtime } from "../members/runtime.ts";

/** Milliseconds for each statement: it must not wait for a long transaction. */
const STATEMENT_TIMEOUT = 5000;
/** Milliseconds after which the owners of objects in databases are checked again, where nothing was new. */
const OWNERS_EVERY = 60_000;
/** The same where that failed. */
const OWNERS_AGAIN = 5000;
/** Milliseconds for which it may fail, as while a primary changes, before that is reported. */
const TELL_AFTER = 10_000;

/**
 * Keeps each database private to its owner while the cluster runs: Odoo creates databases, and people roles, at any time. It has a
 * session of its own on the primary, because it asks twice a second.
 */
export class DatabaseOwnership {
  #session: SuperuserSession | undefined;
  #of: NodeHandle | undefined;
  #busy = false;
  /** When the owners of objects in databases are checked again. */
  #ownersAt = 0;
  #failing: { readonly since: number; readonly text: string } | undefined;
  /** Objects that could not be given to their owner at the last try, and since when. */
  #notGiven: { readonly since: number; readonly text: string } | undefined;
  /** The node at which the superuser needs a password, as before pg_hba.conf was read again. */
  byPassword: string | null = null;

  /** Checks and corrects. Does nothing while the last check is still running. */
  async tick(runtime: Runtime): Promise<void> {
    if (this.#busy) return;
    const primary = ownPrimary(runtime);
    if (!primary || !isPrimary(primary.observation)) {
      // Another host's agent keeps them by now: what failed here says nothing any more.
      this.#failing = undefined;
      this.#notGiven = undefined;
      return;
    }
    this.#busy = true;
    try {
      await this.#enforce(runtime, primary);
      this.#failing = undefined;
    } catch (error) {
      const text = messageOf(error);
      this.#failing = { since: this.#failing?.since ?? monotonic(), text };
      await this.close();
      throw error;
    } finally {
      this.#busy = false;
    }
  }

  /** What has prevented its work for TELL_AFTER, in a few words. */
  get problem(): string | null {
    const lasting = [this.#failing, this.#notGiven].find(
      (failing) => failing && monotonic() - failing.since > TELL_AFTER,
    );
    return lasting?.text ?? null;
  }

  async close(): Promise<void> {
    const session = this.#session;
    this.#session = undefined;
    await session?.close();
  }

  async #enforce(runtime: Runtime, primary: NodeHandle): Promise<void> {
    if (this.#of !== primary || this.#session?.broken()) await this.close();
    this.#of = primary;
    this.#session ??= await primary.superuser.session({
      applicationName: "odoo-pg agent",
      statementTimeout: STATEMENT_TIMEOUT,
      settings: { synchronous_commit: "local", jit: "off" },
    });
    const session = this.#session;
    this.byPassword = session.byPassword ? primary.node.name : null;
    const every = monotonic() >= this.#ownersAt;
    const { given, closed, busy } = await keepRights(primary.superuser, session, every);
    for (const name of closed)
      runtime.log("info", `database ${JSON.stringify(name)} is closed to all but its owner`);
    if (given) {
      this.#tellGiven(runtime, given);
      // The next session proves again that the superuser is let in.
      await this.close();
    }
    if (busy.length)
      throw new Error(`somebody holds ${printableLine(busy.join(", "))}: still open to everybody`);
  }

  #tellGiven(runtime: Runtime, { given, failed: [first] }: Given): void {
    for (const name of given)
      runtime.log("info", `what is in database ${JSON.stringify(name)} belongs to its owner now`);
    this.#ownersAt = monotonic() + (first ? OWNERS_AGAIN : OWNERS_EVERY);
    const text = first && notGiven(first);
    if (text !== undefined && text !== this.#notGiven?.text) runtime.log("warn", text);
    this.#notGiven = text === undefined ? undefined : { since: this.#notGiven?.since ?? monotonic(), text };
  }
}
