import type { Invocation } from "../../system/terminal.ts";

/**
 * What makes files for containers to come knows of no cluster: in an image the configuration is named before it is
 * there.
 */
export function beforeCluster(invocation: Invocation): Invocation {
  return { ...invocation, environment: { ...invocation.environment, ODOO_PG_CONFIG: undefined } };
}
