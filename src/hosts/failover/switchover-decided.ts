import { waitUntil } from "../../system/clock.ts";
import { decideSwitchover, type SwitchoverDecision } from "../decisions/primary/switchover.ts";
import type { Seen } from "./parts.ts";

/** Milliseconds in which commits wait for a replica that follows: Patroni looks once a second. */
const SOON = 10_000;

/**
 * Decides a planned change of the primary. It waits for a replica that has just come back, which `status` shows in the pool
 * a moment before Patroni's list has it.
 * @param to the host asked for; undefined: the one that lacks least
 */
export async function decidedSwitchover(
  seen: () => Seen,
  to: string | undefined,
): Promise<SwitchoverDecision> {
  const decide = (): SwitchoverDecision => decideSwitchover({ ...seen(), to });
  const isDecided = (): boolean => {
    const decision = decide();
    return decision.kind !== "refuse" || decision.soon !== true;
  };
  // Where it takes longer, the decision says so.
  await waitUntil(isDecided, {
    what: `commits to wait for ${to ?? "a replica"}`,
    timeout: SOON,
    interval: 100,
  }).catch(() => {});
  return decide();
}
