import type { DataDirectory } from "../../postgres/data-directory.ts";
import { isPrimary, type NodeObservation } from "../../model/observation.ts";

/** What a replica's data says once its server is stopped; such as "shut down" or "in production": it was a primary's. */
const OF_REPLICA: readonly string[] = ["shut down in recovery", "in archive recovery"];

/** Whether a host is the primary's, by the store or by its own server. Pure. */
export function isPrimarys(
  host: string,
  leader: string | undefined,
  own: NodeObservation | undefined,
): boolean {
  return leader === host || isPrimary(own);
}

/**
 * Whether data may go aside once its server is stopped: it may have become the primary until the very stop, and what it
 * acknowledged then is nowhere else. The data of a server that did not run, such as that of an old primary that cannot
 * follow, may go where nothing has changed it meanwhile. Pure.
 * @param before the data before the stop, and whether its server ran
 */
export function mayGoAside(
  before: { readonly runs: boolean; readonly data: DataDirectory },
  after: DataDirectory,
): boolean {
  if (after.kind === "whole" && OF_REPLICA.includes(after.state)) return true;
  return !before.runs && JSON.stringify(before.data) === JSON.stringify(after);
}
