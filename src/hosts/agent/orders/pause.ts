import type { Etcd } from "../../../consensus/etcd.ts";
import { OdooPgError } from "../../../errors.ts";
import { dynamicChange } from "../../decisions/settings/dynamic.ts";
import { hostsPrefix, patroniPrefix } from "../../documents/places.ts";
import type { Outcome } from "../host.ts";
import type { StoreWatch } from "../store-watch.ts";

/**
 * Begins or ends a pause, in which no host takes over by itself.
 * @param until milliseconds since the epoch; undefined: nothing is paused any more
 * @throws OdooPgError refused; EtcdError
 */
export async function setPause(
  etcd: Pick<Etcd, "get" | "swap">,
  store: Pick<StoreWatch, "view" | "answers" | "document">,
  until: number | undefined,
): Promise<Outcome> {
  const { view } = store;
  if (!view?.dynamic || !store.answers) {
    throw new OdooPgError("refused", {
      message: "The store has no majority, so nothing can be changed.",
      safe: "Nothing was changed.",
    });
  }
  const { cluster } = store.document;
  const key = `${hostsPrefix(cluster)}pause_until`;
  // Before the pause itself: one without an end would be forgotten.
  const known = await etcd.get(key);
  const end = until === undefined ? "" : String(until);
  if (!(await etcd.swap(key, known?.revision ?? 0n, end))) throw changedMeanwhile();
  // Not what the last look at the store has seen: a pause may have begun since, and would then never end.
  const configKey = `${patroniPrefix(cluster)}config`;
  const dynamic = await etcd.get(configKey);
  const change = dynamicChange(dynamic?.value, { pause: until !== undefined });
  const done =
    until === undefined
      ? "Another host takes over again when the primary's is lost."
      : `Paused until ${new Date(until).toISOString()}: no other host takes over, and Patroni restarts no server. To end it earlier: odoo-pg resume`;
  if (change === undefined) return { done, changed: false };
  if (await etcd.swap(configKey, dynamic?.revision ?? 0n, change)) return { done, changed: true };
  throw changedMeanwhile();
}

function changedMeanwhile(): OdooPgError {
  return new OdooPgError("refused", {
    message: "Someone else changed the pause at the same moment.",
    safe: "Nothing but its end was changed.",
    next: "Run the same command again.",
  });
}
