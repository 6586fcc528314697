import { copySlotName, slotName } from "../../config/layout.ts";
import type { PlanStep } from "../../model/plan.ts";
import { factsOf, identityOf, isPrimary, type NodeObservation } from "../../model/observation.ts";
import { becomePrimary, type Plan } from "./planned.ts";

/**
 * Plans what is left of a change that was cut off or failed after the record named the next primary: the old one never
 * starts as a primary again, so until then writes go nowhere. Nothing is planned while the recorded primary does not
 * answer, nor beside another node that answers as a primary.
 */
export function planFinish(input: {
  /** The recorded primary. */
  readonly primary: NodeObservation;
  readonly replicas: readonly NodeObservation[];
  /** Whether odoo-pg does not run the primary. */
  readonly foreign: boolean;
  /** Whether the endpoints send writes nowhere, and are to send them to the primary. */
  readonly route: boolean;
  /** Whether a change failed after its record, and those that follow may not know of it. */
  readonly unfinished: boolean;
  /** The node that the history names as the newest primary. */
  readonly lastPrimary: string | undefined;
}): Plan {
  const { primary, replicas, route, lastPrimary } = input;
  const node = primary.name;
  const another = replicas.some(isPrimary);
  const undo = "none";
  if (!identityOf(primary) || another) return { steps: [], undo };
  const names = replicas.map(({ name }) => name);
  const strays = input.foreign ? [] : straySlots(replicas, [node, ...names]);
  const left = route || input.unfinished;
  const recorded = lastPrimary === node || (!left && lastPrimary === undefined);
  const why = "a change of the primary that had failed was finished";
  const record: PlanStep[] = recorded
    ? []
    : [
        {
          kind: "record_change",
          change: "promote",
          from: lastPrimary ?? null,
          to: node,
          why,
          paused: "unknown",
        },
      ];
  // Of an agent that was killed after the promotion: by the history a recovery finds the timeline.
  if (isPrimary(primary) && !left) return { steps: [...record, ...strays], undo };
  const steps: PlanStep[] = [
    ...(isPrimary(primary) ? [] : becomePrimary(node)),
    ...(route ? [{ kind: "route" as const, node }] : []),
    ...record,
    // A node that is started later starts as its replica.
    ...(left ? [{ kind: "prepare_start" as const, nodes: names }] : []),
    { kind: "settle", primary: node, replicas: names },
  ];
  return { steps, undo };
}

/**
 * Slots of the cluster's nodes on what is a replica: a switchover that was cut off left them, or it was a primary that
 * came back after its replicas had left it. The WAL that they hold back fills its disk.
 */
export function straySlots(replicas: readonly NodeObservation[], nodes: readonly string[]): PlanStep[] {
  return replicas.flatMap((replica): PlanStep[] => {
    const there = new Set(factsOf(replica)?.slots.map(({ slot_name }) => slot_name));
    const followers = nodes.filter((name) => there.has(slotName(name)) || there.has(copySlotName(name)));
    return followers.length === 0 ? [] : [{ kind: "drop_slots", node: replica.name, followers }];
  });
}
