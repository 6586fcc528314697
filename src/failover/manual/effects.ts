import { slotName } from "../../config/layout.ts";
import type { PlanStep } from "../../model/plan.ts";
import { factsOf, identityOf } from "../../model/observation.ts";
import { monotonic, now } from "../../system/clock.ts";
import { checkpoint, endSenders, ensureSlot } from "../../postgres/sql/operations.ts";
import { odooPg } from "../../next-step.ts";
import type { Progress } from "../../progress.ts";
import type { Release } from "../../members/holds.ts";
import type { Member } from "../../members/member.ts";
import { NodeHandle } from "../../members/node-handle.ts";
import {
  handleOf,
  primaryName,
  primaryOf,
  recordHistory,
  replicasOf,
  type Runtime,
} from "../../members/runtime.ts";
import type { ReadPool } from "../../services/read-pool.ts";
import type { Effects } from "../carry-out.ts";
import type { Clients } from "../../services/clients.ts";
import {
  awaitReplay,
  becomePrimaryAgain,
  becomeStandby,
  dropSlots,
  fence,
  limitLoss,
  prepareStart,
  promoteNode,
  recordPrimary,
  releaseCommits,
  settle,
  startAgain,
  startAsReplica,
  stopPrimary,
  takeOver,
} from "./primary.ts";
import { ReplicaData } from "./replica-data.ts";

type StepOf<Kind extends PlanStep["kind"]> = Extract<PlanStep, { kind: Kind }>;

/** What the steps of one plan do to this host. What one step finds, such as a copy's place, a later one uses. */
export class ManualEffects implements Effects {
  readonly #runtime: Runtime;
  readonly #pool: ReadPool;
  readonly #clients: Clients;
  readonly #progress: Progress;
  readonly #data: ReplicaData;
  #outOfPool: Release[] = [];
  /** When writes were closed (monotonic), and when the primary had last answered then (our clock). */
  #closed: { readonly at: number; readonly lastAnswer: number | undefined } | undefined;
  /** Milliseconds from then until the endpoint led writes again. */
  #paused: number | undefined;
  /** When the next primary was told to become it. Milliseconds since the epoch. */
  #promotedAt: number | undefined;

  constructor(runtime: Runtime, pool: ReadPool, clients: Clients, progress: Progress) {
    this.#runtime = runtime;
    this.#pool = pool;
    this.#clients = clients;
    this.#progress = progress;
    this.#data = new ReplicaData(runtime, progress);
  }

