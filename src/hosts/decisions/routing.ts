import { factsOf, isPrimary, type NodeObservation } from "../../model/observation.ts";
import type { StoreView } from "../documents/store-view.ts";

/** What is known when the endpoints are led. */
export interface RoutingInput {
  /** What the store said when it last answered; undefined before it ever did. */
  readonly store: StoreView | undefined;
  /** Whether it answers now. */
  readonly storeAnswers: boolean;
  readonly observations: readonly NodeObservation[];
  /** Where writes were led until now. */
  readonly last: string | undefined;
  /** The host that nobody else can have followed as primary yet; undefined where nobody certainly is one. */
  readonly rightful: string | undefined;
  /** The host that all with a database follow although nobody holds the key: the store does not reach it. */
  readonly agreed: string | undefined;
}

/**
 * Where writes go. To the holder of the leader's key once it answers as a primary: before that it would refuse them.
 * Nobody holds it: nowhere, and clients wait; unless all agree on one that only the store does not reach. The store does not answer, or Patroni has not taken the server over yet:
 * whoever had writes keeps them as long as it answers as a primary; a server which may not be one is taken that by
 * Patroni (failsafe mode). One that is silent keeps what it has: a look that failed must cut nobody.
 * In each case only while its right lasts: a server that was frozen, or is cut off, takes itself for the primary.
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
 * Whose replies to reads lack nothing that was acknowledged: replicas that commits wait for, as the store says, of those
 * that are near enough. While the store is silent nobody comes in, and who is in stays.
 */
export function readsFrom(
  eligible: readonly string[],
  members: ReadonlySet<string>,
  { store, storeAnswers }: Pick<RoutingInput, "store" | "storeAnswers">,
): string[] {
  const waitedFor = new Set(store?.synchronous);
  return eligible.filter((name) => (storeAnswers ? waitedFor.has(name) : members.has(name)));
}
