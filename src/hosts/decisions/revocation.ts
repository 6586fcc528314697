import type {
  ClusterDocument,
  HostRecord,
  NotedCertificate,
  RevokedCertificate,
} from "../documents/record.ts";
import { isSameHost } from "./same-host.ts";

/** Which certificates hosts were ever seen with: the name of the host, and when it ends, by serial number. */
export type SeenCertificates = Readonly<Record<string, { readonly host: string; readonly until: number }>>;

/**
 * What was seen, with what the document says now. The first that was said of a certificate stays: whoever writes into the
 * store can neither hide that it is of a host nor make it another one's. Pure.
 * @returns what was seen before, where nothing is new
 */
export function withSeen(
  seen: SeenCertificates,
  { hosts }: Pick<ClusterDocument, "hosts">,
): SeenCertificates {
  const news = hosts.flatMap(({ name, certificates = [] }) =>
    certificates
      .filter(({ serial }) => !Object.hasOwn(seen, serial))
      .map(({ serial, until }) => [serial, { host: name, until }] as const),
  );
  return news.length ? { ...Object.fromEntries(news), ...seen } : seen;
}

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

/** What a host has in the years in which one ends: what the servers' user adds beyond that pushes out nothing that was seen. */
const MOST_OF_ONE = 20;

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
  const before = document.revoked.filter(({ until }) => until > now);
  const known = withSeen(seen, { hosts: [host] });
  const added = Object.entries(known).flatMap(([serial, of]): RevokedCertificate[] =>
    of.host === name && of.until > now && before.every((other) => other.serial !== serial)
      ? [{ serial, until: of.until, from, address: host.address }]
      : [],
  );
  return { ...document, revoked: [...before, ...added] };
}

/** Those that are taken from nobody now. @param now milliseconds since the epoch. Pure */
export function revokedNow(
  { revoked }: Pick<ClusterDocument, "revoked">,
  now: number,
): readonly RevokedCertificate[] {
  return revoked.filter(({ from }) => from <= now);
}

/** Addresses of hosts that were removed, and at which none is now. Pure. */
export function formerAddresses({ hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">): string[] {
  const present = new Set(hosts.map(({ address }) => address));
  return [...new Set(revoked.map(({ address }) => address))]
    .filter((address) => !present.has(address))
    .sort();
}
