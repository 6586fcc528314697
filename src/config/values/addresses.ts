import * as z from "zod";

const ipv4 = z.ipv4();
const ipv6 = z.ipv6();

/** A host name label by label (RFC 1123, and the underscore that container networks use). */
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})(?:\.[A-Za-z0-9_][A-Za-z0-9_-]{0,62})*$/;

function isIpv4(text: string): boolean {
  return ipv4.safeParse(text).success;
}

function isIpv6(text: string): boolean {
  return ipv6.safeParse(text).success;
}

/** Whether a text is an IP address, not a name. */
export function isAddress(text: string): boolean {
  return isIpv4(text) || isIpv6(text);
}

/** Why an address of a node is refused: it must be one that other programs can connect to. Undefined where it is fine. */
export function hostProblem(text: string): string | undefined {
  if (text === "*" || text === "0.0.0.0" || text === "::") {
    return `"${text}" means every address: write the one address that the other nodes reach this node by`;
  }
  if (isIpv4(text) || isIpv6(text)) return undefined;
  if (/^[\d.]+$/.test(text)) return `"${text}" is not an IPv4 address`;
  if (/^[^:]+:\d+$/.test(text)) return `"${text}" holds a port: write the port under its own key, "port"`;
  if (HOST_NAME.test(text)) return undefined;
  return `${JSON.stringify(text)} is neither an IP address nor a host name`;
}

/** Why an address to listen on is refused: `*`, `0.0.0.0` and `::` are fine, else as for a host. */
export function listenAddressProblem(text: string): string | undefined {
  return text === "*" || text === "0.0.0.0" || text === "::" ? undefined : hostProblem(text);
}

/** The address at which programs of this host reach the endpoints. As for PostgreSQL, `::` is IPv6 alone. */
export function endpointHost(listen: readonly string[]): string {
  const first = listen[0] ?? "127.0.0.1";
  if (first === "::") return "::1";
  return first === "*" || first === "0.0.0.0" ? "127.0.0.1" : first;
}

/**
 * Where HAProxy connects to the nodes of its host from, so that pg_hba.conf can tell what it forwards from programs of
 * this host. One of 127.0.0.0/8 that nothing else is likely to use; a program that does gets fewer rights, not more.
 */
export const FORWARDED_FROM = "127.79.80.71";

/**
 * The address that HAProxy connects to the nodes from; undefined where it has none of its own. Then all TCP of this host
 * counts as forwarded. IPv6 has one loopback address only, and what a name means is not known here.
 * @param hasLoopbackNetwork whether all of 127.0.0.0/8 is this host: on Linux
 */
export function forwardingAddress(
  nodes: readonly { readonly host: string }[],
  hasLoopbackNetwork: boolean,
): string | undefined {
  return hasLoopbackNetwork && nodes.every(({ host }) => isIpv4(host)) ? FORWARDED_FROM : undefined;
}

/**
 * Where HAProxy takes what PgBouncer sends on to servers of other hosts: PgBouncer encrypts nothing that goes by a Unix
 * socket, and other hosts take nothing else. One of 127.0.0.0/8, as that has all ports of its own.
 */
export const POOLED_TO = "127.79.80.72";

interface Address {
  readonly bits: 32 | 128;
  readonly value: bigint;
}

function parseIpv4(text: string): bigint {
  return text.split(".").reduce((value, octet) => value * 256n + BigInt(octet), 0n);
}

/** The groups of one side of `::`; a trailing dotted IPv4 address counts as two groups. */
function groupsOf(text: string): bigint[] {
  if (text === "") return [];
  return text.split(":").flatMap((group) => {
    if (!group.includes(".")) return [BigInt(`0x${group}`)];
    const value = parseIpv4(group);
    return [value >> 16n, value & 0xffffn];
  });
}

function parseAddress(text: string): Address | undefined {
  if (isIpv4(text)) return { bits: 32, value: parseIpv4(text) };
  if (!isIpv6(text)) return undefined;
  const [head = "", tail] = text.split("::");
  const before = groupsOf(head);
  const after = tail === undefined ? [] : groupsOf(tail);
  const missing = Array.from({ length: 8 - before.length - after.length }, () => 0n);
  const value = [...before, ...missing, ...after].reduce((sum, group) => (sum << 16n) + group, 0n);
  return { bits: 128, value };
}

function formatAddress({ bits, value }: Address): string {
  if (bits === 32) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 255n).join(".");
  const groups = Array.from({ length: 8 }, (_, index) => (value >> BigInt(112 - 16 * index)) & 0xffffn);
  const text = groups.map((group) => group.toString(16)).join(":");
  return text.replace(/(?:^|:)0(?::0)+$/, "::");
}

/**
 * Why a network in CIDR form is refused. Bits behind the prefix must be zero, as the documentation of
 * pg_hba.conf asks: otherwise it is unclear whether one host or a network was meant.
 */
export function networkProblem(text: string): string | undefined {
  const [addressText = "", prefixText, ...more] = text.split("/");
  const address = parseAddress(addressText);
  if (address === undefined || more.length > 0) {
    return `${JSON.stringify(text)} is not a network: write an address and a prefix length, such as 10.0.0.0/24 or fd00::/8`;
  }
  if (prefixText === undefined) {
    return `"${text}" has no prefix length: write ${text}/${address.bits} for this one host`;
  }
  const prefix = /^\d{1,3}$/.test(prefixText) ? Number(prefixText) : Number.NaN;
  if (!(prefix <= address.bits)) {
    return `"${text}" has a wrong prefix length: it goes from 0 to ${address.bits}`;
  }
  const hostBits = BigInt(address.bits - prefix);
  const network = { ...address, value: (address.value >> hostBits) << hostBits };
  if (network.value === address.value) return undefined;
  return `"${text}" is a host inside a network: write ${formatAddress(network)}/${prefix} for the network, or ${addressText}/${address.bits} for this one host`;
}
