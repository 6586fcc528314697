import { OdooPgError } from "../../errors.ts";
import { isPrimary } from "../../model/observation.ts";
import { showBytes } from "../../model/quantities.ts";
import { stamp } from "../../model/time-stamp.ts";
import { nextStep, odooPg, type NextText } from "../../next-step.ts";
import { stopServer } from "../../postgres/server.ts";
import { listedStandbys } from "../../postgres/sql/commit-list.ts";
import { checkpoint } from "../../postgres/sql/operations.ts";
import type { NodeOperation } from "../../model/node-state.ts";
import type { Service } from "../../services/service.ts";
import type { Endpoints } from "../../services/endpoints.ts";
import { monotonic, now, waitUntil } from "../../system/clock.ts";
import { isErrno } from "../../system/files/errno.ts";
import { kindOf, move } from "../../system/files/files.ts";
import { renameIn } from "../../system/files/folder.ts";
import { askTls, type TlsAnswer } from "../../system/network/mutual-tls.ts";
import { decideFailover, type FailoverDecision } from "../decisions/failover.ts";
import { planRestart, type RestartStep } from "../decisions/restart.ts";
import { decideSwitchover, type SwitchoverDecision } from "../decisions/switchover.ts";
import { changeDocument } from "../documents/change.ts";
import type { HostOrder } from "../documents/orders.ts";
import { withoutHost } from "../joining/joining.ts";
import type { EtcdService } from "../programs/etcd-service.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import { databasesOf } from "../documents/host-config.ts";
import { API_PORT } from "../documents/places.ts";
import type { HostPool } from "./host-pool.ts";
import { becomeOne } from "./become-one.ts";
import { configure } from "./configure.ts";
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

/** Milliseconds for Patroni to answer: it restarts a server before it does. */
const PATRONI_TIMEOUT = 180_000;

/** Milliseconds for a Patroni that is being started again to answer. */
const PATRONI_BACK = 10_000;

/** Seconds for a server to be back: after that another host would take over from a primary. */
const RESTART_SECONDS = 120;

/** Milliseconds for a host to be primary by force: the right of the one before has to end. */
const FAILOVER_TIMEOUT = 120_000;

/** Milliseconds for a replica to follow again. */
const FOLLOW_TIMEOUT = 120_000;

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
  readonly etcd: EtcdService | undefined;
  readonly endpoints: Endpoints | undefined;
  /** Ends the agent. */
  readonly stop: () => void;
}

type Order<K extends HostOrder["order"]> = Extract<HostOrder, { order: K }>;

/** What people and the agents of other hosts may have this one do. */
export class HostOrders {
  readonly #host: OneHost;
  readonly #parts: OrderParts;
  #busy: string | undefined;

