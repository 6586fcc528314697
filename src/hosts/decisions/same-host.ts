import type { ClusterDocument, Host, HostRecord } from "../documents/record.ts";

/**
 * Whether a host of the document is the machine with this record. A name alone says nothing: one that was removed may come
 * back after another machine was given its name, and with it the primary's key. Where the document has no mark yet, as an
 * earlier odoo-pg gave none, it is the machine at that address. Pure.
 */
export function isSameHost(
  host: Host,
  record: Pick<HostRecord, "name" | "address" | "role" | "id">,
): boolean {
  if (host.name !== record.name || host.role !== record.role) return false;
  return host.id === undefined ? host.address === record.address : host.id === record.id;
}

/** The document with the mark of this machine, where it has none yet; undefined where nothing is to be changed. Pure. */
export function withOwnMark(document: ClusterDocument, record: HostRecord): ClusterDocument | undefined {
  const { id } = record;
  const own = document.hosts.find((host) => isSameHost(host, record));
  if (!own || own.id !== undefined || id === undefined) return undefined;
  return { ...document, hosts: document.hosts.map((host) => (host === own ? { ...host, id } : host)) };
}
