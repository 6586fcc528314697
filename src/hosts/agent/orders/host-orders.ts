import { pooledEndpoints } from "../../../config/pooling.ts";
import { OdooPgError } from "../../../errors.ts";
import type { Plan } from "../../../cluster/changes/planned.ts";
import { planWords } from "../../../cluster/changes/words.ts";
import type { Failover } from "../../../failover/failover.ts";
import { identityOf, isPrimary } from "../../../model/observation.ts";
import type { Progress } from "../../../progress.ts";
import { asStep, nextStep, odooPg, type NextText } from "../../../next-step.ts";
import { stopServer } from "../../../postgres/server.ts";
import { checkpoint } from "../../../postgres/sql/operations.ts";
import { PAUSE_TIMEOUT } from "../../../services/pooler.ts";
import { monotonic, now, waitUntil, within } from "../../../system/clock.ts";
import type { TlsAnswer } from "../../../system/network/mutual-tls.ts";
import { planRestart, type RestartStep } from "../../decisions/settings/restart.ts";
import type { HostOrder } from "../../documents/orders.ts";
import { databasesOf } from "../../documents/host-config.ts";
import { askPatroni } from "../../failover/ask-patroni.ts";
import type { Seen } from "../../failover/parts.ts";
import { PatroniFailover } from "../../failover/patroni-failover.ts";
import { decidedSwitchover } from "../../failover/switchover-decided.ts";
import type { HostPool } from "../endpoints/host-pool.ts";
import type { AskedRestarts } from "./asked-restarts.ts";
import { configure } from "./configure.ts";
import { MembershipOrders, type MembershipParts } from "./membership-orders.ts";
import { whileHeld } from "./while-held.ts";
import type { HostRouting } from "../endpoints/host-routing.ts";
import type { NewClients } from "../endpoints/new-clients.ts";
import { notReady, SILENT, type OneHost, type Outcome } from "../host.ts";
import { setPause } from "./pause.ts";
import type { Servers } from "../servers.ts";

/** Seconds for a server to be back: after that another host would take over from a primary. */
const RESTART_SECONDS = 120;

/** Milliseconds for a server that is to stop to write what it has to: a machine that goes down does not wait for ever. */
const CHECKPOINT_TIMEOUT = 60_000;

/** Milliseconds for a replica to follow again. */
const FOLLOW_TIMEOUT = 120_000;

/** Milliseconds for a host to let its clients wait: open transactions have their time to end. */
const CLIENTS_TIMEOUT = PAUSE_TIMEOUT + 2000;

/**
 * Milliseconds for a host to lead no new client to another and for those who are logging in there to finish; one with
 * endpoints alone is told when it asks.
 */
const NEW_CLIENTS_TIMEOUT = 4500;
const GUESTS_TIMEOUT = 2500;

export interface OrderParts extends MembershipParts {
  /** Of odoo-pg here. */
  readonly version: string;
  readonly servers: Servers;
  readonly routing: HostRouting;
  readonly pool: HostPool;
  readonly newClients: NewClients;
  readonly asked: AskedRestarts;
}

/** Orders between agents for a planned change that one of them makes: those that it waits for may be busy with it. */
const OF_CLIENTS = ["hold_clients", "release_clients", "hold_new_clients", "let_in_new_clients"] as const;
type OfClients = (typeof OF_CLIENTS)[number];

function isOfClients(order: HostOrder): order is Order<OfClients> {
  return OF_CLIENTS.some((kind) => kind === order.order);
}

type Order<K extends HostOrder["order"]> = Extract<HostOrder, { order: K }>;

/** What people and the agents of other hosts may order here. */
export class HostOrders {
  readonly #host: OneHost;
  readonly #parts: OrderParts;
  readonly #membership: MembershipOrders;
  #busy: string | undefined;

  constructor(host: OneHost, parts: OrderParts) {
    this.#host = host;
    this.#parts = parts;
    this.#membership = new MembershipOrders(host, parts);
  }

  /** What it is doing; undefined where nothing. */
  get busy(): string | undefined {
    return this.#busy;
  }

  /**
   * Carries an order out; a change of the primary on the primary's host, whose server writes a checkpoint first.
   * @throws OdooPgError refused also while another is carried out, and on a host that was removed
   */
  async carryOut(order: HostOrder): Promise<Outcome> {
    const { record, isListed } = this.#parts.store;
    const isOfOwnEnd = order.order === "leave" || order.order === "down";
    if (!isListed && !isOfOwnEnd)
      throw notReady(
        `This machine is no longer part of the cluster: it was removed, or another one was given the name ${record.name}. Run odoo-pg leave here; it can join again then.`,
      );
    if (record.role === "endpoints" && !isOfOwnEnd)
      throw notReady("This host has endpoints alone: do it on a host with a database.");
    if (order.order === "pause" || order.order === "resume")
      return await setPause(
        this.#host.etcd,
        this.#parts.store,
        order.order === "pause" ? order.until : undefined,
      );
    if (isOfClients(order)) return await this.#clientsHere(order);
    if (order.order === "remove" && order.here === true)
      return await this.#membership.revokeHere({ host: order.host, from: now(), by: order.by }, true);
    if (this.#busy !== undefined)
      throw notReady(`${record.name} is busy with something else: ${this.#busy}.`);
    this.#busy = order.order;
    try {
      return await this.#carryOut(order);
    } finally {
      this.#busy = undefined;
    }
  }

  /** Of a planned change that another host makes: this one may be waiting for it. */
  async #clientsHere(order: Order<OfClients>): Promise<Outcome> {
    const { poolers, routing, newClients } = this.#parts;
    const notes: string[] = [];
    switch (order.order) {
      case "hold_clients":
        await poolers?.hold(order.endpoint, { ...SILENT, note: (text) => void notes.push(text) });
        break;
      case "release_clients":
        await poolers?.goOn(() => routing.isPrimaryUp);
        break;
      case "hold_new_clients":
        await newClients.hold(order.host);
        await newClients.settle();
        break;
      case "let_in_new_clients":
        await newClients.letIn();
        break;
    }
    return { done: notes.join(" "), changed: true };
  }

