import { OdooPgError } from "../../../errors.ts";
import { stamp } from "../../../model/time-stamp.ts";
import { odooPg } from "../../../next-step.ts";
import { listedStandbys } from "../../../postgres/sql/commit-list.ts";
import type { Endpoints } from "../../../services/endpoints.ts";
import { now, waitUntil, within } from "../../../system/clock.ts";
import { kindOf, move } from "../../../system/files/files.ts";
import { renameIn } from "../../../system/files/held/by-path.ts";
import { withRevoked } from "../../decisions/certificates/revocation.ts";
import { changeDocument } from "../../documents/change.ts";
import { withoutHost } from "../../joining/joining.ts";
import type { EtcdService } from "../../programs/etcd-service.ts";
import type { PatroniService } from "../../programs/patroni-service.ts";
import type { Revocations } from "../../revoking/revocations.ts";
import { notReady, type OneHost, type Outcome } from "../host.ts";
import type { HostPoolers } from "../endpoints/host-poolers.ts";
import type { OtherHosts } from "../other-hosts.ts";
import type { HostData } from "../own-server/host-data.ts";
import type { OwnNode } from "../own-server/own-node.ts";
import type { StoreWatch } from "../store-watch.ts";
import { becomeOne } from "./become-one.ts";
import { whileHeld } from "./while-held.ts";

/** Milliseconds for another host to write down that a host is removed. */
const PASS_TIMEOUT = 15_000;

/** Milliseconds for it to see that this one does not answer: it may have heard of it a moment ago. */
const SEE_TIMEOUT = 7000;

/** Milliseconds for the others to take a vote away. */
const VOTE_TIMEOUT = 120_000;

/** Milliseconds for the others to tell a host that it was removed: what they say ten times, a second apart, counts. */
const TOLD_TIMEOUT = 30_000;

/** Milliseconds in which one that leaves still sees that it has. */
const LEAVE_TIME = 2 * VOTE_TIMEOUT;

export interface MembershipParts {
  readonly store: StoreWatch;
  readonly others: OtherHosts;
  readonly node: OwnNode;
  readonly data: HostData;
  readonly patroni: PatroniService | undefined;
  readonly etcd: EtcdService | undefined;
  readonly endpoints: Endpoints | undefined;
  /** None where there is no server. */
  readonly poolers: HostPoolers | undefined;
  readonly revocations: Revocations;
  /** Ends the agent. */
  readonly stop: () => void;
}

/** Orders that change which hosts the cluster has. */
export class MembershipOrders {
  readonly #host: OneHost;
  readonly #parts: MembershipParts;

