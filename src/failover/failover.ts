import type { Plan } from "../cluster/changes/planned.ts";
import type { Fence } from "../model/plan.ts";
import type { Progress } from "../progress.ts";

/** A change of who is primary, or of what follows it. */
export type PrimaryChange =
  | { readonly kind: "switchover"; readonly to: string | undefined }
  | {
      readonly kind: "promote";
      readonly node: string;
      readonly fence: Fence | undefined;
      readonly allowDataLoss: boolean;
      /** The name of the cluster, typed by whoever accepts a loss. */
      readonly confirm: string | undefined;
    }
  | { readonly kind: "rejoin" | "reseed"; readonly node: string; readonly discardOld: boolean }
  /** Finishes a change that was interrupted. `route`: the endpoints are open, so they are routed too. */
  | { readonly kind: "finish"; readonly route: boolean };

/** Who is primary, according to whoever decides that. */
export interface Topology {
  /** Undefined where there is none, as between two leaders of several hosts. */
  readonly primary: string | undefined;
  /** Of the primary, where it answered when it was last looked at. */
  readonly timeline: number | undefined;
  /** Where writes are led: the primary, or nowhere while it changes. */
  readonly writes: string | undefined;
  /** Whether a change has left something behind, as far as was seen: `finish` is to be planned. */
  readonly unfinished: boolean;
  /** What makes it so: this host's record in state.json, or the store that several hosts share. */
  readonly authority: { readonly kind: "record" | "store" };
}

/**
 * Who decides who is primary, and changes it. `manual`: a person does, on one host; the program never promotes by itself.
 * `patroni`: over several hosts Patroni does, also by itself, and what a person wants is asked of it.
 * Callers see this, never an implementation's parts.
 */
export interface Failover {
  readonly kind: "manual" | "patroni";
  readonly topology: () => Topology;
  /**
   * Looks, and says by which steps a change is made; changes nothing. No steps: there is nothing to do.
   * @throws OdooPgError refused, node_unknown, usage, confirmation_missing, primary_unreachable
   */
  readonly plan: (change: PrimaryChange) => Promise<Plan>;
  /**
   * Carries a plan out, one step after another. What fails before the record names another primary is undone; later it
   * is for `finish`. @throws what the step that failed says
   */
  readonly carryOut: (plan: Plan, progress: Progress) => Promise<void>;
}