  constructor(host: OneHost, parts: OrderParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** What it is at; undefined where nothing. */
  get busy(): string | undefined {
    return this.#busy;
  }

  /**
   * Carries an order out; a change of the primary on the primary's host, whose server writes a checkpoint first.
   * @throws OdooPgError refused also while another is carried out
   */
  async carryOut(order: HostOrder): Promise<Outcome> {
    if (this.#parts.store.record.role === "endpoints" && order.order !== "leave" && order.order !== "down")
      throw notReady("This host has endpoints alone: do it on a host with a database.");
    if (order.order === "pause" || order.order === "resume")
      return await setPause(
        this.#host.etcd,
        this.#parts.store,
        order.order === "pause" ? order.until : undefined,
      );
    if (this.#busy !== undefined)
      throw notReady(`${this.#parts.store.record.name} is at something else: ${this.#busy}.`);
    this.#busy = order.order;
    try {
      return await this.#carryOut(order);
    } finally {
      this.#busy = undefined;
    }
  }

  async #carryOut(order: Exclude<HostOrder, { order: "pause" | "resume" }>): Promise<Outcome> {
    const { data, patroni } = this.#parts;
    const kind = order.order;
    if (kind === "switchover") return await this.#switchover(order);
    if (kind === "failover") return await this.#failover(order);
    if (kind === "configure") return await this.#configure(order);
    if (kind === "reseed") return await data.reseed(patroni);
    if (kind === "down") return await this.#down();
    if (kind === "disband") return await this.#disband(order.confirm);
    if (kind === "force_new_cluster") return await this.#forceNewCluster(order.confirm);
    if (kind === "leave") return await this.#leave();
    if (kind === "remove") return await this.#remove(order.host);
    const hosts = order.host === null ? this.#databases : [order.host];
    return await this.#restart(hosts, "last", order.dry_run);
  }

  get #databases(): string[] {
    return databasesOf(this.#parts.store.document).map(({ name }) => name);
  }

  #decideSwitchover(to: string | null): SwitchoverDecision {
    const { store, servers, routing } = this.#parts;
    return decideSwitchover({
      store: store.view,
      storeAnswers: store.answers,
      databases: this.#databases,
      lags: servers.lags(routing.writes),
      to: to ?? undefined,
    });
  }

  async #switchover(order: Order<"switchover">): Promise<Outcome> {
    const { store, routing, others, node, pool } = this.#parts;
    const decision = this.#decideSwitchover(order.to);
    if (decision.kind === "refuse") throw refusal("No switchover", decision);
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
      // It also answers that it does not know although it goes on: what counts is who is primary.
      await this.#askPatroni(leader, "/switchover", { leader, candidate: host });
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

  /** Asks the Patroni of a host. @throws OdooPgError refused, Error where it does not answer */
  async #askPatroni(name: string, path: string, body: object): Promise<TlsAnswer> {
    const host = this.#parts.store.document.hosts.find((one) => one.name === name);
    const ask = async (): Promise<TlsAnswer | undefined> =>
      await askTls({
        host: host?.address ?? name,
        port: API_PORT,
        method: "POST",
        path,
        body,
        trust: this.#host.identity,
        timeout: PATRONI_TIMEOUT,
      }).catch((error: unknown) => {
        // Its agent starts it again, as after a change of the hosts that vote: what was refused has not arrived.
        if (isErrno(error, "ECONNREFUSED")) return undefined;
        throw error;
      });
    let answer = await ask();
    await waitUntil(async () => (answer ??= await ask()) !== undefined, {
      what: `Patroni of ${name} to answer`,
      timeout: PATRONI_BACK,
      interval: 250,
      next: nextStep`Look at Patroni's log on ${name}, then the same command again. How it is: ${odooPg("status")}`,
    });
    if (!answer) throw new Error(`Patroni of ${name} does not answer`);
    if (answer.status !== 412 && answer.status !== 400) return answer;
    throw new OdooPgError("refused", {
      message: `Patroni refuses: ${answer.text.trim()}`,
      safe: "Nothing was changed.",
    });
  }

