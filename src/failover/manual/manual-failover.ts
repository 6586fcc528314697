import { straySlots } from "../../cluster/changes/finish.ts";
import type { Plan } from "../../cluster/changes/planned.ts";
import { identityOf } from "../../model/observation.ts";
import { primaryName, primaryOf, replicasOf, type Runtime } from "../../members/runtime.ts";
import type { Progress } from "../../progress.ts";
import type { ReadPool } from "../../services/read-pool.ts";
import { carryOutSteps } from "../carry-out.ts";
import type { Clients } from "../../services/clients.ts";
import type { Failover, PrimaryChange, Topology } from "../failover.ts";
import { ManualEffects } from "./effects.ts";
import { planOf } from "./planning.ts";

/** One host, and a person who decides. The record says who is primary; it is written before each promotion. */
export class ManualFailover implements Failover {
  readonly kind = "manual";
  readonly #runtime: Runtime;
  readonly #pool: ReadPool;
  readonly #clients: Clients;
  #unfinished = false;

  constructor(runtime: Runtime, pool: ReadPool, clients: Clients) {
    this.#runtime = runtime;
    this.#pool = pool;
    this.#clients = clients;
  }

  topology(): Topology {
    const { nodes, upstream } = this.#runtime;
    const { writes } = this.#pool;
    const replicas = replicasOf(this.#runtime).map(({ observation }) => observation);
    const strays = upstream ? [] : straySlots(replicas, [...nodes.keys()]);
    return {
      primary: primaryName(this.#runtime),
      timeline: identityOf(primaryOf(this.#runtime).observation)?.timeline,
      writes,
      unfinished: this.#unfinished || writes === undefined || strays.length > 0,
      authority: { kind: "record" },
    };
  }

  async plan(change: PrimaryChange): Promise<Plan> {
    return await planOf(this.#runtime, change, { unfinished: this.#unfinished, writes: this.#pool.writes });
  }

  async carryOut({ steps }: Plan, progress: Progress): Promise<void> {
    if (steps.length === 0) return;
    const { log } = this.#runtime;
    const effects = new ManualEffects(this.#runtime, this.#pool, this.#clients, progress);
    const before = effects.recorded();
    // It is retried once: one that keeps failing is for the next `up`.
    this.#unfinished = false;
    try {
      await carryOutSteps(steps, effects, progress, (step, error) =>
        log("error", `${"node" in step ? `${step.node}: ` : ""}${step.kind} failed: ${String(error)}`),
      );
    } catch (error) {
      this.#unfinished = effects.recorded() !== before;
      throw error;
    }
  }
}
