import {
  MOST_CERTIFICATES,
  mergedRevocations,
  type ClusterDocument,
  type HostRecord,
  type NotedCertificate,
  type RevokedCertificate,
} from "../../documents/record.ts";
import { isSameHost } from "./same-host.ts";
import { believedEnd, seenOf, withSeen, type SeenCertificates } from "./seen.ts";

/** Certificates of one host in the document; the newest stay. `SeenCertificates` keeps those that drop out. */
const MOST_OF_ONE = 50;

/** Milliseconds at least between two ends of connections for serial numbers that nobody has shown here. */
const MADE_UP_EVERY = 600_000;

/** Milliseconds within which each server refuses a revoked host by its pg_hba.conf. */
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

/** The document with another certificate of a host. Pure. */
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
  /** The host whose certificates are revoked. */
  readonly name: string;
  /** From when on, in milliseconds since the epoch. */
  readonly from: number;
  /** The host on which it is ordered, where that is known. */
  readonly by?: string | undefined;
  readonly seen: SeenCertificates;
}

/**
 * The document with all certificates of a host revoked; those that have expired are left out. Pure.
 * @param now milliseconds since the epoch
 */
export function withRevoked(
  document: ClusterDocument,
  { name, from, by, seen }: Revocation,
  now: number,
): ClusterDocument {
  const host = document.hosts.find((known) => known.name === name);
  // A certificate of a host with endpoints alone gives no right by itself: agents answer only hosts of the document.
  if (!host || host.role === "endpoints") return document;
  const known = withSeen(seen, { hosts: [host], revoked: [] }, now);
  const added = Object.entries(known)
    .filter(([, of]) => of.host === name)
    .map(([serial, { until }]): RevokedCertificate => ({
      serial,
      until,
      from,
      address: host.address,
      ...(by === undefined ? {} : { by }),
    }));
  return { ...document, revoked: lasting([...document.revoked, ...added], known, now) };
}

/**
 * Each once, without the expired ones. Where there are too many, those stay whose certificates were shown here, then those
 * that the document once gave to a host, then the rest, of each the earlier: so nobody can push out a real one by writing
 * made-up numbers into the store.
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

/** A host's own knowledge, which nobody can change through the store. */
export interface OwnWord {
  /** Certificates that it has revoked before. */
  readonly kept: readonly RevokedCertificate[];
  readonly seen: SeenCertificates;
  /** The serial number of its own certificate. */
  readonly own: string;
}

/**
 * Which certificates a host treats as revoked. What it has revoked stays revoked until it expires, whatever the store says.
 * Of the store's list it believes all but its own certificate and those of hosts that the document still lists, so that one
 * write into the store shuts no host out. Pure.
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

/** Those that are revoked now. @param now milliseconds since the epoch. Pure */
export function revokedNow(
  { revoked }: Pick<ClusterDocument, "revoked">,
  now: number,
): readonly RevokedCertificate[] {
  return revoked.filter(({ from, until }) => from <= now && until > now);
}

/**
 * Whether to end connections because certificates were revoked since they began: at once for one that was shown here; for
 * others, which anybody who writes into the store could make up by the minute, only every MADE_UP_EVERY. Pure.
 * @param serials of the newly revoked certificates
 * @param quiet milliseconds since connections were last ended for this
 */
export function endsConnections(serials: readonly string[], seen: SeenCertificates, quiet: number): boolean {
  return (
    serials.some((serial) => seenOf(seen, serial)?.shown === true) ||
    (serials.length > 0 && quiet >= MADE_UP_EVERY)
  );
}

/** Addresses of removed hosts at which no host is now. Pure. */
export function formerAddresses({ hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">): string[] {
  const present = new Set(hosts.map(({ address }) => address));
  return [...new Set(revoked.map(({ address }) => address))]
    .filter((address) => !present.has(address))
    .sort();
}

/**
 * Addresses whose sessions with a server are to be ended, each with the moment before which they began (milliseconds since
 * the epoch). For later sessions the rules for networks decide, as another machine may have the address by then. Only
 * addresses at which a host has shown a certificate: else anybody could end sessions of clients by writing their address
 * into the store. Pure.
 * @param gone addresses that were hosts', each with the moment since which no host has it (milliseconds since the epoch)
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
