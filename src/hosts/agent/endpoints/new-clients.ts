import { HOLD_NEW_FOR } from "../../../services/clients.ts";
import type { Endpoints } from "../../../services/endpoints.ts";
import { monotonic } from "../../../system/clock.ts";
import type { GuestView } from "../../documents/guest-view.ts";

/** A host whose server is about to be stopped, and for how many milliseconds new clients wait at most. */
export type HeldNew = NonNullable<GuestView["held"]>;

/** The new clients of this host's endpoints, which wait while a host's server is stopped by plan. */
export class NewClients {
  readonly #endpoints: Endpoints | undefined;
  #held: { readonly host: string; readonly until: number } | undefined;

  constructor(endpoints: Endpoints | undefined) {
    this.#endpoints = endpoints;
  }

  /** What they wait for now; undefined where for nothing. */
  get held(): HeldNew | undefined {
    const milliseconds = Math.floor((this.#held?.until ?? 0) - monotonic());
    return this.#held && milliseconds > 0 ? { host: this.#held.host, milliseconds } : undefined;
  }

  /** Leads no new client to a host. @throws OdooPgError timed_out, command_failed */
  async hold(host: string, milliseconds: number = HOLD_NEW_FOR): Promise<void> {
    await this.#endpoints?.holdNew(host, milliseconds);
    this.#held = { host, until: monotonic() + milliseconds };
  }

  /** Gives those who are logging in the time to finish. @throws OdooPgError not_running, timed_out */
  async settle(): Promise<void> {
    await this.#endpoints?.settle();
  }

  /** Ends that. @throws OdooPgError timed_out, command_failed */
  async letIn(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held) await this.#endpoints?.holdNew(held.host, 0);
  }
}
