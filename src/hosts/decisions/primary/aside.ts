import type { DataDirectory } from "../../../postgres/data-directory.ts";
import { isPrimary, type NodeObservation } from "../../../model/observation.ts";

/** States in pg_control of a stopped replica's data; "shut down" or "in production" would be a primary's. */
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
 * Whether data may be moved aside once its server is stopped. The server may have become the primary just before, and have
 * acknowledged writes that no other has: so its data must be a replica's. Data of a server that did not run before, such as
 * an old primary that cannot follow, may be moved if nothing has changed it meanwhile. Pure.
 * @param before the data before the stop, and whether its server ran
 */
export function mayGoAside(
  before: { readonly runs: boolean; readonly data: DataDirectory },
  after: DataDirectory,
): boolean {
  if (after.kind === "whole" && OF_REPLICA.includes(after.state)) return true;
  return !before.runs && JSON.stringify(before.data) === JSON.stringify(after);
}
