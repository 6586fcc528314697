import { PUBLISHED_CONSOLE } from "../container/contract.ts";
import type { Environment } from "../config/environment.ts";

/**
 * An address of the console as it is reached from the host of a container, where the recipe says at which address and
 * port of the host it is published; any other as it is.
 */
export function asPublished(address: string, environment: Environment): string {
  const host = environment[PUBLISHED_CONSOLE];
  if (host === undefined || !URL.canParse(address) || !URL.canParse(`https://${host}`)) return address;
  const url = new URL(address);
  url.host = host;
  return url.href;
}
