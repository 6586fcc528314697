import { nextStep, odooPg, type NextText } from "../../../next-step.ts";
import type { StoreView } from "../../documents/store-view.ts";

/** One step of a restart over hosts. */
export type RestartStep =
  | { readonly kind: "restart"; readonly host: string }
  /** This host takes over; by that the primary's server restarts, as a replica. */
  | { readonly kind: "hand over"; readonly to: string; readonly from: string };

export interface RestartInput {
  readonly store: StoreView | undefined;
  readonly storeAnswers: boolean;
  /** Hosts with a database, in the order in which they joined. */
  readonly databases: readonly string[];
  /** Those whose server is to be restarted. */
  readonly hosts: readonly string[];
  /** `in place`: the primary first, and where it is; writes wait. Default: last. */
  readonly primary?: "last" | "in place";
}

export type RestartDecision =
  | { readonly kind: "steps"; readonly steps: readonly RestartStep[] }
  | { readonly kind: "refuse"; readonly why: string; readonly next: NextText };

/**
 * The order in which servers are restarted: replicas first, one by one; the primary last, by a switchover. Where no host can
 * take over, it is restarted in place, and writes wait. Pure.
 */
export function planRestart({
  store,
  storeAnswers,
  databases,
  hosts,
  primary,
}: RestartInput): RestartDecision {
  const unknown = hosts.find((host) => !databases.includes(host));
  if (unknown !== undefined)
    return {
      kind: "refuse",
      why: `no host with a database is named "${unknown}"`,
      next: `One of: ${databases.join(", ")}`,
    };
  if (!store || !storeAnswers || store.leader === undefined)
    return {
      kind: "refuse",
      why: store && storeAnswers ? "there is no primary now" : "the store has no majority",
      next: nextStep`Wait until status says that all is well: ${odooPg("status", "--watch")}`,
    };
  const { leader, synchronous } = store;
  const replicas = databases.filter((name) => name !== leader && hosts.includes(name));
  const steps: RestartStep[] = replicas.map((host) => ({ kind: "restart", host }));
  if (!hosts.includes(leader)) return { kind: "steps", steps };
  if (primary === "in place") return { kind: "steps", steps: [{ kind: "restart", host: leader }, ...steps] };
  // Best a replica that was restarted just now: it has the new settings already.
  const able = [...replicas, ...databases].find((name) => name !== leader && synchronous.includes(name));
  const last: RestartStep =
    able === undefined ? { kind: "restart", host: leader } : { kind: "hand over", to: able, from: leader };
  return { kind: "steps", steps: [...steps, last] };
}
