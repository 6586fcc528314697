import { EtcdError } from "../../consensus/etcd.ts";
import { nextVoterStep } from "../../consensus/voters.ts";
import { monotonic, now } from "../../system/clock.ts";
import { dynamicChange } from "../decisions/dynamic.ts";
import { careFor } from "../decisions/store-care.ts";
import type { StoreView } from "../documents/store-view.ts";
import { databasesOf } from "../documents/host-config.ts";
import { hostsPrefix, patroniPrefix, peerUrlOf } from "../documents/places.ts";
import { patroniDynamic } from "../render/patroni.ts";
import { ETCD_QUOTA } from "../render/etcd.ts";
import type { AskedRestarts } from "./asked-restarts.ts";
import type { OneHost } from "./host.ts";
import type { OtherHosts } from "./other-hosts.ts";
import { setPause } from "./pause.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds between two looks at how the store is. */
const CARE_EVERY = 15_000;

/** What is done once for the cluster: on the host that holds the leader's key, and on the first before there is one. */
export class LeadersWork {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #others: OtherHosts;
  readonly #asked: AskedRestarts;
  #caredAt = -Infinity;

  constructor(host: OneHost, store: StoreWatch, others: OtherHosts, asked: AskedRestarts) {
    this.#host = host;
    this.#store = store;
    this.#others = others;
    this.#asked = asked;
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
    await this.#asked.tick();
    await this.#careForStore();
  }

  async #careForStore(): Promise<void> {
    if (monotonic() - this.#caredAt < CARE_EVERY) return;
    this.#caredAt = monotonic();
    const { etcd, log } = this.#host;
    const full = await etcd.fullMembers();
    const { document, record, members } = this.#store;
    const care = careFor(
      members.map(({ id, address, isLearner, isLevel, status }) => ({
        id,
        address,
        votes: !isLearner,
        isLevel,
        leads: status !== undefined && status.leader === status.memberId,
        bytes: Number(status?.bytes ?? 0),
        inUse: Number(status?.bytesInUse ?? 0),
        isFull: full.includes(id),
      })),
      {
        quota: ETCD_QUOTA,
        primary: this.#store.view?.leader === record.name ? record.address : undefined,
        witnesses: document.hosts.filter(({ role }) => role === "witness").map(({ address }) => address),
      },
    );
    if (!care) return;
    log("info", `store: ${care.kind} ${care.kind === "defragment" ? care.address : care.id}`);
    if (care.kind === "defragment") await etcd.defragment(care.address);
    else if (care.kind === "disarm") await etcd.disarm(care.id);
    else await etcd.moveLeader(care.from, care.id);
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
    // Without one, someone else has paused it.
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
