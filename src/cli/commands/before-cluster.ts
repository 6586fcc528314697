import type { Invocation } from "../../system/terminal.ts";

/**
 * Commands that make files for future containers know no cluster: an image names the configuration before the file
 * exists.
 */
export function beforeCluster(invocation: Invocation): Invocation {
  return { ...invocation, environment: { ...invocation.environment, ODOO_PG_CONFIG: undefined } };
}
