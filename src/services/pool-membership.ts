import type { Config } from "../config/schema.ts";
import { decidePool, rememberMark, type PrimaryMark, type Eligibility } from "../cluster/pool.ts";
import { identityOf, type NodeObservation } from "../model/observation.ts";
import { now } from "../system/clock.ts";
import type { Log } from "../system/log.ts";

/** Milliseconds for which positions of the primary are kept, unless max_lag_seconds needs more. */
const MARK_SPAN = 60_000;

/** The newest observations, by which it is decided who may serve reads. */
export interface PoolObservations {
  readonly primary: NodeObservation | undefined;
  readonly replicas: readonly NodeObservation[];
  /** Nodes in the pool until now. */
  readonly members: ReadonlySet<string>;
}

/** Decides again and again which replicas may serve reads: remembers what that needs, and logs who comes and goes. */
export class PoolMembership {
  readonly #log: Log;
  /** Where past positions of the primary's end of WAL are kept. */
  readonly #kept: { marks: PrimaryMark[] };
  #now: readonly Eligibility[] = [];

  constructor(log: Log, kept: { marks: PrimaryMark[] } = { marks: [] }) {
    this.#log = log;
    this.#kept = kept;
  }

  get now(): readonly Eligibility[] {
    return this.#now;
  }

  /** @param otherwise adds what observations cannot say, such as that an operation works on a node */
  decide(
    read: Config["endpoints"]["read"],
    observations: PoolObservations,
    otherwise: (eligibility: Eligibility) => Eligibility = (eligibility) => eligibility,
  ): readonly Eligibility[] {
    const { primary } = observations;
    const end = identityOf(primary)?.current_lsn;
    if (primary && end) {
      const span = Math.max(MARK_SPAN, (read.max_lag_seconds ?? 0) * 2000);
      this.#kept.marks = rememberMark(this.#kept.marks, { at: primary.at, lsn: end }, span);
    }
    const before = new Map(this.#now.map(({ name, eligible }) => [name, eligible]));
    this.#now = decidePool({
      consistency: read.consistency,
      maxLag: read.max_lag,
      maxLagSeconds: read.max_lag_seconds,
      maxCommitWait: read.max_commit_wait_seconds * 1000,
      ...observations,
      marks: this.#kept.marks,
      now: now(),
    }).map(otherwise);
    for (const { name, eligible, reason } of this.#now) {
      if (before.get(name) === eligible) continue;
      if (eligible) this.#log("info", `${name} may serve reads`);
      else this.#log("warn", `${name} may not serve reads: ${reason ?? ""}`);
    }
    return this.#now;
  }
}