  /** Has the agents of all hosts with a database let clients wait or go on. @param timeout milliseconds for each */
  async #clientsEverywhere(order: Order<OfClients>, timeout: number): Promise<void> {
    const { store, others } = this.#parts;
    const own = store.record.name;
    const asked = this.#databases.filter((name) => name === own || others.answers(name));
    await Promise.all(
      asked.map(async (name) => {
        const told = name === own ? this.#clientsHere(order) : others.pass(name, order);
        await within(timeout, `clients of ${name}`, told).then(
          ({ done }) => done !== "" && this.#host.log("warn", `${name}: ${done}`),
          (error: unknown) => this.#host.log("warn", `clients of ${name} are not held: ${String(error)}`),
        );
      }),
    );
  }

  /** The same where endpoints pool. */
  async #pooledEverywhere(order: Order<"hold_clients" | "release_clients">): Promise<void> {
    const pooled = pooledEndpoints(this.#parts.store.document.config);
    if (order.order === "hold_clients" ? !pooled.includes(order.endpoint) : pooled.length === 0) return;
    await this.#clientsEverywhere(order, CLIENTS_TIMEOUT);
  }

  /** Leads no new client to a host on any other, and returns when those who were logging in have finished. Never rejects. */
  async #holdNewEverywhere(host: string): Promise<void> {
    const { store, others } = this.#parts;
    await this.#clientsEverywhere({ order: "hold_new_clients", host }, NEW_CLIENTS_TIMEOUT);
    const guests = store.document.hosts.filter(
      ({ name, role }) => role === "endpoints" && others.answers(name),
    );
    const isTold = ({ name }: { readonly name: string }): boolean => {
      const holds = others.heard.get(name)?.report.holds;
      // One of an earlier version holds nobody.
      return holds === undefined || holds === host;
    };
    await waitUntil(() => guests.every(isTold), {
      what: "hosts with endpoints alone",
      timeout: GUESTS_TIMEOUT,
      interval: 50,
    }).catch((error: unknown) => this.#host.log("warn", `new clients are not held: ${String(error)}`));
    if (guests.length > 0)
      await this.#parts.newClients
        .settle()
        .catch((error: unknown) =>
          this.#host.log("warn", `clients that log in are not waited for: ${String(error)}`),
        );
  }

  async #letInNewEverywhere(): Promise<void> {
    await this.#clientsEverywhere({ order: "let_in_new_clients" }, NEW_CLIENTS_TIMEOUT);
  }

  async #carryOut(order: Exclude<HostOrder, { order: "pause" | "resume" | OfClients }>): Promise<Outcome> {
    const kind = order.order;
    if (kind === "switchover") return await this.#switchover(order);
    if (kind === "failover") return await this.#force(order);
    if (kind === "configure") return await this.#configure(order);
    if (kind === "reseed") return await this.#reseed(order);
    if (kind === "down") return await this.#down();
    if (kind === "disband") return await this.#membership.disband(order.confirm);
    if (kind === "force_new_cluster") return await this.#membership.forceNewCluster(order.confirm);
    if (kind === "leave") return await this.#membership.leave();
    if (kind === "remove") return await this.#membership.remove(order.host);
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
      checkpoint: async () => await this.#checkpoint(),
      pool: this.#parts.pool,
      clients: {
        hold: async (endpoint) => await this.#pooledEverywhere({ order: "hold_clients", endpoint }),
        goOn: async () => await this.#pooledEverywhere({ order: "release_clients" }),
      },
      newClients: {
        hold: async (host) => await this.#holdNewEverywhere(host),
        letIn: async () => await this.#letInNewEverywhere(),
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
    await this.#holdNewEverywhere(name);
    let answer: TlsAnswer;
    try {
      answer = await this.#askPatroni(name, "/restart", { timeout: RESTART_SECONDS });
    } finally {
      await this.#letInNewEverywhere();
    }
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

  /** @throws SqlError */
  async #checkpoint(): Promise<void> {
    const { node, store } = this.#parts;
    await node.runtime?.nodes.get(store.record.node)?.use(checkpoint);
  }

  /** This host's part is stopped; another takes over first where one can. Its data stays. */
  async #down(): Promise<Outcome> {
    const { store, node, patroni, etcd, endpoints, poolers, stop } = this.#parts;
    const { name } = store.record;
    if (store.view?.leader === name && store.answers) {
      const decision = await decidedSwitchover(() => this.#seen(), undefined);
      if (decision.kind === "to")
        await this.#switchover({ order: "switchover", to: decision.host, dry_run: false });
    }
    // Patroni gives a server eight seconds to stop: with much to write that would be cut short, and recovered at the start.
    await within(CHECKPOINT_TIMEOUT, "a checkpoint", this.#checkpoint()).catch((error: unknown) =>
      this.#host.log("info", `${name} is stopped without a checkpoint first: ${String(error)}`),
    );
    // It ends by itself when the server is gone.
    if (this.#host.installation) await this.#holdNewEverywhere(name);
    await whileHeld("stop", [endpoints, patroni, etcd], async () => {
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
