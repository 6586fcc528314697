import { factsOf, type NodeObservation } from "../model/observation.ts";

/** The primary that receives writes. */
export interface Chosen {
  readonly name: string;
  readonly timeline: number;
  readonly systemIdentifier: string;
}

/**
 * Chooses the node that receives writes, among nodes that others run: the one that answers as a primary, on the newest
 * timeline. An old primary that comes back is on an older timeline than the promoted one, and gets nothing. When none
 * answers, the last choice stays: connections wait for it. Two primaries on one timeline cannot be told apart: the last
 * choice stays or, before any choice, the first of them is taken.
 */
export function choosePrimary(
  observations: readonly NodeObservation[],
  last: Chosen | undefined,
): Chosen | undefined {
  let best = last;
  for (const observation of observations) {
    const facts = factsOf(observation);
    if (!facts || facts.in_recovery) continue;
    const { timeline, system_identifier: systemIdentifier } = facts;
    // The primary of another cluster under a known name is not ours.
    if (best && (systemIdentifier !== best.systemIdentifier || timeline <= best.timeline)) continue;
    best = { name: observation.name, timeline, systemIdentifier };
  }
  return best;
}
