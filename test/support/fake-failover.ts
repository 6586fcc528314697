import type { Plan } from "../../src/cluster/changes/planned.ts";
import type { Failover, PrimaryChange, Topology } from "../../src/failover/failover.ts";
import type { PlanStep } from "../../src/model/plan.ts";

const NO_PLAN: Plan = { steps: [], undo: "Nothing to undo." };

/** A failover that does nothing but note what it is asked for: what its callers do is tested without servers. */
export class FakeFailover implements Failover {
  readonly kind = "manual";
  readonly planned: PrimaryChange[] = [];
  readonly carriedOut: Plan[] = [];
  now: Topology = {
    primary: "pg1",
    timeline: 1,
    writes: "pg1",
    unfinished: false,
    authority: { kind: "record" },
  };
  /** What the next plans say. */
  plans: Plan = NO_PLAN;
  /** Carries a plan out. */
  acts: () => Promise<void> = async () => await Promise.resolve();

  readonly topology = (): Topology => this.now;

  readonly plan = async (change: PrimaryChange): Promise<Plan> => {
    this.planned.push(change);
    return await Promise.resolve(this.plans);
  };

  readonly carryOut = async (plan: Plan): Promise<void> => {
    this.carriedOut.push(plan);
    await this.acts();
  };
}

export function planOf(...steps: readonly PlanStep[]): Plan {
  return { steps, undo: "Switch back." };
}
