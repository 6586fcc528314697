import { nextStep, odooPg, type NextText } from "../../../next-step.ts";
import type { StoreView } from "../../documents/store-view.ts";

/** Why a planned change of the primary is not possible now, or which host it goes to. */
export type SwitchoverDecision =
  | { readonly kind: "to"; readonly host: string }
  | { readonly kind: "nothing"; readonly host: string }
  | {
      readonly kind: "refuse";
      readonly why: string;
      readonly next: NextText;
      /** Whether it is possible in a moment: commits do not wait yet for a replica that follows. */
      readonly soon?: boolean;
    };

export interface SwitchoverInput {
  readonly store: StoreView | undefined;
  readonly storeAnswers: boolean;
  /** Hosts with a database. */
  readonly databases: readonly string[];
  /** Bytes that each replica lacks, where it follows and that is known. */
  readonly lags: ReadonlyMap<string, number>;
  /** The host asked for; undefined: the one that lacks least. */
  readonly to: string | undefined;
}

/** Decides a planned change: only to a replica that commits wait for, as it has all acknowledged writes. Pure. */
export function decideSwitchover(input: SwitchoverInput): SwitchoverDecision {
  const { store, storeAnswers, databases, lags, to } = input;
  const refuse = (why: string, next: NextText, soon = false): SwitchoverDecision => ({
    kind: "refuse",
    why,
    next,
    soon,
  });
  if (to !== undefined && !databases.includes(to))
    return refuse(`no host with a database is named "${to}"`, `One of: ${databases.join(", ")}`);
  if (!store || !storeAnswers)
    return refuse("the store has no majority", "Bring the other hosts back first.");
  if (store.leader === undefined)
    return refuse(
      "there is no primary now",
      nextStep`Wait until there is one: ${odooPg("status", "--watch")}`,
    );
  if (store.leader === to) return { kind: "nothing", host: to };
  const able = databases.filter((name) => name !== store.leader && store.synchronous.includes(name));
  if (to !== undefined && !able.includes(to))
    return refuse(
      `${to} may lack what was acknowledged: commits do not wait for it now`,
      able.length
        ? `Take ${able.join(" or ")}, or wait.`
        : nextStep`Wait until it has caught up: ${odooPg("status")}`,
      lags.has(to),
    );
  const [best] = able.toSorted((a, b) => (lags.get(a) ?? Infinity) - (lags.get(b) ?? Infinity));
  const host = to ?? best;
  if (host === undefined)
    return refuse(
      "no replica has all that was acknowledged",
      nextStep`Wait until one has caught up: ${odooPg("status")}`,
      lags.size > 0,
    );
  return { kind: "to", host };
}
