import { errorFromEvent } from "../../progress.ts";
import { monotonic } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { askTls } from "../../system/network/mutual-tls.ts";
import { hostOutcomeSchema, type HostOrder } from "../documents/orders.ts";
import { hostReportSchema, type HostReport } from "../documents/report.ts";
import { AGENT_PORT } from "../documents/places.ts";
import type { OneHost, Outcome } from "./host.ts";
import { askOtherAgent } from "../ask-other-agent.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds for an agent to answer, and until a host counts as away. */
const OTHER_TIMEOUT = 1500;
const AWAY_AFTER = 5000;

/** Milliseconds for another host to carry an order out: it may restart all servers, one by one. */
const ORDER_TIMEOUT = 1_800_000;

/** The last report of a host about itself, and when it came (monotonic clock). */
export interface Heard {
  readonly report: HostReport;
  readonly at: number;
}

/** The agents of the other hosts. */
export class OtherHosts {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #heard = new Map<string, Heard>();

  constructor(host: OneHost, store: StoreWatch) {
    this.#host = host;
    this.#store = store;
  }

  get heard(): ReadonlyMap<string, Heard> {
    return this.#heard;
  }

  /** Takes up what a host says of itself that may not be asked: it asks. */
  hear(report: HostReport): void {
    this.#heard.set(report.name, { report, at: monotonic() });
  }

  /** Asks each how it is, but for those that ask themselves. One that does not answer says nothing. */
  async ask(): Promise<void> {
    const others = this.#store.document.hosts.filter(
      ({ name, role }) => name !== this.#store.record.name && role !== "endpoints",
    );
    await Promise.all(
      others.map(async ({ name, address }) => {
        const question = { path: "/report", timeout: OTHER_TIMEOUT };
        const report = await askOtherAgent(address, question, hostReportSchema, this.#host.identity);
        if (report) this.#heard.set(name, { report, at: monotonic() });
      }),
    );
  }

  /** Whether a host's agent answers; this one's does. */
  answers(host: string): boolean {
    if (host === this.#store.record.name) return true;
    const known = this.#heard.get(host);
    return known !== undefined && monotonic() - known.at < AWAY_AFTER;
  }

  /** Has another host carry an order out. @throws OdooPgError what it refuses, Error where it does not answer */
  async pass(name: string, order: HostOrder): Promise<Outcome> {
    const host = this.#store.document.hosts.find((other) => other.name === name);
    const answer = await askTls({
      host: host?.address ?? name,
      port: AGENT_PORT,
      method: "POST",
      path: "/order",
      body: order,
      trust: this.#host.identity,
      timeout: ORDER_TIMEOUT,
    });
    const parsed = parseJson(answer.text, hostOutcomeSchema);
    if (!parsed.ok) throw new Error(`${name} gives an unexpected answer: ${parsed.problem}`);
    if ("error" in parsed.value) throw errorFromEvent(parsed.value.error);
    return parsed.value;
  }
}
