import { odooPg } from "../next-step.ts";
import { factsOf } from "../model/observation.ts";
import { OdooPgError } from "../errors.ts";
import type { RoleAccess } from "../postgres/sql/access/role-access.ts";
import type { NodeHandle } from "./node-handle.ts";
import { ownPrimary, type Runtime } from "./runtime.ts";

/** The node on which Odoo's databases are looked at: the primary, or a replica of a primary that odoo-pg does not run. */
export function factsNode(runtime: Runtime): NodeHandle | undefined {
  const replica = (): NodeHandle | undefined =>
    [...runtime.nodes.values()].find(({ observation }) => factsOf(observation) !== undefined);
  return ownPrimary(runtime) ?? replica();
}

/**
 * As Odoo's role, which owns its databases: a superuser would run whatever their owner attached to the tables. On a
 * primary that odoo-pg does not run, its password is not known.
 * @throws OdooPgError not_running where no such node answers.
 */
export function factsAccess(runtime: Runtime | undefined): RoleAccess {
  const primary = runtime && ownPrimary(runtime);
  if (!primary) {
    throw new OdooPgError("not_running", { message: "odoo-pg runs no primary.", next: odooPg("up") });
  }
  const { config, passwords } = runtime;
  return primary.superuser.as(config.odoo.role, passwords.odoo);
}