  async #failover(order: Order<"failover">): Promise<Outcome> {
    const { store, routing } = this.#parts;
    const { to } = order;
    const { cluster } = store.document;
    const decision = decideFailover({
      store: store.view,
      storeAnswers: store.answers,
      databases: this.#databases,
      to,
    });
    if (decision.kind === "refuse") throw refusal("No failover", decision);
    if (decision.kind === "nothing") return { done: `${to} is the primary.`, changed: false };
    const cost = costOf(decision, store.view?.leader);
    if (order.dry_run) return { done: `${to} would become the primary. ${cost}`, changed: false };
    if (decision.loses && !(order.allow_data_loss && order.confirm === cluster)) {
      throw new OdooPgError("confirmation_missing", {
        message: `What was acknowledged may be lost. ${cost}`,
        safe: "Nothing was changed.",
        next: odooPg("failover", to, "--allow-data-loss", "--confirm", cluster),
      });
    }
    this.#host.log("warn", `failover to ${to} by force. ${cost}`);
    await this.#askPatroni(to, "/failover", { candidate: to });
    await waitUntil(() => routing.writes === to, {
      what: `${to} to be the primary`,
      timeout: FAILOVER_TIMEOUT,
      interval: 50,
    });
    return { done: `${to} is the primary. ${cost}`, changed: true };
  }

  /** Where the primary is: only there a server says what a setting needs. */
  async #configure(order: Order<"configure">): Promise<Outcome> {
    const { store, servers, others, node } = this.#parts;
    const leads = (): string | undefined => (store.answers ? store.view?.leader : undefined);
    if (order.changes.length === 0) {
      const present = leads();
      if (present === undefined || !others.answers(present)) return { done: "", changed: false };
    }
    await waitUntil(() => leads() !== undefined, {
      what: "a primary",
      timeout: FOLLOW_TIMEOUT,
      interval: 100,
    });
    const leader = leads() ?? "";
    if (leader !== store.record.name) return await others.pass(leader, order);
    return await configure(
      this.#host,
      {
        store,
        servers,
        others,
        node,
        restart: async (hosts, primary) => (await this.#restart(hosts, primary, false)).done,
      },
      order.changes,
      order.dry_run,
    );
  }

  async #restart(hosts: readonly string[], primary: "last" | "in place", dryRun: boolean): Promise<Outcome> {
    const { store } = this.#parts;
    const decision = planRestart({
      store: store.view,
      storeAnswers: store.answers,
      databases: this.#databases,
      hosts,
      primary,
    });
    if (decision.kind === "refuse") throw refusal("No restart", decision);
    const { steps } = decision;
    const told = steps.map(saidOf).join(", ");
    if (dryRun) return { done: `Would be restarted, one after the other: ${told}.`, changed: false };
    for (const step of steps) {
      this.#host.log("info", `restart: ${saidOf(step)}`);
      if (step.kind === "restart") await this.#restartServer(step.host);
      else {
        await this.#switchover({ order: "switchover", to: step.to, dry_run: false });
        await this.#untilBack(step.from);
      }
    }
    return { done: `Restarted, one after the other: ${told}.`, changed: true };
  }

  /** Has a host's server restarted by its Patroni, and waits until it does again what it did. */
  async #restartServer(name: string): Promise<void> {
    const answer = await this.#askPatroni(name, "/restart", { timeout: RESTART_SECONDS });
    if (answer.status !== 200) {
      throw new OdooPgError("node_failed", {
        message: `The server of ${name} does not come back: ${answer.text.trim()}`,
        safe: "The others were not touched after it.",
        next: nextStep`On ${name}: ${odooPg("logs")}`,
      });
    }
    await this.#untilBack(name);
  }

  async #untilBack(name: string): Promise<void> {
    const { store, servers } = this.#parts;
    const isBack = (): boolean =>
      store.view?.leader === name
        ? isPrimary(servers.of(name))
        : store.view?.synchronous.includes(name) === true;
    await waitUntil(isBack, {
      what: `${name} to follow again`,
      timeout: FOLLOW_TIMEOUT,
      interval: 100,
    });
  }

  /** This host's part is stopped; another takes over first where one can. Its data stays. */
  async #down(): Promise<Outcome> {
    const { store, node, patroni, etcd, endpoints, stop } = this.#parts;
    const { name } = store.record;
    if (store.view?.leader === name && store.answers) {
      const decision = this.#decideSwitchover(null);
      if (decision.kind === "to")
        await this.#switchover({ order: "switchover", to: decision.host, dry_run: false });
    }
    await held("stop", [endpoints, patroni, etcd], async () => {
      await endpoints?.stop("fast");
      await patroni?.stop("fast");
      // One that is paused leaves it running.
      if (this.#host.installation) await stopServer(node.files.dataDir, name, "fast");
      await etcd?.stop("fast");
    });
    stop();
    return {
      done: `${name} is stopped; its data stays. The other hosts go on as long as more than half of those that vote run.`,
      changed: true,
    };
  }

  /** This host is none of the cluster's any more. Its data stays, aside. */
  async #leave(): Promise<Outcome> {
    const { store, data, patroni, endpoints, stop } = this.#parts;
    const { name } = store.record;
    const { layout, log, etcd } = this.#host;
    // One that was taken out already has no part in the store any more, and one with endpoints alone never had.
    const isGuest = store.record.role === "endpoints";
    if (isGuest) log("info", "the other hosts still know this one");
    else if (store.isListed) {
      await this.#lookAgain();
      if (!store.answers) throw notReady("The store has no majority.");
      data.refusePrimary();
      await changeDocument(etcd, store.document.cluster, (document) => withoutHost(document, name));
    } else await this.#parts.etcd?.retire();
    // The others take its vote away; its member ends when it sees that.
    await waitUntil(async () => (await store.startedAs()) === undefined, {
      what: `the other hosts to take the vote of ${name} away`,
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    if (!isGuest) await this.#lookAgain();
    await held("remove", [patroni, endpoints], async () => await this.#putAside());
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
    const { node, data, patroni, endpoints } = this.#parts;
    const { layout, files: ha, installation } = this.#host;
    const time = stamp(now());
    const stopped = installation ? await data.stopReplica(patroni) : undefined;
    await endpoints?.stop("fast");
    const { dataDir } = node.files;
    if (stopped && stopped.kind !== "absent") await renameIn(dataDir, `${dataDir}.aside-${time}`);
    const kept = [
      [layout.appliedFile, `${ha.dir}/cluster.json`],
      [layout.stateFile, `${ha.dir}/state.json`],
    ] as const;
    for (const [file, place] of kept) if ((await kindOf(file)) !== undefined) await move(file, place);
    await move(ha.dir, `${ha.dir}.left-${time}`);
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
  async #disband(confirm: string | null): Promise<Outcome> {
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
      `${others.join(", ") || "No other host"} would be none of the cluster's any more, and their servers would stop: clients use the endpoints of ${name} then, and no other host takes over.`,
    );
    await changeDocument(this.#host.etcd, cluster, (document) => ({
      ...document,
      hosts: document.hosts.filter((host) => host.name === name),
    }));
    await waitUntil(() => store.members.length === 1 && store.view?.synchronous.length === 0, {
      what: "the other hosts to be none of the cluster's any more",
      timeout: VOTE_TIMEOUT,
      interval: 100,
      next: "The same command again.",
    });
    const list = async (): Promise<boolean> => (await node.server().use(listedStandbys)).length === 0;
    await waitUntil(list, {
      what: "commits to wait for no other host",
      timeout: VOTE_TIMEOUT,
      interval: 200,
    });
    for (const program of [patroni, etcd]) await program?.hold.take("remove");
    let file = "";
    try {
      await patroni?.stop("immediate");
      await etcd?.stop("fast");
      file = await becomeOne(this.#host, node);
    } catch (error) {
      // They run again, and the same command goes on.
      for (const program of [patroni, etcd]) program?.hold.release();
      throw error;
    }
    this.#host.log("info", `${cluster} has one host again`);
    stop();
    return { done: `${cluster} has one host again, ${name}. Its configuration: ${file}`, changed: true };
  }

  /** The majority of the store is lost for good: this host alone is the store from now on. */
  async #forceNewCluster(confirm: string | null): Promise<Outcome> {
    const { store, others, etcd } = this.#parts;
    const { record, document } = store;
    await this.#lookAgain();
    if (store.answers) throw notReady("The store has its majority: nothing need be forced.");
    if (!etcd || (await store.startedAs()) === undefined || record.role !== "database")
      throw notReady(`${record.name} has no database and vote: do it on a host that has.`);
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
    await this.#lookAgain();
    if (others.answers(host)) throw notReady(`${host} answers: run odoo-pg leave there.`);
    if (store.view?.leader === host) throw notReady(`${host} is the primary still.`);
    if (!store.answers) throw notReady("The store has no majority.");
    await changeDocument(this.#host.etcd, store.document.cluster, (document) => withoutHost(document, host));
    return { done: `${host} is none of the cluster's hosts any more.`, changed: true };
  }
}

