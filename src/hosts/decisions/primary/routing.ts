import { factsOf, isPrimary, type NodeObservation } from "../../../model/observation.ts";
import type { StoreView } from "../../documents/store-view.ts";

/** The facts by which a host's endpoints are routed. */
export interface RoutingInput {
  /** The store's last answer; undefined before the first. */
  readonly store: StoreView | undefined;
  /** Whether it answers now. */
  readonly storeAnswers: boolean;
  readonly observations: readonly NodeObservation[];
  /** The host that writes went to until now. */
  readonly last: string | undefined;
  /** The host that is certainly the only primary (`Right`); undefined where none is. */
  readonly rightful: string | undefined;
  /** The primary that all hosts with a database follow although nobody holds the key: it cannot reach the store. */
  readonly agreed: string | undefined;
}

/**
 * Where writes go; undefined: nowhere, and clients wait.
 * - The store answers: to the holder of the leader's key, else to the primary that all hosts with a database follow although
 *   it cannot reach the store.
 * - The store is silent, or Patroni has not taken the server over yet: to the host that had them.
 * - In each case only while that host's right lasts, as a frozen or cut off server believes to be the primary; and only once
 *   it answers as a primary. One that was the target stays so while it is silent: a failed observation must cut nobody.
 * Pure.
 */
export function writesTo(input: RoutingInput): string | undefined {
  const { store, storeAnswers, observations, last, rightful, agreed } = input;
  const decides = storeAnswers && store?.founded === true;
  const leader = decides ? (store.leader ?? agreed) : (last ?? store?.leader);
  if (leader === undefined) return undefined;
  // Before there was ever a leader there is one server alone.
  if (store?.founded !== false && rightful !== leader && agreed !== leader) return undefined;
  const observation = observations.find(({ name }) => name === leader);
  if (isPrimary(observation)) return leader;
  return factsOf(observation) === undefined && leader === last ? leader : undefined;
}

/**
 * Replicas that may serve reads: of the eligible ones, those that commits wait for by the store. While the store is silent
 * none is added, and members stay.
 */
export function readsFrom(
  eligible: readonly string[],
  members: ReadonlySet<string>,
  { store, storeAnswers }: Pick<RoutingInput, "store" | "storeAnswers">,
): string[] {
  const waitedFor = new Set(store?.synchronous);
  return eligible.filter((name) => (storeAnswers ? waitedFor.has(name) : members.has(name)));
}
