import { isAddress } from "../../config/values/addresses.ts";

/** How the console is reached at one of the addresses that it listens on. */
export interface Listener {
  /** As in the configuration. */
  readonly address: string;
  /** Whether it is https, and everything needs a sign-in. */
  readonly secure: boolean;
}

/**
 * Whether an address needs a sign-in and https for everything: all except loopback, which only this host reaches. The
 * whole of 127.0.0.0/8 is loopback (RFC 1122, 3.2.1.3).
 */
export function needsSignIn(address: string): boolean {
  return !(address.toLowerCase() === "localhost" || address === "::1" || isLoopbackIpv4(address));
}

function isLoopbackIpv4(address: string): boolean {
  return address.startsWith("127.") && isAddress(address) && !address.includes(":");
}

export function listenerAt(address: string): Listener {
  return { address, secure: needsSignIn(address) };
}

/** `127.0.0.1` of `127.0.0.1:5050`, `::1` of `[::1]:5050`; undefined for an invalid Host header. */
function hostOf(header: string): string | undefined {
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::\d{1,5})?$/.exec(header);
  return (found?.[1] ?? found?.[2])?.toLowerCase();
}

/**
 * Whether a request may have this Host header. A page under a foreign name that resolves to our address (DNS rebinding)
 * sends the foreign name. On loopback only loopback's names are right, with any port: it may be the end of a tunnel.
 * Elsewhere an address is right, as nobody can rebind it, and so are names that the certificate is good for.
 * @param certified whether the listener's certificate is good for a name
 */
export function mayBearHost(
  listener: Listener,
  header: string | undefined,
  certified: (name: string) => boolean,
): boolean {
  const host = hostOf(header ?? "");
  if (host === undefined) return false;
  if (!needsSignIn(host)) return true;
  return listener.secure && (isAddress(host) || certified(host));
}

export interface Provenance {
  readonly method: string;
  readonly host: string | undefined;
  readonly origin: string | undefined;
  /** Sec-Fetch-Site. */
  readonly site: string | undefined;
  /** Sec-Fetch-Mode. */
  readonly mode: string | undefined;
}

/**
 * Whether a request comes from our own page, from no page (curl, Prometheus), or is a link that was followed. A page of
 * another origin may link here and do nothing else.
 */
export function isFromHere(listener: Listener, request: Provenance): boolean {
  const { method, host, origin, site, mode } = request;
  if (origin !== undefined) return origin === `${listener.secure ? "https" : "http"}://${host ?? ""}`;
  if (site === undefined || site === "same-origin" || site === "none") return true;
  return method === "GET" && mode === "navigate";
}