/** Has supervision keep its hands off services that an order ends; where that fails they run again. */
async function held(
  operation: NodeOperation,
  services: readonly (Service | undefined)[],
  act: () => Promise<void>,
): Promise<void> {
  try {
    for (const service of services) await service?.hold.take(operation);
    await act();
  } catch (error) {
    for (const service of services) service?.hold.release();
    throw error;
  }
}

function saidOf(step: RestartStep): string {
  return step.kind === "restart" ? step.host : `${step.from} (${step.to} takes over)`;
}

function refusal(
  what: string,
  { why, next }: { readonly why: string; readonly next: NextText },
): OdooPgError {
  return new OdooPgError("refused", { message: `${what}: ${why}.`, safe: "Nothing was changed.", next });
}

/** What a failover by force costs, in words. */
function costOf(
  { loses, lacks }: Extract<FailoverDecision, { kind: "to" }>,
  leader: string | undefined,
): string {
  if (!loses) return "Nothing that was acknowledged is lost.";
  const what =
    lacks === undefined
      ? "How much it lacks of what was written is not known."
      : lacks === 0
        ? "It lacked nothing that the primary had written when the store last heard of it; what was acknowledged after that is lost."
        : `It lacked ${showBytes(lacks)} of WAL that the primary had written when the store last heard of it: what was acknowledged in them is lost.`;
  const old =
    leader === undefined
      ? "A primary that comes back gives such changes up."
      : `${leader} is stopped first, and gives such changes up.`;
  return `${what} ${old}`;
}
