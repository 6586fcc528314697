import {
  MOST_CERTIFICATES,
  mergedRevocations,
  type ClusterDocument,
  type HostRecord,
  type NotedCertificate,
  type RevokedCertificate,
} from "../documents/record.ts";
import { isSameHost } from "./same-host.ts";
import { believedEnd, seenOf, withSeen, type SeenCertificates } from "./seen.ts";

/** Certificates that the document says a host has: what somebody adds beyond that pushes out nothing that was seen. */
const MOST_OF_ONE = 50;

/** Milliseconds between two times that connections are ended for serial numbers that nobody has shown here. */
const MADE_UP_EVERY = 600_000;

/** Milliseconds in which each server takes up who may not connect any more. */
const RULES_TAKE = 60_000;

/** The document with the certificate that a host has now; undefined where nothing is to be changed. Pure. */
export function withOwnCertificate(
  document: ClusterDocument,
  record: HostRecord,
  certificate: NotedCertificate,
): ClusterDocument | undefined {
  const own = document.hosts.find((host) => isSameHost(host, record));
  if (!own || own.certificates?.some(({ serial }) => serial === certificate.serial) === true)
    return undefined;
  return withCertificate(document, own.name, certificate);
}

/** The document with one certificate more of a host. Pure. */
export function withCertificate(
  document: ClusterDocument,
  name: string,
  certificate: NotedCertificate,
): ClusterDocument {
  const hosts = document.hosts.map((host) =>
    host.name === name
      ? { ...host, certificates: [...(host.certificates ?? []), certificate].slice(-MOST_OF_ONE) }
      : host,
  );
  return { ...document, hosts };
}

export interface Revocation {
  /** The host whose certificates are taken from nobody any more. */
  readonly name: string;
  /** From when on, in milliseconds since the epoch. */
  readonly from: number;
  readonly seen: SeenCertificates;
}

/**
 * The document with all certificates of a host revoked; those that have ended need no mention any more. Pure.
 * @param now milliseconds since the epoch
 */
export function withRevoked(
  document: ClusterDocument,
  { name, from, seen }: Revocation,
  now: number,
): ClusterDocument {
  const host = document.hosts.find((known) => known.name === name);
  // With endpoints alone it has no rights that go by a certificate: the agents answer hosts of the document alone.
  if (!host || host.role === "endpoints") return document;
  const known = withSeen(seen, { hosts: [host], revoked: [] }, now);
  const added = Object.entries(known)
    .filter(([, of]) => of.host === name)
    .map(([serial, { until }]): RevokedCertificate => ({ serial, until, from, address: host.address }));
  return { ...document, revoked: lasting([...document.revoked, ...added], known, now) };
}

/**
 * Each once, without what has ended. Where there are too many those count whose certificates were shown here, then those
 * that the document once gave to a host, then the rest, of each the earlier: so nobody pushes out one that exists by
 * writing numbers into the store.
 */
function lasting(
  revoked: readonly RevokedCertificate[],
  seen: SeenCertificates,
  now: number,
): RevokedCertificate[] {
  const endOf = ({ serial, until }: RevokedCertificate): number => {
    const of = seenOf(seen, serial);
    return of?.shown === true ? of.until : believedEnd(until, now);
  };
  const all = mergedRevocations(
    revoked.map((one) => ({ ...one, until: endOf(one) })).filter(({ until }) => until > now),
  );
  if (all.length <= MOST_CERTIFICATES) return all;
  const rank = ({ serial }: RevokedCertificate): number => {
    const of = seenOf(seen, serial);
    if (!of) return 2;
    return of.shown === true ? 0 : 1;
  };
  return all.toSorted((a, b) => rank(a) - rank(b)).slice(0, MOST_CERTIFICATES);
}

/** What a host knows by itself. */
export interface OwnWord {
  /** What it has revoked before. */
  readonly kept: readonly RevokedCertificate[];
  readonly seen: SeenCertificates;
  /** The serial number of its own certificate. */
  readonly own: string;
}

/**
 * Which certificates a host holds revoked. What it has revoked once stays so until it ends: no word of the store takes it
 * back. What the store says is believed but for the host's own certificate, and for those of hosts that are listed still:
 * one write shuts nobody out. Pure.
 * @param now milliseconds since the epoch
 */
export function believedRevocations(
  { hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">,
  { kept, seen, own }: OwnWord,
  now: number,
): { readonly revoked: RevokedCertificate[]; readonly leftOut: readonly string[] } {
  const others = kept.filter(({ serial }) => serial !== own);
  const isKept = new Set(others.map(({ serial }) => serial));
  const isListed = (serial: string): boolean => {
    const of = seenOf(seen, serial);
    return (
      of !== undefined &&
      hosts.some(
        ({ name, id, certificates }) =>
          name === of.host &&
          (of.id === undefined ? certificates?.some((one) => one.serial === serial) : id === of.id),
      )
    );
  };
  const isLeftOut = ({ serial }: RevokedCertificate): boolean =>
    serial === own || (!isKept.has(serial) && isListed(serial));
  return {
    revoked: lasting([...others, ...revoked.filter((one) => !isLeftOut(one))], seen, now),
    leftOut: revoked.filter(isLeftOut).map(({ serial }) => serial),
  };
}

/** Those that are taken from nobody now. @param now milliseconds since the epoch. Pure */
export function revokedNow(
  { revoked }: Pick<ClusterDocument, "revoked">,
  now: number,
): readonly RevokedCertificate[] {
  return revoked.filter(({ from, until }) => from <= now && until > now);
}

/**
 * Whether connections are ended for certificates that were revoked since they began. Those that somebody has shown here are
 * such at once; for others, which whoever writes into the store may make up by the minute, that is done now and then. Pure.
 * @param quiet milliseconds since it was last done
 */
export function endsConnections(serials: readonly string[], seen: SeenCertificates, quiet: number): boolean {
  return (
    serials.some((serial) => seenOf(seen, serial)?.shown === true) ||
    (serials.length > 0 && quiet >= MADE_UP_EVERY)
  );
}

/** Addresses of hosts that were removed, and at which none is now. Pure. */
export function formerAddresses({ hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">): string[] {
  const present = new Set(hosts.map(({ address }) => address));
  return [...new Set(revoked.map(({ address }) => address))]
    .filter((address) => !present.has(address))
    .sort();
}

/**
 * From where sessions with a server are ended, by address: those that began before a moment (milliseconds since the epoch).
 * Those that begin later are let in by the rules for networks, whoever is at that address by then. It is done for addresses
 * alone of which a host has shown a certificate: nobody ends sessions of clients by writing their address into the store.
 * Pure.
 * @param gone since when there is no host at an address at which there was one (milliseconds since the epoch)
 */
export function sessionsToEnd(
  { hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">,
  seen: SeenCertificates,
  gone: ReadonlyMap<string, number>,
): ReadonlyMap<string, number> {
  const present = new Set(hosts.map(({ address }) => address));
  const begun = new Map(revoked.map(({ serial, from }) => [serial, from]));
  const ends = new Map<string, number>();
  for (const [serial, { address }] of Object.entries(seen)) {
    if (address === undefined || present.has(address)) continue;
    const moments = [begun.get(serial), gone.get(address)].filter((at) => at !== undefined);
    if (moments.length)
      ends.set(address, Math.max(ends.get(address) ?? 0, ...moments.map((at) => at + RULES_TAKE)));
  }
  return ends;
}
