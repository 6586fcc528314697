import { nextStep, odooPg } from "../../next-step.ts";
import type { PlanStep } from "../../model/plan.ts";
import type { Plan } from "./planned.ts";

interface Rebuild {
  readonly node: string;
  readonly primary: string;
  /** Whether the old data goes once the new streams. */
  readonly discardOld: boolean;
}

/**
 * Plans to rebuild a replica from its primary. The old data serves reads while the copy is made; not where odoo-pg does
 * not run the primary (`foreign`): that one has one slot for this node, and the old data holds it as long as it streams.
 */
export function planReseed(input: Rebuild & { readonly foreign: boolean }): Plan {
  const { node, primary } = input;
  const copy: PlanStep = { kind: "base_backup", node, from: primary, serving: !input.foreign };
  return {
    steps: [
      { kind: "require_room", node, source: primary },
      ...(input.foreign
        ? [...takeDown(node, "reseed"), { kind: "renew_slot" as const, node }, copy]
        : [copy, ...takeDown(node, "reseed"), { kind: "take_slot_of_copy" as const, node }]),
      ...exchange(input, "reseed"),
    ],
    undo: input.discardOld
      ? "none: the old data is removed"
      : nextStep`${odooPg("down")}, then rename the kept directory back`,
  };
}

/** Plans to make an old primary a replica of the present one, by pg_rewind on a copy: the original stays whole. */
export function planRejoin(input: Rebuild): Plan {
  const { node, primary } = input;
  return {
    steps: [
      { kind: "require_room", node, source: node },
      ...takeDown(node, "rejoin"),
      { kind: "renew_slot", node },
      { kind: "rewind", node, to: primary },
      ...exchange(input, "rejoin"),
    ],
    undo: `the old data is kept beside the new; what only ${node} wrote is in it`,
  };
}

function takeDown(node: string, operation: "reseed" | "rejoin"): PlanStep[] {
  return [
    { kind: "hold", node, operation },
    // A HAProxy that does not answer now does not prevent the repair of a node.
    { kind: "leave_pool", node, required: false },
    { kind: "stop_replica", node },
  ];
}

/** Swaps by renaming, starts, proves, and only then removes what was replaced. */
function exchange({ node, primary, discardOld }: Rebuild, change: "reseed" | "rejoin"): PlanStep[] {
  return [
    { kind: "keep_aside", node },
    { kind: "put_in_place", node },
    { kind: "become_standby", node },
    { kind: "follow", node, primary },
    { kind: "await_streaming", node, primary },
    ...(discardOld ? [{ kind: "discard_old" as const, node }] : []),
    { kind: "record_change", change, from: primary, to: node, why: "asked for", paused: "unknown" },
    { kind: "release", node },
    { kind: "reopen_pool" },
  ];
}