  constructor(host: OneHost, parts: MembershipParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** This host leaves the cluster. Its data is kept aside. */
  async leave(): Promise<Outcome> {
    const { store, data, patroni, endpoints, stop } = this.#parts;
    const { name } = store.record;
    const { layout, log, etcd } = this.#host;
    // One that was taken out already has no part in the store any more, and one with endpoints alone never had.
    const isGuest = store.record.role === "endpoints";
    if (isGuest) log("info", "the other hosts still know this one");
    else if (await this.#isOneStill()) {
      data.refusePrimary();
      const { seen } = store;
      await changeDocument(etcd, store.document.cluster, (document) =>
        withoutHost(withRevoked(document, { name, from: now() + LEAVE_TIME, by: name, seen }, now()), name),
      );
    } else await this.#parts.etcd?.retire();
    // The others take its vote away; its member ends when it sees that.
    await waitUntil(async () => (await store.startedAs()) === undefined, {
      what: `the other hosts to take the vote of ${name} away`,
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    if (!isGuest) await this.#lookAgain();
    await whileHeld("remove", [patroni, endpoints], async () => await this.#putAside());
    log("info", `${name} has left ${store.document.cluster}`);
    stop();
    return {
      done: isGuest
        ? `${name} has left the cluster. On a host with a database: odoo-pg ha remove ${name} --confirm ${name}`
        : `${name} has left the cluster. Its data stays in ${layout.stateDir}, aside.`,
      changed: true,
    };
  }

  /** This host's data and what makes it one of several; run again it goes on. */
  async #putAside(): Promise<void> {
    const { node, data, patroni, endpoints, poolers } = this.#parts;
    const { layout, files: ha, installation } = this.#host;
    const time = stamp(now());
    const stopped = installation ? await data.stopReplica(patroni) : undefined;
    // In its own turn the agent would write anew what is put aside here.
    await node.rest();
    await endpoints?.stop("fast");
    await poolers?.stop();
    const { dataDir } = node.files;
    if (stopped && stopped.kind !== "absent") await renameIn(dataDir, `${dataDir}.aside-${time}`);
    const kept = [
      [layout.appliedFile, `${ha.dir}/cluster.json`],
      [layout.stateFile, `${ha.dir}/state.json`],
    ] as const;
    for (const [file, place] of kept) if ((await kindOf(file)) !== undefined) await move(file, place);
    await move(ha.dir, `${ha.dir}.left-${time}`);
  }

  /** Whether this host is still one of the cluster's. @throws OdooPgError refused where nobody tells */
  async #isOneStill(): Promise<boolean> {
    const { store } = this.#parts;
    if (!store.isListed) return false;
    await this.#lookAgain();
    // The store does not answer a host that was removed, and the others may not have told it yet.
    await waitUntil(() => store.answers || !store.isListed, {
      what: "the store, or another host, to tell whether this one was removed",
      timeout: TOLD_TIMEOUT,
      interval: 100,
    }).catch(() => {
      throw notReady("The store has no majority.");
    });
    return store.isListed;
  }

  /** Sees now who answers: an agent that was just started has asked nobody yet. */
  async #lookAgain(): Promise<void> {
    const { store, others } = this.#parts;
    await store.read().catch((error: unknown) => this.#host.log("warn", String(error)));
    await others.ask();
  }

  /** @throws OdooPgError confirmation_missing unless the cluster's name was typed */
  #requireName(confirm: string | null, command: string, message: string): void {
    const { cluster } = this.#parts.store.document;
    if (confirm === cluster) return;
    throw new OdooPgError("confirmation_missing", {
      message,
      safe: "Nothing was changed.",
      next: odooPg("ha", command, "--confirm", cluster),
    });
  }

  /** Several hosts become one again: the primary's, whose sessions go on. */
  async disband(confirm: string | null): Promise<Outcome> {
    const { store, node, patroni, etcd, stop } = this.#parts;
    const { name } = store.record;
    const { cluster, hosts } = store.document;
    if (!store.answers) throw notReady("The store has no majority.");
    const leader = store.view?.leader;
    if (leader !== name)
      throw notReady(`This is done on the primary's host${leader === undefined ? "" : `: ${leader}`}.`);
    const others = hosts.filter((host) => host.name !== name).map((host) => host.name);
    this.#requireName(
      confirm,
      "disband",
      `${others.join(", ") || "No other host"} would no longer belong to the cluster, and their servers would stop: clients would then use the endpoints of ${name}, and no other host would take over.`,
    );
    await changeDocument(this.#host.etcd, cluster, (document) => ({
      ...document,
      hosts: document.hosts.filter((host) => host.name === name),
    }));
    await waitUntil(() => store.members.length === 1 && store.view?.synchronous.length === 0, {
      what: "the other hosts to leave the cluster",
      timeout: VOTE_TIMEOUT,
      interval: 100,
      next: "Run the same command again.",
    });
    const list = async (): Promise<boolean> => (await node.server().use(listedStandbys)).length === 0;
    await waitUntil(list, {
      what: "commits to wait for no other host",
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    for (const program of [patroni, etcd]) await program?.hold.take("remove");
    let file = "";
    const goOn = await node.rest();
    try {
      await patroni?.stop("immediate");
      await etcd?.stop("fast");
      file = await becomeOne(this.#host, node);
    } catch (error) {
      // They run again, and the same command goes on.
      goOn();
      for (const program of [patroni, etcd]) program?.hold.release();
      throw error;
    }
    this.#host.log("info", `${cluster} has one host again`);
    stop();
    return { done: `${cluster} has one host again, ${name}. Its configuration: ${file}`, changed: true };
  }

  /** The majority of the store is lost for good: this host alone is the store from now on. */
  async forceNewCluster(confirm: string | null): Promise<Outcome> {
    const { store, others, etcd } = this.#parts;
    const { record, document } = store;
    await this.#lookAgain();
    if (store.answers) throw notReady("The store has its majority: nothing need be forced.");
    if (!etcd || (await store.startedAs()) === undefined || record.role !== "database")
      throw notReady(`${record.name} has no database and no vote: do it on a host that has both.`);
    const answering = document.hosts.filter(({ name }) => name !== record.name && others.answers(name));
    if (answering.length)
      throw notReady(
        `${answering.map(({ name }) => name).join(", ")} can be reached: together they may have a majority (odoo-pg up there).`,
      );
    const lost = document.hosts.filter(({ name }) => name !== record.name).map(({ name }) => name);
    this.#requireName(
      confirm,
      "force-new-cluster",
      `${record.name} would decide alone who is primary. Do it only when ${lost.join(", ")} are lost for good or switched off: where they run and are merely cut off, they may go on as a second cluster, and what is written there is lost. What was acknowledged and is not on ${record.name} is lost as well.`,
    );
    await etcd.forceNewCluster(record);
    await waitUntil(() => store.answers, {
      what: "the store to answer",
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    return {
      done: `${record.name} decides alone now. Take out each host that is lost (odoo-pg ha remove HOST --confirm HOST), and wipe it before it comes back. If there is no primary in half a minute: odoo-pg failover ${record.name}`,
      changed: true,
    };
  }

  /** Removes a host that is lost for good from the cluster. */
  async remove(host: string): Promise<Outcome> {
    const { store, others } = this.#parts;
    const from = now();
    const own = store.record.name;
    await this.revokeHere({ host, from, by: own }, false);
    const asked = store.document.hosts.filter(
      ({ name, role }) => name !== own && name !== host && role !== "endpoints" && others.answers(name),
    );
    // Before it stands in the store, where the host that is removed could take it out again: it may see it there first.
    await Promise.all(
      asked.map(async ({ name }) => {
        await within(
          PASS_TIMEOUT,
          name,
          others.pass(name, { order: "remove", host, here: true, by: own }),
        ).catch((error: unknown) =>
          this.#host.log("warn", `${name} learns from the store alone: ${String(error)}`),
        );
      }),
    );
    await changeDocument(this.#host.etcd, store.document.cluster, (document) =>
      withoutHost(withRevoked(document, { name: host, from, by: own, seen: store.seen }, from), host),
    );
    return { done: `${host} is no longer one of the cluster's hosts.`, changed: true };
  }

  /**
   * Writes down for this host alone that the certificates of a host that is lost for good are revoked: no word of the store
   * takes that back.
   * @param isOrdered whether another host, which has seen that it does not answer, has it done
   */
  async revokeHere(
    { host, from, by }: { readonly host: string; readonly from: number; readonly by: string | undefined },
    isOrdered: boolean,
  ): Promise<Outcome> {
    const { store, others, revocations } = this.#parts;
    const names = store.document.hosts.map(({ name }) => name);
    if (!names.includes(host)) {
      throw new OdooPgError("node_unknown", {
        message: `No host is named "${host}".`,
        safe: "Nothing was changed.",
        next: `One of: ${names.join(", ")}`,
      });
    }
    await this.#lookAgain();
    const isAway = (): boolean => !others.answers(host);
    if (isOrdered)
      await waitUntil(isAway, { what: host, timeout: SEE_TIMEOUT, interval: 200 }).catch(() => {});
    if (!isAway()) throw notReady(`${host} answers: run odoo-pg leave there.`);
    if (store.view?.leader === host) throw notReady(`${host} is the primary still.`);
    if (!store.answers) throw notReady("The store has no majority.");
    await store.revoke(host, from, by);
    await revocations.write();
    return { done: "", changed: true };
  }
}
