import { factsOf, type NodeObservation } from "../model/observation.ts";
import { showShare } from "../model/quantities.ts";
import { shareOf } from "../model/troubles/troubles.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";

/** Connections of clients to one server, and how many there may be without those that are kept for superusers. */
export interface Connections {
  readonly used: number;
  readonly most: number;
  /** Of those in use, the ones of users that did not come through an endpoint of this host. */
  readonly others?: number | undefined;
}

/** Share of a server's connections from which on the endpoints are told who else has them. */
const SCARCE = 0.5;

/** What the endpoints are told of a server. */
export interface Others {
  /** Connections that users hold past the endpoints. */
  readonly connections: number;
  readonly areScarce: boolean;
}

/**
 * Connections that others hold, by node: where connections are scarce, and once more where they have been.
 * @param told by node, what was told before
 */
export function othersToTell(
  observations: readonly NodeObservation[],
  told: ReadonlyMap<string, Others>,
): ReadonlyMap<string, Others> {
  return new Map(
    observations.flatMap((observation): [string, Others][] => {
      const { used, most, others } = factsOf(observation)?.connections ?? {};
      if (used === undefined || most === undefined || others === undefined) return [];
      const areScarce = used > most * SCARCE;
      if (!areScarce && told.get(observation.name)?.areScarce !== true) return [];
      return [[observation.name, { connections: others, areScarce }]];
    }),
  );
}

/** The warning about a server whose connections are nearly used up; undefined where there are enough. */
export function connectionsTold(
  name: string,
  { used, most }: Connections,
  isReplica: boolean,
): { readonly message: string; readonly next: NextText } | undefined {
  if (used <= most * shareOf("connections_nearly_used")) return undefined;
  const who = isReplica
    ? odooPg(
        "psql",
        name,
        "--",
        "-c",
        "SELECT application_name, state, count(*) FROM pg_stat_activity GROUP BY 1, 2 ORDER BY 3 DESC",
      )
    : odooPg("sessions", "list");
  return {
    message:
      used >= most
        ? `${name}: all ${most} connections are in use but those that are kept for superusers: clients of the endpoints wait, others are refused.`
        : `${name}: ${used} of ${most} connections are in use (${showShare(used / most)}): at the limit clients of the endpoints wait, others are refused.`,
    next: nextStep`see who has them: ${who}`,
  };
}
