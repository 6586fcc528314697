import type { ClusterDocument, Host } from "../../documents/record.ts";

/** A certificate of a host, as another host remembers it. */
export interface SeenCertificate {
  readonly host: string;
  /** Which machine of that name; undefined where the document had no `id` for it. */
  readonly id?: string | undefined;
  /** Milliseconds since the epoch, when it ends. */
  readonly until: number;
  /**
   * Whether it was shown or signed here: then the authority vouches for it, and it cannot be made up in the store. Else it
   * is known from the cluster's document alone, as that first had it.
   */
  readonly shown?: boolean | undefined;
  /** The host's address, from the certificate itself; undefined where it was not shown. */
  readonly address?: string | undefined;
}

/** All certificates that hosts were seen with, by serial number. */
export type SeenCertificates = Readonly<Record<string, SeenCertificate>>;

/** Milliseconds: no certificate of a host lasts longer, whatever the store says. */
const LONGEST_LIFE = 366 * 24 * 3_600_000;

/** How many are kept by the document's word alone, of one host and in all, so that nobody can fill the disk. */
const MOST_OF_ONE = 200;
const MOST_OF_ALL = 2000;

/** A host that was given MANY certificates within so many milliseconds gets no other one. */
const MANY_WITHIN = 30 * 24 * 3_600_000;
const MANY = 10;

export function seenOf(seen: SeenCertificates, serial: string): SeenCertificate | undefined {
  return Object.hasOwn(seen, serial) ? seen[serial] : undefined;
}

/**
 * The end of a certificate, no later than any real one's, whatever the store says. @param now milliseconds since the
 * epoch
 */
export function believedEnd(until: number, now: number): number {
  return Math.min(until, now + LONGEST_LIFE);
}

/**
 * Adds the document's certificates, and drops those that have expired. What was first known of a certificate stays, so that
 * nobody can change its host by writing into the store. A certificate that the document calls revoked already is not added.
 * Pure.
 * @param now milliseconds since the epoch
 * @returns `seen` itself where nothing changes
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
  // Where two hosts are said to have the same one, it is the first one's.
  return { ...Object.fromEntries(news.toReversed()), ...Object.fromEntries(before) };
}

/**
 * Adds a certificate that was shown or signed here. It overrules what the document said of it. Pure.
 * @returns `seen` itself where nothing changes
 */
export function withShown(
  seen: SeenCertificates,
  { serial, until }: { readonly serial: string; readonly until: number },
  { name, id, address }: Pick<Host, "name" | "id"> & { readonly address: string | undefined },
): SeenCertificates {
  const before = seenOf(seen, serial);
  if (before?.shown === true) return seen;
  // The certificate has the host's name, not its `id`.
  const machine = before?.host === name && before.id !== undefined ? before.id : id;
  return { ...seen, [serial]: { host: name, id: machine, until, shown: true, address } };
}

/**
 * The document without certificates that it lists for one host and that are known here as another's: for a new host, which
 * takes the document as the first word. Pure.
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
 * Whether a host was given more certificates lately than renewals explain. Each has to be remembered until it expires, so
 * their number is bounded. Pure.
 * @param now milliseconds since the epoch
 * @param life milliseconds for which a certificate is signed
 */
export function hasManyOfLate(seen: SeenCertificates, name: string, now: number, life: number): boolean {
  const late = Object.values(seen).filter(
    ({ host, shown, until }) => host === name && shown === true && until - life > now - MANY_WITHIN,
  );
  return late.length >= MANY;
}
