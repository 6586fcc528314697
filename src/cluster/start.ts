import type { WaitingState } from "../model/node-state.ts";
import { nextStep, odooPg, type NextText } from "../next-step.ts";

/** What is known of a node's data directory; a subset of postgres/data-directory.ts, so that this part stays pure. */
export type DataSeen =
  | { readonly kind: "absent" | "empty" }
  | { readonly kind: "unusable"; readonly reason: string; readonly next: NextText }
  | { readonly kind: "whole"; readonly systemIdentifier: string; readonly standby: boolean };

export interface StartInput {
  readonly node: string;
  /** The node that is primary now: by the cluster's own record, at first launch by configuration. */
  readonly primary: string;
  readonly data: DataSeen;
  /** The cluster's system identifier, once there is one. */
  readonly systemIdentifier: string | undefined;
  /** Other nodes whose data directory is whole. */
  readonly othersWithData: readonly string[];
  readonly cluster: string;
  /** Whether the primary is one that odoo-pg does not run: then it is never made, and data of another history waits. */
  readonly foreign?: boolean;
}

/** What to do so that a node runs. `refuse` and `wait` touch nothing. */
export type StartDecision =
  | { readonly action: "initialise" }
  | { readonly action: "seed" }
  | { readonly action: "start" }
  /** An old primary that must not start as one; the cluster goes on without it. */
  | {
      readonly action: "wait";
      readonly state: Exclude<WaitingState, "refused">;
      readonly reason: string;
      readonly next: NextText;
    }
  | { readonly action: "refuse"; readonly reason: string; readonly safe: string; readonly next: NextText };

/** Decides from a node's data directory what makes it run. Nothing existing is ever initialised over. */
export function decideStart(input: StartInput): StartDecision {
  const { node, primary, data, systemIdentifier, othersWithData } = input;
  const untouched = "It was left as it is.";
  if (data.kind === "unusable") {
    return { action: "refuse", reason: `Node ${node}: ${data.reason}.`, safe: untouched, next: data.next };
  }
  if (input.foreign) return decideFollow(input);
  if (data.kind === "whole") {
    if (systemIdentifier !== undefined && data.systemIdentifier !== systemIdentifier) {
      return {
        action: "refuse",
        reason: `Node ${node}: its data directory belongs to another cluster (system identifier ${data.systemIdentifier}, this cluster has ${systemIdentifier}).`,
        safe: untouched,
        next: "Move that data directory away so that the node is rebuilt, or set another data_dir.",
      };
    }
    if (node !== primary && !data.standby) {
      return {
        action: "wait",
        state: "needs rejoin",
        reason: `${node} was a primary; ${primary} is the primary now. Starting ${node} as it is would make two.`,
        next: odooPg("rejoin", node),
      };
    }
    return { action: "start" };
  }
  if (node !== primary) return { action: "seed" };
  if (systemIdentifier === undefined && othersWithData.length === 0) return { action: "initialise" };
  const other = othersWithData[0];
  return {
    action: "refuse",
    reason: `The data directory of the primary ${node} is ${data.kind}, but the cluster ${input.cluster} existed already.`,
    safe: "No new database was created in its place; the other nodes' data is untouched.",
    next:
      other === undefined
        ? "Put the data directory back (is its disk mounted?), or restore a backup."
        : nextStep`Put the data directory back (is its disk mounted?), or go on with ${other}: ${odooPg("promote", other)}`,
  };
}

/** As above, for a replica of a primary that odoo-pg does not run: foreign data is never touched silently. */
function decideFollow({ node, data, systemIdentifier }: StartInput): StartDecision {
  if (data.kind !== "whole") return { action: "seed" };
  const other = systemIdentifier !== undefined && data.systemIdentifier !== systemIdentifier;
  if (!other && data.standby) return { action: "start" };
  return {
    action: "wait",
    state: "needs reseed",
    reason: other
      ? `The data of ${node} is not from the primary it should follow (system identifier ${data.systemIdentifier}, the primary has ${systemIdentifier}).`
      : `The data of ${node} is not that of a standby: it was written to on its own.`,
    next: nextStep`Keep it aside, and copy the primary: ${odooPg("reseed", node)}`,
  };
}
