import type { ClusterDocument, Host } from "../documents/record.ts";

/** What a host knows of one certificate. */
export interface SeenCertificate {
  readonly host: string;
  /** Which machine of that name; undefined where the document had no mark of it. */
  readonly id?: string | undefined;
  /** Milliseconds since the epoch, when it ends. */
  readonly until: number;
  /**
   * It was shown here, or signed here: the authority has said so, and nobody who writes into the store alone makes it up.
   * Else it is what the cluster's document said first.
   */
  readonly shown?: boolean | undefined;
  /** Where that host was then, as the certificate says itself; undefined where it was not shown. */
  readonly address?: string | undefined;
}

/** Which certificates hosts were ever seen with, by serial number. */
export type SeenCertificates = Readonly<Record<string, SeenCertificate>>;

/** Milliseconds: no certificate of a host lasts longer, whatever the store says. */
const LONGEST_LIFE = 366 * 24 * 3_600_000;

/** By the document's word alone, of one name and in all: more is somebody's who fills the disk. */
const MOST_OF_ONE = 200;
const MOST_OF_ALL = 2000;

/** Milliseconds in which a host asks for so many certificates at most that it gets another one. */
const MANY_WITHIN = 30 * 24 * 3_600_000;
const MANY = 10;

export function seenOf(seen: SeenCertificates, serial: string): SeenCertificate | undefined {
  return Object.hasOwn(seen, serial) ? seen[serial] : undefined;
}

/** When one ends that the store says ends then. @param now milliseconds since the epoch */
export function believedEnd(until: number, now: number): number {
  return Math.min(until, now + LONGEST_LIFE);
}

/**
 * What was seen, with what the document says now, without what has ended. The first that was said of a certificate stays:
 * whoever writes into the store can neither hide that it is of a host nor make it another one's. Of one that is said to be
 * revoked already nothing is believed. Pure.
 * @param now milliseconds since the epoch
 * @returns what was seen before, where nothing is to be changed
 */
export function withSeen(
  seen: SeenCertificates,
  { hosts, revoked }: Pick<ClusterDocument, "hosts" | "revoked">,
  now: number,
): SeenCertificates {
  const before = Object.entries(seen).filter(([, { until }]) => until > now);
  const told = before.filter(([, { shown }]) => shown !== true);
  const isKnown = new Set([...before.map(([serial]) => serial), ...revoked.map(({ serial }) => serial)]);
  const news = hosts
    .flatMap(({ name, id, certificates = [] }) =>
      certificates
        .filter(({ serial, until }) => until > now && !isKnown.has(serial))
        .slice(0, Math.max(0, MOST_OF_ONE - told.filter(([, { host }]) => host === name).length))
        .map(({ serial, until }) => [serial, { host: name, id, until: believedEnd(until, now) }] as const),
    )
    .slice(0, Math.max(0, MOST_OF_ALL - told.length));
  if (!news.length && before.length === Object.keys(seen).length) return seen;
  // The first of two hosts that are said to have one has it.
  return { ...Object.fromEntries(news.toReversed()), ...Object.fromEntries(before) };
}

/**
 * What was seen, with a certificate that the authority has signed for a host, as was seen here. It overrules the document.
 * Pure.
 * @returns what was seen before, where nothing is to be changed
 */
export function withShown(
  seen: SeenCertificates,
  { serial, until }: { readonly serial: string; readonly until: number },
  { name, id, address }: Pick<Host, "name" | "id"> & { readonly address: string | undefined },
): SeenCertificates {
  const before = seenOf(seen, serial);
  if (before?.shown === true) return seen;
  // Which machine of the name it is, is not in it.
  const machine = before?.host === name && before.id !== undefined ? before.id : id;
  return { ...seen, [serial]: { host: name, id: machine, until, shown: true, address } };
}

/**
 * The document without certificates that it gives to one host, and that are known here as another's: for whoever takes it
 * for the first that is said. Pure.
 */
export function withKnownOwners(document: ClusterDocument, seen: SeenCertificates): ClusterDocument {
  const hosts = document.hosts.map((host) => ({
    ...host,
    ...(host.certificates
      ? {
          certificates: host.certificates.filter(
            ({ serial }) => (seenOf(seen, serial)?.host ?? host.name) === host.name,
          ),
        }
      : {}),
  }));
  return { ...document, hosts };
}

/**
 * Whether a host was given so many certificates of late that something else than a renewal is behind it: each of them is
 * to be remembered until it ends. Pure.
 * @param now milliseconds since the epoch
 * @param life milliseconds for which a certificate is signed
 */
export function hasManyOfLate(seen: SeenCertificates, name: string, now: number, life: number): boolean {
  const late = Object.values(seen).filter(
    ({ host, shown, until }) => host === name && shown === true && until - life > now - MANY_WITHIN,
  );
  return late.length >= MANY;
}
