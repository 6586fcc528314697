import { monotonic } from "../../system/clock.ts";
import { parseJson } from "../../system/files/json-file.ts";
import { guestQuestionSchema, guestViewSchema, type GuestView } from "../documents/guest-view.ts";
import { databasesOf, forGuests } from "../documents/host-config.ts";
import type { HostReport, HostsStatus } from "../documents/report.ts";
import type { OneHost } from "./host.ts";
import type { NewClients } from "./endpoints/new-clients.ts";
import type { OtherHosts } from "./other-hosts.ts";
import { askOtherAgent } from "../ask-other-agent.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds for an agent to answer. */
const VIEW_TIMEOUT = 1500;

/** How a host with endpoints alone sees the cluster: through the eyes of the hosts with a database. */
export class Guest {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #newClients: NewClients;
  #status: HostsStatus | undefined;

  constructor(host: OneHost, store: StoreWatch, newClients: NewClients) {
    this.#host = host;
    this.#store = store;
    this.#newClients = newClients;
  }

  /** The cluster as last reported; undefined before that. */
  get status(): HostsStatus | undefined {
    return this.#status;
  }

  /**
   * Asks all hosts with a database. One that sees the store is believed before one that does not, which may know by
   * Patroni's word for how long there still is a primary.
   * @throws Error where none answers
   */
  async read(report: HostReport): Promise<void> {
    const askedAt = monotonic();
    const hosts = databasesOf(this.#store.document);
    const question = { path: "/view", body: { report }, timeout: VIEW_TIMEOUT };
    const answers = await Promise.all(
      hosts.map(
        async ({ address }) => await askOtherAgent(address, question, guestViewSchema, this.#host.identity),
      ),
    );
    const views = answers.filter((view) => view !== undefined);
    const best = views.find((view) => view.store_answers) ?? views[0];
    if (!best) throw new Error("no host with a database answers");
    for (const view of views) this.#store.takeRight(view, askedAt);
    this.#store.takeView(best);
    this.#status = best.status;
    const held = views.map((view) => view.held).find((one) => one !== null);
    if (held) await this.#newClients.hold(held.host, held.milliseconds);
    else await this.#newClients.letIn();
  }
}

/**
 * What the agent of a host with a database tells such a host.
 * @throws Error to one that is none of the cluster's
 */
export function viewFor(
  guest: string,
  body: string,
  {
    store,
    others,
    newClients,
    status,
  }: { store: StoreWatch; others: OtherHosts; newClients: NewClients; status: HostsStatus },
): GuestView {
  const { document, view } = store;
  const question = parseJson(body, guestQuestionSchema);
  const isGuest = document.hosts.some(({ name, role }) => name === guest && role === "endpoints");
  if (!isGuest || !question.ok || question.value.report.name !== guest)
    throw new Error("not a host of this cluster");
  others.hear(question.value.report);
  const { rightful } = store;
  return {
    document: forGuests(document),
    store_answers: store.answers,
    leader: view?.leader ?? null,
    sync_leader: view?.syncLeader ?? null,
    synchronous: [...(view?.synchronous ?? [])],
    pool_of: store.poolOf ?? null,
    rightful: rightful === undefined ? null : { host: rightful, milliseconds: Math.floor(store.rightLasts) },
    status,
    held: newClients.held ?? null,
  };
}
