import { PUBLISHED_CONSOLE } from "../container/contract.ts";
import type { Environment } from "../config/environment.ts";

/**
 * The address of the console as the host of a container reaches it, where the recipe says at which address and port of
 * the host it is published; any other address is unchanged.
 */
export function asPublished(address: string, environment: Environment): string {
  const host = environment[PUBLISHED_CONSOLE];
  if (host === undefined || !URL.canParse(address) || !URL.canParse(`https://${host}`)) return address;
  const url = new URL(address);
  url.host = host;
  return url.href;
}
