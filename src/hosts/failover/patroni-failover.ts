import type { Plan } from "../../cluster/changes/planned.ts";
import { OdooPgError } from "../../errors.ts";
import { carryOutSteps } from "../../failover/carry-out.ts";
import type { Failover, PrimaryChange, Topology } from "../../failover/failover.ts";
import { showBytes } from "../../model/quantities.ts";
import { odooPg, type NextText } from "../../next-step.ts";
import type { Progress } from "../../progress.ts";
import { decideFailover, type FailoverDecision } from "../decisions/primary/failover.ts";
import type { FailoverParts } from "./parts.ts";
import { PatroniEffects } from "./patroni-effects.ts";
import { planCopy, planForce, planHandOver } from "./plans.ts";
import { decidedSwitchover } from "./switchover-decided.ts";

const NOTHING: Plan = { steps: [], undo: "nothing was changed" };

/** Several hosts: Patroni decides by the store who is primary. What a person wants, it is asked for. */
export class PatroniFailover implements Failover {
  readonly kind = "patroni";
  readonly #parts: FailoverParts;

  constructor(parts: FailoverParts) {
    this.#parts = parts;
  }

  topology(): Topology {
    const { store, writes, timeline } = this.#parts.seen();
    // Patroni itself finishes what was begun.
    return { primary: store?.leader, timeline, writes, unfinished: false, authority: { kind: "store" } };
  }

  async plan(change: PrimaryChange): Promise<Plan> {
    if (change.kind === "switchover") return await this.#switchover(change.to);
    return this.#plan(change);
  }

  #plan(change: Exclude<PrimaryChange, { kind: "switchover" }>): Plan {
    if (change.kind === "promote") return this.#promote(change);
    if (change.kind === "reseed") return this.#reseed(change.node);
    if (change.kind === "finish") return NOTHING;
    return { ...NOTHING, remark: `Patroni of ${change.node} makes it follow again by itself.` };
  }

  async carryOut({ steps }: Plan, progress: Progress): Promise<void> {
    const { log } = this.#parts;
    const effects = new PatroniEffects(this.#parts, progress);
    try {
      await carryOutSteps(steps, effects, progress, (step, error) =>
        log("error", `${"node" in step ? `${step.node}: ` : ""}${step.kind} failed: ${String(error)}`),
      );
    } finally {
      await effects.clear();
    }
  }

  async #switchover(to: string | undefined): Promise<Plan> {
    const decision = await decidedSwitchover(() => this.#parts.seen(), to);
    const { store, pooled } = this.#parts.seen();
    if (decision.kind === "refuse") throw refusal("No switchover", decision);
    if (decision.kind === "nothing") return { ...NOTHING, remark: `${decision.host} is the primary.` };
    return planHandOver(store?.leader ?? "", decision.host, pooled);
  }

  /** By force: acknowledged writes may be lost, so the cluster's name has to be typed. */
  #promote({ node: to, allowDataLoss, confirm }: Extract<PrimaryChange, { kind: "promote" }>): Plan {
    const { store, storeAnswers, databases, cluster } = this.#parts.seen();
    const decision = decideFailover({ store, storeAnswers, databases, to });
    if (decision.kind === "refuse") throw refusal("No failover", decision);
    if (decision.kind === "nothing") return { ...NOTHING, remark: `${to} is the primary.` };
    const cost = costOf(decision, store?.leader);
    if (decision.loses && !(allowDataLoss && confirm === cluster)) {
      throw new OdooPgError("confirmation_missing", {
        message: `What was acknowledged may be lost. ${cost}`,
        safe: "Nothing was changed.",
        next: odooPg("failover", to, "--allow-data-loss", "--confirm", cluster),
      });
    }
    return { ...planForce(to, store?.leader), remark: cost };
  }

  #reseed(node: string): Plan {
    const { store, host, hasDatabase, working } = this.#parts.seen();
    if (!hasDatabase) throw refused(`${host} has no database.`);
    if (node !== host) throw refused(`This host is ${host}: the data of ${node} is rebuilt there.`);
    if (working !== undefined) throw refused(`${host} ${working}.`);
    const leader = store?.leader;
    if (leader === host)
      throw refused(`${host} is the primary: make another host the primary first (odoo-pg switchover).`);
    if (leader === undefined) throw refused("There is no primary to copy.");
    return planCopy(host, leader);
  }
}

function refused(message: string): OdooPgError {
  return new OdooPgError("refused", { message, safe: "Nothing was changed.", next: odooPg("status") });
}

function refusal(
  what: string,
  { why, next }: { readonly why: string; readonly next: NextText },
): OdooPgError {
  return new OdooPgError("refused", { message: `${what}: ${why}.`, safe: "Nothing was changed.", next });
}

/** A sentence: what a failover by force may lose. */
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
