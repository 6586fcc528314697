import { nextStep, odooPg, type NextText } from "../../../next-step.ts";
import type { StoreView } from "../../documents/store-view.ts";

/** Whether a host may be made the primary by force, and what that costs. */
export type FailoverDecision =
  | { readonly kind: "nothing" }
  | {
      readonly kind: "to";
      /** Whether acknowledged writes may be lost. */
      readonly loses: boolean;
      /** Bytes of WAL that it lacks of what the primary had when the store last heard of it; undefined where unknown. */
      readonly lacks: number | undefined;
    }
  | { readonly kind: "refuse"; readonly why: string; readonly next: NextText };

export interface FailoverInput {
  readonly store: StoreView | undefined;
  readonly storeAnswers: boolean;
  /** Hosts with a database. */
  readonly databases: readonly string[];
  readonly to: string;
}

/** Decides a failover by force: to any replica whose Patroni answers, also one that commits did not wait for. Pure. */
export function decideFailover({ store, storeAnswers, databases, to }: FailoverInput): FailoverDecision {
  const refuse = (why: string, next: NextText): FailoverDecision => ({ kind: "refuse", why, next });
  if (!databases.includes(to))
    return refuse(`no host with a database is named "${to}"`, `One of: ${databases.join(", ")}`);
  if (!store || !storeAnswers)
    return refuse(
      "the store has no majority, and without one nobody may become primary",
      nextStep`Bring another host back. Where the others are lost for good: ${odooPg("ha", "force-new-cluster")}`,
    );
  if (store.leader === to) return { kind: "nothing" };
  const member = store.members.get(to);
  if (!member) return refuse(`Patroni of ${to} does not answer`, nextStep`Start it there: ${odooPg("up")}`);
  const hasAll = store.synchronous.includes(to);
  if (hasAll && store.leader !== undefined)
    return refuse(
      `${to} has all that was acknowledged, so nothing need be forced`,
      odooPg("switchover", "--to", to),
    );
  const { written } = store;
  const lacks =
    written === undefined || member.position === undefined
      ? undefined
      : Math.max(0, written - member.position);
  return { kind: "to", loses: !hasAll, lacks };
}
