import { lookup } from "node:dns/promises";
import { BlockList, isIP, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { within } from "../clock.ts";

/** Milliseconds that a name server may take. */
const LOOKUP_TIMEOUT = 5000;

/** The addresses of this machine that other hosts may know it by: not those of loopback. */
export function ownAddresses(): string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .filter(({ internal, scopeid }) => !internal && !scopeid)
    .map(({ address }) => address);
}

/**
 * Which of the addresses that a host stands for are not this machine's: none for loopback, for an address of one of its
 * interfaces, and for a name of those. Undefined for an unknown name.
 */
export async function foreignAddressesOf(host: string): Promise<string[] | undefined> {
  const addresses = isIP(host) ? [host] : await addressesOf(host);
  if (addresses === undefined) return undefined;
  const own = new BlockList();
  own.addSubnet("127.0.0.0", 8, "ipv4");
  own.addAddress("::1", "ipv6");
  for (const { address, family } of Object.values(networkInterfaces()).flatMap((found) => found ?? []))
    own.addAddress(address.replace(/%.*/, ""), family === "IPv6" ? "ipv6" : "ipv4");
  return addresses.filter((address) => !own.check(address, isIPv6(address) ? "ipv6" : "ipv4"));
}

/** As programs of this machine resolve a name: by its hosts file too. */
async function addressesOf(name: string): Promise<string[] | undefined> {
  const found = await within(LOOKUP_TIMEOUT, name, lookup(name, { all: true })).catch(() => undefined);
  return found?.map(({ address }) => address);
}
