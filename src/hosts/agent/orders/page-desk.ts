import { OdooPgError, toOdooPgError } from "../../../errors.ts";
import { printCommand } from "../../../next-step.ts";
import { now } from "../../../system/clock.ts";
import type { Log } from "../../../system/log.ts";
import { pageOrderOf } from "../../decisions/page-order.ts";
import type { HostOrder } from "../../documents/orders.ts";
import type { HostsStatus } from "../../documents/report.ts";
import { inOneParagraph, type LastOrder } from "../../render/page.ts";
import type { Outcome } from "../host.ts";

export interface PageDeskParts {
  readonly status: () => Promise<HostsStatus>;
  readonly carryOut: (order: HostOrder) => Promise<Outcome>;
  /** How odoo-pg is typed on this host, wherever one is. */
  readonly called: string;
  readonly log: Log;
}

/** Somebody else was faster, or the cluster was. */
export function notOffered(): OdooPgError {
  return new OdooPgError("usage", {
    message: "That is no longer offered: the cluster has changed since the page was loaded.",
    safe: "Nothing was changed.",
    next: "Load the page again.",
  });
}

/** What the forms of a host's page have it do: one after another, and what came of the last is shown. */
export class PageDesk {
  readonly #parts: PageDeskParts;
  #last: LastOrder | undefined;

  constructor(parts: PageDeskParts) {
    this.#parts = parts;
  }

  get last(): LastOrder | undefined {
    return this.#last;
  }

  /**
   * Begins what a form asks for, and does not wait for its end.
   * @throws OdooPgError usage for what is not offered now, refused while another is under way
   */
  async begin(form: Readonly<Record<string, string>>, by: string): Promise<void> {
    const { status, called, log } = this.#parts;
    const wanted = pageOrderOf(form, await status(), now());
    if (!wanted) throw notOffered();
    if (this.#last?.state === "under way")
      throw new OdooPgError("refused", {
        message: `${this.#last.command} is under way.`,
        safe: "Nothing was changed.",
        next: "Wait for its end.",
      });
    const command = printCommand(wanted.command, called);
    log("info", `console: ${by} starts: ${command}`);
    this.#last = { command, by, state: "under way", words: "" };
    void this.#finish(command, by, wanted.order);
  }

  async #finish(command: string, by: string, order: HostOrder): Promise<void> {
    try {
      const { done } = await this.#parts.carryOut(order);
      this.#last = { command, by, state: "done", words: done };
    } catch (error) {
      const told = toOdooPgError(error);
      this.#last = { command, by, state: "failed", words: inOneParagraph(told, this.#parts.called) };
      this.#parts.log("warn", `console: ${command}: ${told.message}`);
    }
  }
}
