import { OdooPgError } from "../../errors.ts";
import { stamp } from "../../model/time-stamp.ts";
import { stopServer } from "../../postgres/server.ts";
import { checkpoint } from "../../postgres/sql/operations.ts";
import type { Endpoints } from "../../services/endpoints.ts";
import { monotonic, now, waitUntil } from "../../system/clock.ts";
import { move } from "../../system/files/files.ts";
import { renameIn } from "../../system/files/folder.ts";
import { askTls } from "../../system/network/mutual-tls.ts";
import { decideSwitchover } from "../decisions/switchover.ts";
import { changeDocument } from "../documents/change.ts";
import type { HostOrder } from "../documents/orders.ts";
import { withoutHost } from "../joining/joining.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import { databasesOf } from "../documents/host-config.ts";
import { API_PORT } from "../documents/places.ts";
import type { HostPool } from "./host-pool.ts";
import type { HostData } from "./host-data.ts";
import type { HostRouting } from "./host-routing.ts";
import { notReady, type OneHost, type Outcome } from "./host.ts";
import type { OtherHosts } from "./other-hosts.ts";
import type { OwnNode } from "./own-node.ts";
import { setPause } from "./pause.ts";
import type { Servers } from "./servers.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Milliseconds for a planned change of the primary. */
const SWITCHOVER_TIMEOUT = 60_000;

/** Milliseconds for the others to take a vote away. */
const VOTE_TIMEOUT = 120_000;

export interface OrderParts {
  readonly store: StoreWatch;
  readonly servers: Servers;
  readonly others: OtherHosts;
  readonly routing: HostRouting;
  readonly node: OwnNode;
  readonly pool: HostPool;
  readonly data: HostData;
  readonly patroni: PatroniService | undefined;
  readonly endpoints: Endpoints | undefined;
  /** Ends the agent. */
  readonly stop: () => void;
}

/** What people and the agents of other hosts may have this one do. */
export class HostOrders {
  readonly #host: OneHost;
  readonly #parts: OrderParts;

  constructor(host: OneHost, parts: OrderParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** Carries an order out; a change of the primary on the primary's host, whose server writes a checkpoint first. */
  async carryOut(order: HostOrder): Promise<Outcome> {
    const { data, patroni, store } = this.#parts;
    if (order.order === "switchover") return await this.#switchover(order);
    if (order.order === "reseed") return await data.reseed(patroni);
    if (order.order === "leave") return await this.#leave();
    if (order.order === "remove") return await this.#remove(order.host);
    return await setPause(this.#host.etcd, store, order.order === "pause" ? order.until : undefined);
  }

  async #switchover(order: Extract<HostOrder, { order: "switchover" }>): Promise<Outcome> {
    const { store, servers, routing, others, node, pool } = this.#parts;
    const decision = decideSwitchover({
      store: store.view,
      storeAnswers: store.answers,
      databases: databasesOf(store.document).map(({ name }) => name),
      lags: servers.lags(routing.writes),
      to: order.to ?? undefined,
    });
    if (decision.kind === "refuse") {
      throw new OdooPgError("refused", {
        message: `No switchover: ${decision.why}.`,
        safe: "Nothing was changed.",
        next: decision.next,
      });
    }
    const { host } = decision;
    const leader = store.view?.leader ?? "";
    if (decision.kind === "nothing") return { done: `${host} is the primary.`, changed: false };
    if (order.dry_run) return { done: `${host} would take over from ${leader}.`, changed: false };
    if (leader !== store.record.name) return await others.pass(leader, { ...order, to: host });
    // What is written now need not be written while everybody waits.
    await node.runtime?.nodes.get(store.record.node)?.use(checkpoint);
    const begun = monotonic();
    // It waits for the end of reads from replicas. Until then writes go on.
    await pool.rest().catch((error: unknown) => this.#host.log("warn", String(error)));
    try {
      await this.#askPatroni(leader, host);
      await waitUntil(() => routing.writes === host, {
        what: `${host} to be the primary`,
        timeout: SWITCHOVER_TIMEOUT,
        interval: 50,
      });
    } finally {
      pool.resume();
    }
    const took = ((monotonic() - begun) / 1000).toFixed(1);
    return {
      done: `${host} is the primary; it took ${took} s. To undo: odoo-pg switchover --to ${leader}`,
      changed: true,
    };
  }

  /** @throws OdooPgError refused */
  async #askPatroni(leader: string, candidate: string): Promise<void> {
    const answer = await askTls({
      host: this.#parts.store.record.address,
      port: API_PORT,
      method: "POST",
      path: "/switchover",
      body: { leader, candidate },
      trust: this.#host.identity,
      timeout: SWITCHOVER_TIMEOUT,
    });
    // It also answers that it does not know although it goes on: what counts is who is primary.
    if (answer.status !== 412 && answer.status !== 400) return;
    throw new OdooPgError("refused", {
      message: `Patroni refuses: ${answer.text.trim()}`,
      safe: "Nothing was changed.",
    });
  }

  /** This host is none of the cluster's any more. Its data stays, aside. */
  async #leave(): Promise<Outcome> {
    const { store, node, patroni, endpoints, stop } = this.#parts;
    const { name } = store.record;
    const { layout, log, etcd, files: ha, installation } = this.#host;
    if (!store.answers) throw notReady("The store has no majority.");
    if (store.view?.leader === name)
      throw notReady(`${name} is the primary: make another host the primary first (odoo-pg switchover).`);
    await changeDocument(etcd, store.document.cluster, (document) => withoutHost(document, name));
    // The others take its vote away; its member ends when it sees that.
    await waitUntil(async () => (await store.startedAs()) === undefined, {
      what: `the other hosts to take the vote of ${name} away`,
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    await patroni?.hold.take("remove");
    await patroni?.stop("fast");
    await endpoints?.hold.take("remove");
    await endpoints?.stop("fast");
    const time = stamp(now());
    if (installation) {
      const { dataDir } = node.files;
      await stopServer(dataDir, name, "fast");
      await renameIn(dataDir, `${dataDir}.aside-${time}`);
    }
    const left = `${ha.dir}.left-${time}`;
    await move(layout.appliedFile, `${ha.dir}/cluster.json`);
    await move(layout.stateFile, `${ha.dir}/state.json`);
    await move(ha.dir, left);
    log("info", `${name} has left ${store.document.cluster}`);
    stop();
    return {
      done: `${name} has left the cluster. Its data stays in ${layout.stateDir}, aside.`,
      changed: true,
    };
  }

  /** A host that is lost for good is none of the cluster's any more. */
  async #remove(host: string): Promise<Outcome> {
    const { store, others } = this.#parts;
    const names = store.document.hosts.map(({ name }) => name);
    if (!names.includes(host)) {
      throw new OdooPgError("node_unknown", {
        message: `No host is named "${host}".`,
        safe: "Nothing was changed.",
        next: `One of: ${names.join(", ")}`,
      });
    }
    if (others.answers(host)) throw notReady(`${host} answers: run odoo-pg leave there.`);
    if (store.view?.leader === host) throw notReady(`${host} is the primary still.`);
    if (!store.answers) throw notReady("The store has no majority.");
    await changeDocument(this.#host.etcd, store.document.cluster, (document) => withoutHost(document, host));
    return { done: `${host} is none of the cluster's hosts any more.`, changed: true };
  }
}
