import type { Config } from "../config/schema.ts";
import { decidePool, rememberMark, type PrimaryMark, type Eligibility } from "../cluster/pool.ts";
import { identityOf, type NodeObservation } from "../model/observation.ts";
import { now } from "../system/clock.ts";
import type { Log } from "../system/log.ts";

/** Looks at the primary older than this say nothing more, unless max_lag_seconds asks for more (milliseconds). */
const MARK_SPAN = 60_000;

/** The newest looks, from which it is decided who may serve reads. */
export interface PoolObservations {
  readonly primary: NodeObservation | undefined;
  readonly replicas: readonly NodeObservation[];
  /** Nodes in the pool until now. */
  readonly members: ReadonlySet<string>;
}

/** Which replicas may serve reads, look after look: what has to be remembered for that, and the log of who comes and goes. */
export class PoolMembership {
  readonly #log: Log;
  /** Looks at the primary's end of WAL are kept there. */
  readonly #kept: { marks: PrimaryMark[] };
  #now: readonly Eligibility[] = [];

  constructor(log: Log, kept: { marks: PrimaryMark[] } = { marks: [] }) {
    this.#log = log;
    this.#kept = kept;
  }

  get now(): readonly Eligibility[] {
    return this.#now;
  }

  /** @param otherwise what the looks cannot say, such as that an operation works on a node */
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
