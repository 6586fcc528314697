import { pooledEndpoints } from "../../config/pooling.ts";
import { OdooPgError } from "../../errors.ts";
import type { Plan } from "../../cluster/changes/planned.ts";
import { planWords } from "../../cluster/changes/words.ts";
import type { Failover } from "../../failover/failover.ts";
import { identityOf, isPrimary } from "../../model/observation.ts";
import type { Progress } from "../../progress.ts";
import { stamp } from "../../model/time-stamp.ts";
import { asStep, nextStep, odooPg, type NextText } from "../../next-step.ts";
import { stopServer } from "../../postgres/server.ts";
import { listedStandbys } from "../../postgres/sql/commit-list.ts";
import { checkpoint } from "../../postgres/sql/operations.ts";
import type { NodeOperation } from "../../model/node-state.ts";
import type { Service } from "../../services/service.ts";
import type { Endpoints } from "../../services/endpoints.ts";
import { PAUSE_TIMEOUT } from "../../services/pooler.ts";
import { monotonic, now, waitUntil, within } from "../../system/clock.ts";
import { kindOf, move } from "../../system/files/files.ts";
import { renameIn } from "../../system/files/folder.ts";
import type { TlsAnswer } from "../../system/network/mutual-tls.ts";
import { withRevoked } from "../decisions/revocation.ts";
import { planRestart, type RestartStep } from "../decisions/restart.ts";
import { decideSwitchover } from "../decisions/switchover.ts";
import { changeDocument } from "../documents/change.ts";
import type { HostOrder } from "../documents/orders.ts";
import { withoutHost } from "../joining/joining.ts";
import type { EtcdService } from "../programs/etcd-service.ts";
import type { PatroniService } from "../programs/patroni-service.ts";
import { databasesOf } from "../documents/host-config.ts";
import { askPatroni } from "../failover/ask-patroni.ts";
import type { Seen } from "../failover/parts.ts";
import { PatroniFailover } from "../failover/patroni-failover.ts";
import type { HostPool } from "./host-pool.ts";
import type { HostPoolers } from "./host-poolers.ts";
import type { AskedRestarts } from "./asked-restarts.ts";
import { becomeOne } from "./become-one.ts";
import { configure } from "./configure.ts";
import type { HostData } from "./host-data.ts";
import type { HostRouting } from "./host-routing.ts";
import { notReady, SILENT, type OneHost, type Outcome } from "./host.ts";
import type { OtherHosts } from "./other-hosts.ts";
import type { OwnNode } from "./own-node.ts";
import { setPause } from "./pause.ts";
import type { Revocations } from "../revoking/revocations.ts";
import type { Servers } from "./servers.ts";
import type { StoreWatch } from "./store-watch.ts";

/** Seconds for a server to be back: after that another host would take over from a primary. */
const RESTART_SECONDS = 120;

/** Milliseconds for a replica to follow again. */
const FOLLOW_TIMEOUT = 120_000;

/** Milliseconds for a host to let its clients wait: open transactions have their time to end. */
const CLIENTS_TIMEOUT = PAUSE_TIMEOUT + 2000;

/** Milliseconds for another host to write down that a host is removed. */
const PASS_TIMEOUT = 15_000;

/** Milliseconds for it to see that this one does not answer: it may have heard of it a moment ago. */
const SEE_TIMEOUT = 7000;

/** Milliseconds for the others to take a vote away. */
const VOTE_TIMEOUT = 120_000;

/** Milliseconds in which one that leaves still sees that it has. */
const LEAVE_TIME = 2 * VOTE_TIMEOUT;

export interface OrderParts {
  /** Of odoo-pg here. */
  readonly version: string;
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
  /** None where there is no server. */
  readonly poolers: HostPoolers | undefined;
  readonly revocations: Revocations;
  readonly asked: AskedRestarts;
  /** Ends the agent. */
  readonly stop: () => void;
}

type Order<K extends HostOrder["order"]> = Extract<HostOrder, { order: K }>;

/** What people and the agents of other hosts may order here. */
export class HostOrders {
  readonly #host: OneHost;
  readonly #parts: OrderParts;
  #busy: string | undefined;