  recorded(): string {
    return primaryName(this.#runtime);
  }

  async act(step: PlanStep): Promise<void> {
    const runtime = this.#runtime;
    const progress = this.#progress;
    switch (step.kind) {
      case "hold":
        return await this.#node(step.node).hold.take(step.operation);
      case "release":
        this.#node(step.node).hold.release();
        return;
      case "pause_clients":
        return await this.#clients.pause(progress);
      case "resume_clients":
        return await this.#clients.resume();
      case "hold_new_clients":
        return await this.#clients.holdNew(step.node);
      case "let_in_new_clients":
        return await this.#clients.letInNew(step.node);
      case "leave_pool":
        return await this.#leavePool(step);
      case "empty_pool":
        this.#holdAllOutOfPool();
        return await this.#pool.empty();
      case "reopen_pool":
        this.#pool.reopen();
        for (const release of this.#outOfPool.splice(0)) release();
        return;
      case "close_writes":
        this.#closeWrites(step.node);
        return await this.#pool.step();
      case "close_endpoints":
        this.#holdAllOutOfPool();
        this.#closeWrites(step.node);
        return await this.#pool.close();
      case "reopen_writes":
        // The next turn of the loop routes there: an HAProxy that does not answer now must not hold up the rest of the undo.
        this.#pool.leadWrites(step.node);
        return;
      case "route":
        return await this.#route(step);
      case "record_change":
        return await this.#recordChange(step);
      case "checkpoint":
        return await this.#node(step.node).use(checkpoint);
      case "make_slots":
        return await this.#node(step.node).use(async (session) => {
          for (const name of step.followers) await ensureSlot(session, slotName(name));
        });
      case "drop_slots":
        return await dropSlots(this.#node(step.node), step.followers);
      case "end_silent_senders":
        return await this.#endSilentSenders(step);
      case "stop":
        return await stopPrimary(this.#node(step.node), step.mode);
      case "fence":
        return await this.#fence(step);
      case "limit_loss":
        return await limitLoss(runtime, this.#member(step.of), this.#node(step.node), {
          accepted: step.accepted,
          provenFrom: this.#pool.provenFrom(step.node),
        });
      case "await_replay":
        return await awaitReplay(runtime, this.#node(step.of), this.#node(step.node));
      case "become_standby":
        return await becomeStandby(runtime, this.#node(step.node));
      case "become_primary":
        return await becomePrimaryAgain(this.#node(step.node));
      case "start":
        return await startAgain(runtime, this.#node(step.node));
      case "release_commits":
        return await releaseCommits(runtime, this.#node(step.node));
      case "record_primary":
        return await recordPrimary(runtime, step.node);
      case "promote":
        this.#promotedAt = now();
        return await promoteNode(runtime, this.#node(step.node));
      case "take_over":
        return await takeOver(runtime, this.#node(step.node));
      case "needs_rejoin":
        return this.#node(step.node).waitFor(
          "needs rejoin",
          `${step.node} was a primary; ${step.primary} is the primary now.`,
          odooPg("rejoin", step.node),
        );
      case "prepare_start":
        return await prepareStart(
          runtime,
          step.nodes.map((name) => this.#node(name)),
        );
      case "follow":
        return await startAsReplica(runtime, this.#node(step.node));
      case "settle":
        return await settle(runtime, this.#clients, progress);
      case "await_streaming":
      case "require_room":
      case "base_backup":
      case "stop_replica":
      case "renew_slot":
      case "take_slot_of_copy":
      case "rewind":
      case "keep_aside":
      case "put_in_place":
      case "discard_old":
        return await this.#data.act(step, this.#node(step.node));
      case "rest_pool":
      case "hand_over":
      case "take_by_force":
      case "await_primary":
        throw new Error(`${step.kind} is a step of several hosts`);
    }
  }

  #node(name: string): NodeHandle {
    return handleOf(this.#runtime, name);
  }

  /** A node, or the primary that somebody else runs. */
  #member(name: string): Member {
    const { upstream } = this.#runtime;
    return upstream?.node.name === name ? upstream : this.#node(name);
  }

  /** What someone else runs, a person has to keep down. */
  async #fence(step: StepOf<"fence">): Promise<void> {
    const old = this.#member(step.node);
    if (old instanceof NodeHandle) await fence(old, step, this.#progress);
  }

  #holdAllOutOfPool(): void {
    for (const name of this.#runtime.nodes.keys()) this.#outOfPool.push(this.#runtime.held.hold(name));
  }

  async #leavePool({ node, required }: StepOf<"leave_pool">): Promise<void> {
    this.#outOfPool.push(this.#runtime.held.hold(node));
    try {
      await this.#pool.step();
    } catch (error) {
      if (required) throw error;
      this.#runtime.log("warn", `${node} leaves the read pool: ${String(error)}`);
    }
  }

  #closeWrites(primary: string): void {
    this.#closed = { at: monotonic(), lastAnswer: this.#member(primary).observation.lastSeen };
    this.#pool.leadWrites(undefined);
  }

  async #route({ node }: StepOf<"route">): Promise<void> {
    this.#pool.leadWrites(node);
    await this.#pool.step();
    this.#progress.note(`writes lead to ${node}`);
    if (this.#closed) this.#paused = Math.round(monotonic() - this.#closed.at);
  }

  /** A stopping primary waits for every attached replica: one that hangs would hold up all writes (wal_sender_timeout). */
  async #endSilentSenders({ node }: StepOf<"end_silent_senders">): Promise<void> {
    const silent = replicasOf(this.#runtime).filter((handle) => !factsOf(handle.observation));
    await this.#node(node).use(
      async (session) =>
        await endSenders(
          session,
          silent.map((handle) => handle.node.name),
        ),
    );
  }

  async #recordChange(step: StepOf<"record_change">): Promise<void> {
    const paused = this.#pauseAs(step.paused);
    if (step.paused === "measured" && paused !== null) this.#progress.note(`writes paused for ${paused} ms`);
    await recordHistory(this.#runtime, {
      // By it a recovery knows on which timeline a moment lies: what is later may be written by the new primary.
      at: new Date(this.#promotedAt ?? now()).toISOString(),
      kind: step.change,
      from: step.from,
      to: step.to,
      why: step.why,
      timeline: identityOf(primaryOf(this.#runtime).observation)?.timeline ?? null,
      writes_paused_ms: paused,
    });
  }

  #pauseAs(kind: StepOf<"record_change">["paused"]): number | null {
    if (kind === "unknown") return null;
    if (kind === "measured") return this.#paused ?? null;
    // Nothing could be written since the primary last answered. An agent that never saw it answer cannot tell.
    const lastAnswer = this.#closed?.lastAnswer;
    return lastAnswer === undefined ? null : Math.max(0, Math.round(now() - lastAnswer));
  }
}
