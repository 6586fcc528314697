import { factsOf } from "../cluster/observation.ts";
import { OdooPgError } from "../errors.ts";
import type { Credentials } from "../system/sql.ts";
import type { NodeHandle } from "./node-handle.ts";
import { primaryOf, type Runtime } from "./runtime.ts";

/** The node on which Odoo's databases are looked at: the primary, or a replica of a primary that odoo-pg does not run. */
export function factsNode(runtime: Runtime): NodeHandle | undefined {
  if (!runtime.upstream) return primaryOf(runtime);
  return [...runtime.nodes.values()].find(({ observation }) => factsOf(observation) !== undefined);
}

/** @throws OdooPgError not_running where no such node answers. */
export async function factsCredentials(runtime: Runtime | undefined): Promise<Credentials> {
  const node = runtime && factsNode(runtime);
  if (!node) throw new OdooPgError("not_running", { message: "No server runs.", next: "odoo-pg up" });
  return await node.credentials();
}