  constructor(host: OneHost, parts: OrderParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** What it is doing; undefined where nothing. */
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
    if (order.order === "hold_clients" || order.order === "release_clients")
      return await this.#clientsHere(order);
    if (order.order === "remove" && order.here === true)
      return await this.#revokeHere(order.host, now(), true);
    if (this.#busy !== undefined)
      throw notReady(`${this.#parts.store.record.name} is busy with something else: ${this.#busy}.`);
    this.#busy = order.order;
    try {
      return await this.#carryOut(order);
    } finally {
      this.#busy = undefined;
    }
  }

  /** Of a planned change that another host makes: this one may be waiting for it. */
  async #clientsHere(order: Order<"hold_clients" | "release_clients">): Promise<Outcome> {
    const { poolers, routing } = this.#parts;
    const notes: string[] = [];
    if (order.order === "hold_clients")
      await poolers?.hold(order.endpoint, { ...SILENT, note: (text) => void notes.push(text) });
    else await poolers?.goOn(() => routing.isPrimaryUp);
    return { done: notes.join(" "), changed: true };
  }

  /** Has the agents of all hosts with a database, where endpoints pool, let clients wait or go on. */
  async #clientsEverywhere(order: Order<"hold_clients" | "release_clients">): Promise<void> {
    const { store, others } = this.#parts;
    const pooled = pooledEndpoints(store.document.config);
    if (order.order === "hold_clients" ? !pooled.includes(order.endpoint) : pooled.length === 0) return;
    const own = store.record.name;
    const asked = this.#databases.filter((name) => name === own || others.answers(name));
    await Promise.all(
      asked.map(async (name) => {
        const told = name === own ? this.#clientsHere(order) : others.pass(name, order);
        await within(CLIENTS_TIMEOUT, `clients of ${name}`, told).then(
          ({ done }) => done !== "" && this.#host.log("warn", `${name}: ${done}`),
          (error: unknown) => this.#host.log("warn", `clients of ${name} are not held: ${String(error)}`),
        );
      }),
    );
  }

  async #carryOut(
    order: Exclude<HostOrder, { order: "pause" | "resume" | "hold_clients" | "release_clients" }>,
  ): Promise<Outcome> {
    const kind = order.order;
    if (kind === "switchover") return await this.#switchover(order);
    if (kind === "failover") return await this.#force(order);
    if (kind === "configure") return await this.#configure(order);
    if (kind === "reseed") return await this.#reseed(order);
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

  /** How a change of the primary is made here. */
  get #failover(): Failover {
    return new PatroniFailover({
      seen: () => this.#seen(),
      askPatroni: async (name, path, body) => await this.#askPatroni(name, path, body),
      checkpoint: async () => {
        const { node, store } = this.#parts;
        await node.runtime?.nodes.get(store.record.node)?.use(checkpoint);
      },
      pool: this.#parts.pool,
      clients: {
        hold: async (endpoint) => await this.#clientsEverywhere({ order: "hold_clients", endpoint }),
        goOn: async () => await this.#clientsEverywhere({ order: "release_clients" }),
      },
      data: this.#parts.data.replica(this.#parts.patroni),
      log: this.#host.log,
    });
  }

  #seen(): Seen {
    const { store, servers, routing, data, patroni } = this.#parts;
    return {
      store: store.view,
      storeAnswers: store.answers,
      cluster: store.document.cluster,
      host: store.record.name,
      databases: this.#databases,
      pooled: pooledEndpoints(store.document.config),
      lags: servers.lags(routing.writes),
      writes: routing.writes,
      timeline: identityOf(servers.of(store.record.name))?.timeline,
      hasDatabase: patroni !== undefined,
      working: data.working,
    };
  }

  async #switchover(order: Order<"switchover">): Promise<Outcome> {
    const { store, others } = this.#parts;
    const failover = this.#failover;
    const plan = await failover.plan({ kind: "switchover", to: order.to ?? undefined });
    if (order.dry_run || plan.steps.length === 0) return planTold(plan);
    const [leader, to] = [store.view?.leader, primaryOf(plan)];
    // On the primary's host, whose server writes a checkpoint first.
    if (leader !== undefined && leader !== store.record.name)
      return await others.pass(leader, { ...order, to });
    const begun = monotonic();
    await failover.carryOut(plan, this.#progress);
    const took = ((monotonic() - begun) / 1000).toFixed(1);
    return {
      done: `${to} is the primary; it took ${took} s.`,
      changed: true,
      plan: planWords(plan.steps),
      undo: asStep(plan.undo),
    };
  }

  async #force(order: Order<"failover">): Promise<Outcome> {
    const { to, dry_run: dryRun } = order;
    const failover = this.#failover;
    const { cluster } = this.#parts.store.document;
    const plan = await failover.plan({
      kind: "promote",
      node: to,
      fence: undefined,
      // Whoever only asks is told the cost.
      allowDataLoss: dryRun || order.allow_data_loss,
      confirm: dryRun ? cluster : (order.confirm ?? undefined),
    });
    if (dryRun || plan.steps.length === 0) return planTold(plan);
    this.#host.log("warn", `failover to ${to} by force. ${plan.remark}`);
    await failover.carryOut(plan, this.#progress);
    return { done: `${to} is the primary. ${plan.remark ?? ""}`, changed: true };
  }

  async #reseed(order: Order<"reseed">): Promise<Outcome> {
    const failover = this.#failover;
    const { name } = this.#parts.store.record;
    const plan = await failover.plan({ kind: "reseed", node: name, discardOld: false });
    if (order.dry_run) return planTold(plan);
    const notes: string[] = [];
    await failover.carryOut(plan, { ...this.#progress, note: (text) => void notes.push(text) });
    return { done: [`${name} follows again.`, ...notes].join(" "), changed: true };
  }

  /** The log records what is done here. */
  get #progress(): Progress {
    const { log } = this.#host;
    return {
      step: (node, text) => log("info", `${node ?? ""}: ${text}`),
      bytes: () => {},
      note: (text) => log("info", text),
    };
  }

  /** @throws OdooPgError refused, timed_out; Error where it does not answer */
  async #askPatroni(name: string, path: string, body: object): Promise<TlsAnswer> {
    const { hosts } = this.#parts.store.document;
    const address = hosts.find((one) => one.name === name)?.address ?? name;
    return await askPatroni({ name, address }, path, body, this.#host.identity);
  }

  /** Where the primary is: only there a server says what a setting needs. */
  async #configure(order: Order<"configure">): Promise<Outcome> {
    const { store, asked, others, node, version } = this.#parts;
    if (!order.dry_run) node.lookAgain();
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
        asked,
        others,
        node,
        version,
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
    const { store, node, patroni, etcd, endpoints, poolers, stop } = this.#parts;
    const { name } = store.record;
    if (store.view?.leader === name && store.answers) {
      const decision = decideSwitchover({ ...this.#seen(), to: undefined });
      if (decision.kind === "to")
        await this.#switchover({ order: "switchover", to: decision.host, dry_run: false });
    }
    await held("stop", [endpoints, patroni, etcd], async () => {
      await endpoints?.stop("fast");
      await poolers?.stop();
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

  /** This host leaves the cluster. Its data is kept aside. */
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
      const { seen } = store;
      await changeDocument(etcd, store.document.cluster, (document) =>
        withoutHost(withRevoked(document, { name, from: now() + LEAVE_TIME, seen }, now()), name),
      );
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
    const { node, data, patroni, endpoints, poolers } = this.#parts;
    const { layout, files: ha, installation } = this.#host;
    const time = stamp(now());
    const stopped = installation ? await data.stopReplica(patroni) : undefined;
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
  async #remove(host: string): Promise<Outcome> {
    const { store, others } = this.#parts;
    const from = now();
    await this.#revokeHere(host, from, false);
    const own = store.record.name;
    const asked = store.document.hosts.filter(
      ({ name, role }) => name !== own && name !== host && role !== "endpoints" && others.answers(name),
    );
    // Before it stands in the store, where the host that is removed could take it out again: it may see it there first.
    await Promise.all(
      asked.map(async ({ name }) => {
        await within(PASS_TIMEOUT, name, others.pass(name, { order: "remove", host, here: true })).catch(
          (error: unknown) => this.#host.log("warn", `${name} learns from the store alone: ${String(error)}`),
        );
      }),
    );
    await changeDocument(this.#host.etcd, store.document.cluster, (document) =>
      withoutHost(withRevoked(document, { name: host, from, seen: store.seen }, from), host),
    );
    return { done: `${host} is no longer one of the cluster's hosts.`, changed: true };
  }

  /**
   * Writes down for this host alone that the certificates of a host that is lost for good are revoked: no word of the store
   * takes that back.
   * @param isOrdered whether another host, which has seen that it does not answer, has it done
   */
  async #revokeHere(host: string, from: number, isOrdered: boolean): Promise<Outcome> {
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
    await store.revoke(host, from);
    await revocations.write();
    return { done: "", changed: true };
  }
}

/** Keeps supervision away from services that an order ends; if that fails they run again. */
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

/** A plan that is only told. */
function planTold({ steps, undo, remark }: Plan): Outcome {
  const plan = planWords(steps);
  const words = plan.length ? "Dry run: nothing was changed." : "Nothing was changed.";
  return {
    done: remark === undefined ? words : `${remark} ${words}`,
    changed: false,
    ...(plan.length ? { plan, undo: asStep(undo) } : {}),
  };
}

/** Who is the primary when a plan is carried out. */
function primaryOf({ steps }: Plan): string {
  return steps.flatMap((step) => (step.kind === "await_primary" ? [step.node] : []))[0] ?? "";
}
