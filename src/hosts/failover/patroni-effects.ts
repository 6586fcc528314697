import { OdooPgError } from "../../errors.ts";
import type { Effects } from "../../failover/carry-out.ts";
import type { PlanStep } from "../../model/plan.ts";
import type { Progress } from "../../progress.ts";
import { waitUntil } from "../../system/clock.ts";
import type { FailoverParts } from "./parts.ts";

/**
 * Milliseconds for a planned change of the primary, for one by force (the former one's right has to expire), to be
 * seen.
 */
const HAND_OVER_TIMEOUT = 60_000;
const FORCE_TIMEOUT = 120_000;
const FOLLOW_TIMEOUT = 120_000;

/** The steps that plans over several hosts have. */
const OF_HOSTS = [
  "checkpoint",
  "pause_clients",
  "resume_clients",
  "hold_new_clients",
  "let_in_new_clients",
  "rest_pool",
  "reopen_pool",
  "hand_over",
  "take_by_force",
  "await_primary",
  "require_room",
  "hold",
  "release",
  "base_backup",
  "stop_replica",
  "keep_aside",
  "put_in_place",
  "await_streaming",
] as const;
type HostStep = Extract<PlanStep, { kind: (typeof OF_HOSTS)[number] }>;

function isOfHosts(step: PlanStep): step is HostStep {
  return OF_HOSTS.some((kind) => kind === step.kind);
}

/** The effects of the steps of one change over several hosts; Patroni is asked to do its part. */
export class PatroniEffects implements Effects {
  readonly #parts: FailoverParts;
  readonly #progress: Progress;
  #copy: string | undefined;

  constructor(parts: FailoverParts, progress: Progress) {
    this.#parts = parts;
    this.#progress = progress;
  }

  recorded(): string {
    return this.#parts.seen().store?.leader ?? "";
  }

  async act(step: PlanStep): Promise<void> {
    const { askPatroni, checkpoint, clients, data, log, newClients, pool } = this.#parts;
    if (!isOfHosts(step)) throw new Error(`${step.kind} is no step of several hosts`);
    switch (step.kind) {
      case "checkpoint":
        return await checkpoint();
      case "pause_clients":
        for (const endpoint of step.endpoint ? [step.endpoint] : (["read", "write"] as const))
          await clients.hold(endpoint);
        return;
      case "resume_clients":
        return await clients.goOn();
      case "hold_new_clients":
        return await newClients.hold(step.node);
      case "let_in_new_clients":
        return await newClients.letIn();
      case "rest_pool":
        return await pool.rest().catch((error: unknown) => log("warn", String(error)));
      case "reopen_pool":
        return pool.resume();
      case "hand_over":
        // It may answer that it does not know, and go on all the same: what counts is who is primary.
        await askPatroni(step.node, "/switchover", { leader: step.node, candidate: step.to });
        return;
      case "take_by_force":
        await askPatroni(step.node, "/failover", { candidate: step.node });
        return;
      case "await_primary":
        return await this.#until(
          `${step.node} to be the primary`,
          () => this.#parts.seen().writes === step.node,
          step.by === "force" ? FORCE_TIMEOUT : HAND_OVER_TIMEOUT,
        );
      case "require_room":
        return await data.requireRoom();
      case "hold":
        return await data.hold();
      case "release":
        return data.release();
      case "base_backup":
        this.#copy = await data.copyPrimary();
        return;
      case "stop_replica":
        // A copy takes hours: the primary may be another one by now, or lost, and this host next.
        await data.requireReplica();
        return await data.stop();
      case "keep_aside": {
        const aside = await data.keepAside();
        if (aside !== undefined)
          this.#progress.note(`Its old data is kept in ${aside}: remove it when you are sure.`);
        return;
      }
      case "put_in_place":
        await data.putInPlace(this.#wholeCopy());
        this.#copy = undefined;
        return;
      case "await_streaming":
        return await this.#until(
          `${step.node} to follow the primary`,
          () => this.#parts.seen().store?.synchronous.includes(step.node) === true,
          FOLLOW_TIMEOUT,
        );
    }
  }

  /** Removes a copy that was not put in place. */
  async clear(): Promise<void> {
    if (this.#copy !== undefined) await this.#parts.data.drop(this.#copy);
  }

  #wholeCopy(): string {
    if (this.#copy !== undefined) return this.#copy;
    throw new OdooPgError("refused", {
      message: "There is no copy to put in place.",
      safe: "Nothing was changed.",
    });
  }

  async #until(what: string, holds: () => boolean, timeout: number): Promise<void> {
    await waitUntil(holds, { what, timeout, interval: 50 });
  }
}
