import { EtcdError } from "../../consensus/etcd.ts";
import { nextVoterStep } from "../../consensus/voters.ts";
import { now } from "../../system/clock.ts";
import { dynamicChange } from "../decisions/dynamic.ts";
import type { StoreView } from "../documents/store-view.ts";
import { databasesOf } from "../documents/host-config.ts";
import { hostsPrefix, patroniPrefix, peerUrlOf } from "../documents/places.ts";
import { patroniDynamic } from "../render/patroni.ts";
import type { OneHost } from "./host.ts";
import type { OtherHosts } from "./other-hosts.ts";
import { setPause } from "./pause.ts";
import type { StoreWatch } from "./store-watch.ts";

/** What is done once for the cluster: on the host that holds the leader's key, and on the first before there is one. */
export class LeadersWork {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #others: OtherHosts;

  constructor(host: OneHost, store: StoreWatch, others: OtherHosts) {
    this.#host = host;
    this.#store = store;
    this.#others = others;
  }

  /** @throws EtcdError */
  async do(): Promise<void> {
    const { view, answers, record } = this.#store;
    if (!view || !answers) return;
    const isFirst = view.dynamic === undefined && (await this.#store.startedAs())?.state === "new";
    if (view.leader !== record.name && !isFirst) return;
    await this.#keepDynamic(view);
    await this.#endPause(view);
    await this.#settleVotes();
  }

  async #keepDynamic(view: StoreView): Promise<void> {
    const { document } = this.#store;
    const wanted = patroniDynamic(
      databasesOf(document).map(({ name }) => name),
      document.shared,
    );
    const change = dynamicChange(view.dynamic?.value, wanted);
    if (change === undefined) return;
    const key = `${patroniPrefix(document.cluster)}config`;
    await this.#host.etcd.swap(key, view.dynamic?.revision ?? 0n, change);
  }

  async #endPause(view: StoreView): Promise<void> {
    if (!view.paused) return;
    const until = await this.#host.etcd.get(`${hostsPrefix(this.#store.document.cluster)}pause_until`);
    // Without one somebody else has paused it.
    if (!until || until.value === "" || Number(until.value) > now()) return;
    await setPause(this.#host.etcd, this.#store, undefined);
    this.#host.log("info", "the pause is over");
  }

  async #settleVotes(): Promise<void> {
    const { etcd, log } = this.#host;
    const hosts = this.#store.document.hosts
      .filter(({ role }) => role !== "endpoints")
      .map((host) => ({
        name: host.name,
        peerUrl: peerUrlOf(host),
        answers: this.#others.answers(host.name),
      }));
    const step = nextVoterStep(hosts, this.#store.members);
    if (!step) return;
    try {
      if (step.kind === "add") await etcd.addLearner(step.peerUrl);
      else if (step.kind === "promote") await etcd.promote(step.id);
      else await etcd.remove(step.id);
      log("info", `votes: ${step.kind === "add" ? `${step.host} comes in` : step.kind}`);
    } catch (error) {
      // A learner that has not caught up, members that have just changed: the next look tries again.
      if (!(error instanceof EtcdError)) throw error;
      log("info", `votes: ${step.kind} waits: ${error.message}`);
    }
  }
}
