import { factsOf, type NodeObservation } from "../model/observation.ts";

/** The primary that writes go to. */
export interface Chosen {
  readonly name: string;
  readonly timeline: number;
  readonly systemIdentifier: string;
}

/**
 * The node that writes go to, of nodes that others run: the one that answers as a primary, on the newest timeline. An
 * old primary that comes back is on an older timeline than the one that was promoted, and gets nothing. When none
 * answers, the last one stays: connections wait for it. Two on one timeline are nobody's to tell apart: the last stays.
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
    // Another cluster's primary under a known name is nobody's data.
    if (best && (systemIdentifier !== best.systemIdentifier || timeline <= best.timeline)) continue;
    best = { name: observation.name, timeline, systemIdentifier };
  }
  return best;
}
