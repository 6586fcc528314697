import { EtcdError } from "../../consensus/etcd.ts";
import { nextVoterStep } from "../../consensus/voters.ts";
import { monotonic, now } from "../../system/clock.ts";
import { dynamicChange } from "../decisions/settings/dynamic.ts";
import { careFor, leadElsewhere } from "../decisions/store/store-care.ts";
import type { StoreView } from "../documents/store-view.ts";
import { databasesOf } from "../documents/host-config.ts";
import { hostsPrefix, patroniPrefix, peerUrlOf } from "../documents/places.ts";
import { patroniDynamic } from "../render/patroni.ts";
import { ETCD_QUOTA } from "../render/etcd.ts";
import type { AskedRestarts } from "./orders/asked-restarts.ts";
import type { OneHost } from "./host.ts";
import type { OtherHosts } from "./other-hosts.ts";
import { setPause } from "./orders/pause.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds between two looks at how the store is. */
const CARE_EVERY = 15_000;

/**
 * Milliseconds between two moves of the store's leader. The first one comes at once, before a host that has just taken
 * over can be lost as well; where the store comes back each time, such as from a witness that is too slow, each costs an
 * election.
 */
const LEAD_EVERY = 15_000;

/** The same after one that came to nothing: the members that were seen may have just changed. */
const LEAD_AGAIN = 3000;

/** What is done once for the cluster: on the host that holds the leader's key, and on the first before there is one. */
export class LeadersWork {
  readonly #host: OneHost;
  readonly #store: StoreWatch;
  readonly #others: OtherHosts;
  readonly #asked: AskedRestarts;
  #caredAt = -Infinity;
  /** When the store's leader may be moved again (monotonic clock). */
  #mayMoveAt = -Infinity;

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
    await this.#leadElsewhere(view);
    await this.#careForStore();
  }

  async #leadElsewhere(view: StoreView): Promise<void> {
    const { document, record } = this.#store;
    if (view.leader !== record.name || monotonic() < this.#mayMoveAt) return;
    const witnesses = document.hosts.filter(({ role }) => role === "witness").map(({ address }) => address);
    const move = leadElsewhere(this.#members, { primary: record.address, witnesses });
    if (!move) return;
    this.#mayMoveAt = monotonic() + LEAD_AGAIN;
    this.#host.log("info", `store: ${move.id} leads it, in the place of the primary's host`);
    await this.#host.etcd.moveLeader(move.from, move.id);
    this.#mayMoveAt = monotonic() + LEAD_EVERY;
  }

  get #members() {
    return this.#store.members.map(({ id, address, isLearner, isLevel, status }) => ({
      id,
      address,
      votes: !isLearner,
      isLevel,
      leads: status !== undefined && status.leader === status.memberId,
      bytes: Number(status?.bytes ?? 0),
      inUse: Number(status?.bytesInUse ?? 0),
    }));
  }

  async #careForStore(): Promise<void> {
    if (monotonic() - this.#caredAt < CARE_EVERY) return;
    this.#caredAt = monotonic();
    const { etcd, log } = this.#host;
    const full = await etcd.fullMembers();
    const members = this.#members.map((member) => ({ ...member, isFull: full.includes(member.id) }));
    const care = careFor(members, ETCD_QUOTA);
    if (!care) return;
    log("info", `store: ${care.kind} ${care.kind === "defragment" ? care.address : care.id}`);
    if (care.kind === "defragment") await etcd.defragment(care.address);
    else await etcd.disarm(care.id);
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
